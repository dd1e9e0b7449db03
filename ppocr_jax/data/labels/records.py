"""Records that label files of all formats are read into, and checks of texts and outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ppocr_jax.errors import UserError

IGNORE_TEXTS = ("###", "*")
"""Transcriptions of regions that are neither text nor background; they are left out of the loss and of the scores."""


class LabelError(UserError, ValueError):
    """Label that cannot be used; the message names the file, the line and the error."""


@dataclass(frozen=True, eq=False)
class Region:
    """One labeled region.

    Attributes:
        points: (n, 2) float32, n >= 4, (x, y) in pixels of the upright image, clockwise.
        text: Transcription; empty if the text is unknown (the region still counts for detection).
        ignore: Whether the region is illegible or marked "do not care".
    """

    points: np.ndarray
    text: str
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class DetectionRecord:
    """An image and its regions; an image without text has none.

    Attributes:
        image_path: The image.
        regions: Labeled regions.
    """

    image_path: Path
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class RecognitionRecord:
    """An image of one text line and its text.

    Attributes:
        image_path: The image; one inside a database is `DATABASE/image-000000001`, see `data.images.load_record_image`.
        text: Transcription.
    """

    image_path: Path
    text: str


Record: TypeAlias = DetectionRecord | RecognitionRecord


def ignore_region(points: np.ndarray) -> Region:
    """Return a region that is neither text nor background."""
    return Region(points, IGNORE_TEXTS[0], ignore=True)


def text_region(points: np.ndarray, text: str) -> Region:
    """Return a region with this text, ignored if the text is one of `IGNORE_TEXTS`."""
    return Region(points, text, text in IGNORE_TEXTS)


def written_text(region: Region) -> str:
    """Return the text to write for a region in a label file: `###` for an ignored one."""
    return IGNORE_TEXTS[0] if region.ignore and region.text not in IGNORE_TEXTS else region.text


def parse_text(value: Any, name: str) -> str:
    """Return the text of a JSON label.

    Args:
        value: Value in the label.
        name: Name of the value in error messages.

    Raises:
        ValueError: The value is not a string, or contains half of a surrogate pair, which is no character.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {_shortened(value)}")
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"{name} contains half of a surrogate pair: {_shortened(value)}")
    return value


def parse_points(values: Any, name: str = '"points"') -> np.ndarray:
    """Return the outline (n, 2) float32 of a label with a list of [x, y].

    Args:
        values: Value in the label.
        name: Name of the value in error messages.

    Raises:
        ValueError: The value is not a list of four or more pairs of finite numbers.
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
    """Return the outline (n, 2) float32 of a label with the numbers x1, y1, x2, y2, ...

    Raises:
        ValueError: See `parse_points`; or the number of values is odd.
    """
    if len(values) % 2:
        raise ValueError(f"{name} has {len(values)} numbers, which is not a list of [x, y] pairs")
    return parse_points([values[i : i + 2] for i in range(0, len(values), 2)], name)


def box_points(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Return the corners (4, 2) float32 of an upright box, clockwise from top-left.

    Raises:
        ValueError: A coordinate is not finite.
    """
    return parse_points([(left, top), (right, top), (right, bottom), (left, bottom)], "the box")


def plain_numbers(points: np.ndarray) -> list[list[float]]:
    """Return an outline for a label file, with whole numbers as integers, as PPOCRLabel writes and readers expect."""
    return [[int(v) if v == int(v) else round(v, 3) for v in pair] for pair in np.asarray(points, float).tolist()]


def _shortened(values: Any) -> str:
    text = repr(values)
    return text if len(text) <= 120 else f"{text[:117]}..."
