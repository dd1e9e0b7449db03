"""Texts and outlines as label files write them: checked, and written back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def parse_text(value: Any, name: str) -> str:
    """The text that a JSON label holds.

    Args:
        value: What the label holds.
        name: What messages call it.

    Raises:
        ValueError: It is not a string, or holds half of a surrogate pair, which is no character.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {_shortened(value)}")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name} holds half of a surrogate pair: {_shortened(value)}")
    return value


def parse_points(values: Any, name: str = '"points"') -> np.ndarray:
    """The outline (n, 2) float32 that a label gives as a list of [x, y].

    Args:
        values: What the label holds.
        name: What messages call it.

    Raises:
        ValueError: It is not four or more pairs of finite numbers.
    """
    try:
        points = np.asarray(values, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be a list of [x, y] numbers") from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4:
        raise ValueError(f"{name} must be 4 or more [x, y] pairs, not {_shortened(values)}")
    if not np.isfinite(points).all():
        raise ValueError(f"{name} must be finite, not {_shortened(values)}")
    return points


def parse_flat_points(values: Sequence[Any], name: str) -> np.ndarray:
    """The outline (n, 2) that a label gives as x1, y1, x2, y2, ...

    Raises:
        ValueError: See `parse_points`; or a number is left over.
    """
    if len(values) % 2:
        raise ValueError(f"{name} holds {len(values)} numbers, which do not pair to [x, y]")
    return parse_points([values[i : i + 2] for i in range(0, len(values), 2)], name)


def box_points(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Corners (4, 2) float32 of an upright box, clockwise from top-left.

    Raises:
        ValueError: A coordinate is not finite.
    """
    return parse_points([(left, top), (right, top), (right, bottom), (left, bottom)], "the box")


def plain_numbers(points: np.ndarray) -> list[list[float]]:
    """An outline for a label file: whole numbers as integers, which PPOCRLabel writes and some readers expect."""
    return [[int(v) if v == int(v) else round(v, 3) for v in pair] for pair in np.asarray(points, float).tolist()]


def _shortened(values: Any) -> str:
    text = repr(values)
    return text if len(text) <= 120 else f"{text[:117]}..."
