"""The order in which lines are given: by the layout of the page, or as PaddleOCR does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppocr_jax.inference.layout import layout_order

ROW_TOLERANCE = 10.0  # boxes whose top-left corners differ by less in y, in pixels, may share a row


def reading_order(quads: np.ndarray, *, variant: str = "bubble0") -> np.ndarray:
    """Indices that put quads (n, 4, 2), clockwise from top-left, into reading order.

    Quads are sorted by (y, x) of their top-left corners; then a quad moves before its predecessor while it lies less
    than 10 pixels below and further left.

    Args:
        quads: corners in pixels of the picture.
        variant: how far a quad may move. "bubble0": any distance (PaddleOCR since 2023); "bubble1": never to the very
            front (PaddleOCR 2.6); "single": one pass that swaps neighbors (PaddleOCR 2.5 and earlier).

    Returns:
        int64 (n,), a permutation.

    Raises:
        ValueError: an unknown variant, or an array of another shape.
    """
    if variant not in ("bubble0", "bubble1", "single"):
        raise ValueError(f'variant must be "bubble0", "bubble1" or "single", not {variant!r}')
    quads = np.asarray(quads, np.float64)
    if quads.size == 0:
        return np.zeros(0, np.int64)
    if quads.ndim != 3 or quads.shape[1:] != (4, 2):
        raise ValueError(f"quads must be (n, 4, 2), got {quads.shape}")
    x, y = quads[:, 0, 0], quads[:, 0, 1]
    order = np.lexsort((x, y))
    corners = list(zip(x[order].tolist(), y[order].tolist(), order.tolist(), strict=True))
    corners = _one_pass(corners) if variant == "single" else _insertion(corners, first=int(variant == "bubble1"))
    return np.array([index for _, _, index in corners], np.int64)


_Corner = tuple[float, float, int]  # x, y, index of the quad


def _comes_before(this: _Corner, other: _Corner) -> bool:
    return abs(this[1] - other[1]) < ROW_TOLERANCE and this[0] < other[0]


def _insertion(corners: list[_Corner], *, first: int) -> list[_Corner]:
    """Move every corner forward while it comes before its neighbor, at most to place `first`."""
    ordered: list[_Corner] = []
    for corner in corners:
        place = len(ordered)
        while place > first and _comes_before(corner, ordered[place - 1]):
            place -= 1
        ordered.insert(place, corner)
    return ordered


def _one_pass(corners: list[_Corner]) -> list[_Corner]:
    for i in range(len(corners) - 1):
        if _comes_before(corners[i + 1], corners[i]):
            corners[i], corners[i + 1] = corners[i + 1], corners[i]
    return corners


READING_ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"layout": layout_order, "paddleocr": reading_order}
"""Rule -> quads (n, 4, 2) to indices (n,)."""
