"""Reading order of lines: by the layout of the page, or by PaddleOCR's rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

_ROW_OVERLAP = 0.5  # share of the smaller height that two lines of a row have in common
# Columns of running text: least length of lines (in line heights), share of the column's width, and number of lines.
_LONG, _FILLED, _LINES = 8.0, 0.6, 3
_GUTTER = 0.8  # least width of the gap between columns, in line heights
_SPANNING = 1.5  # lines longer than this, in median lengths, may span several columns
_CLEARLY_LONGER, _SAME_SKEW, _UPSIDE_DOWN = 2.0, 0.1, np.radians(150)  # ratio of sides; radians
ROW_TOLERANCE = 10.0  # boxes whose top-left corners differ by less in y, in pixels, may share a row (PaddleOCR)


_Angles = TypeVar("_Angles", float, np.ndarray)


@dataclass(frozen=True)
class _Blocks:
    """Axis-aligned boxes of lines on a deskewed page."""

    left: np.ndarray
    right: np.ndarray
    top: np.ndarray
    bottom: np.ndarray

    @property
    def height(self) -> np.ndarray:
        return self.bottom - self.top

    @property
    def width(self) -> np.ndarray:
        return self.right - self.left

    @property
    def middle(self) -> np.ndarray:
        return (self.top + self.bottom) / 2


def layout_order(quads: np.ndarray) -> np.ndarray:
    """Return the indices that put quads (n, 4, 2), clockwise from where the text begins, into reading order.

    The skew of the page, in any direction, is the angle of at least half of its text, by length. Lines that overlap by
    half of their height form a row and are read from left to right. If at least three long lines are on either side of
    a gap that no line between them crosses, the left side is read before the right one; each may again have columns.
    Short cells side by side, as in receipts and tables, remain rows. If most lines are vertical, they are read from
    right to left.

    Returns:
        Permutation, int64 (n,).

    Raises:
        ValueError: If the array has another shape.
    """
    quads = _checked(quads)
    if not len(quads):
        return np.zeros(0, np.int64)
    blocks = _blocks(quads)
    everything = np.argsort(blocks.middle, kind="stable")
    return np.array(_ordered(blocks, everything), np.int64)


def _blocks(quads: np.ndarray) -> _Blocks:
    """Return boxes around the lines, rotated about the origin of the page to remove its skew."""
    skew = _skew(quads)
    cosine, sine = np.cos(-skew), np.sin(-skew)
    x = quads[..., 0] * cosine - quads[..., 1] * sine
    y = quads[..., 0] * sine + quads[..., 1] * cosine
    return _Blocks(x.min(axis=1), x.max(axis=1), y.min(axis=1), y.max(axis=1))


def _skew(quads: np.ndarray) -> float:
    """Return the median angle of the lines in radians, weighted by length, or 0 if too few lines have this angle.

    It needs half of all text, or nine tenths for an upside-down page. A line runs along the longer side of its quad.
    Lines hardly longer than high have no reliable angle.
    """
    across = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    down = (quads[:, 3] - quads[:, 0] + quads[:, 2] - quads[:, 1]) / 2
    sides = np.linalg.norm([across, down], axis=2)
    longer = np.where((sides[0] >= sides[1])[:, None], across, down)
    lengths, clear = sides.max(axis=0), sides.max(axis=0) > _CLEARLY_LONGER * sides.min(axis=0)
    if not clear.any():
        return 0.0
    angles, weights = np.arctan2(longer[clear, 1], longer[clear, 0]), lengths[clear]
    mean = float(np.arctan2((weights * np.sin(angles)).sum(), (weights * np.cos(angles)).sum()))
    skew = mean + _weighted_median(_wrapped(angles - mean), weights)
    parallel = np.abs(_wrapped(angles - skew)) < _SAME_SKEW
    # The page was rotated upright before. A few upside-down lines must not change its order.
    needed = 0.5 if abs(_wrapped(skew)) < _UPSIDE_DOWN else 0.9
    return skew if weights[parallel].sum() > needed * lengths.sum() else 0.0


def _wrapped(angles: _Angles) -> _Angles:
    """Wrap angles in radians to -pi..pi."""
    return (angles + np.pi) % (2 * np.pi) - np.pi


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(sums, sums[-1] / 2)])


def _ordered(blocks: _Blocks, members: np.ndarray) -> list[int]:
    """Return the reading order of `members`, which are sorted by vertical position."""
    found = _columns(blocks, members)
    if found is None:
        return _rows(blocks, members)
    start, end, gutter = found
    inside = members[start:end]
    left = blocks.right[inside] <= gutter
    parts = (members[:start], inside[left], inside[~left], members[end:])
    return [index for part in parts if len(part) for index in _ordered(blocks, part)]


def _columns(blocks: _Blocks, members: np.ndarray) -> tuple[int, int, float] | None:
    """Return the largest run members[start:end] with running text on both sides of a gap, and the gap's position."""
    if np.count_nonzero(_are_long(blocks, members)) < 2 * _LINES:
        return None
    lefts, rights = blocks.left[members], blocks.right[members]
    gutters = np.unique(rights)
    crossed = (lefts[None] < gutters[:, None] + _GUTTER * np.median(blocks.height[members])) & (
        rights[None] > gutters[:, None]
    )
    best, most = None, 2 * _LINES - 1
    for gutter, is_crossed in zip(gutters.tolist(), crossed, strict=True):
        edges = np.flatnonzero(np.concatenate([[True], is_crossed, [True]]))
        for run in np.flatnonzero(np.diff(edges) - 1 > most).tolist():
            start, end = int(edges[run]), int(edges[run + 1]) - 1
            if end - start > most and _two_columns(blocks, members[start:end], gutter):
                best, most = (start, end, gutter), end - start
    return best


def _two_columns(blocks: _Blocks, members: np.ndarray, gutter: float) -> bool:
    left = blocks.right[members] <= gutter
    sides = members[left], members[~left]
    if min(map(len, sides)) < _LINES or not _side_by_side(blocks, *sides):
        return False
    return all(_is_running_text(blocks, side) for side in sides)


def _is_running_text(blocks: _Blocks, members: np.ndarray) -> bool:
    """Return whether lines are running text in one or more columns. Lines that span several columns do not count."""
    lines = members[blocks.width[members] < _SPANNING * np.median(blocks.width[members])]
    lines = lines[np.argsort(blocks.left[lines])]
    gaps = blocks.left[lines][1:] - np.maximum.accumulate(blocks.right[lines])[:-1]
    gutters = np.flatnonzero(gaps > _GUTTER * np.median(blocks.height[members])) + 1
    columns = [column for column in np.split(lines, gutters) if len(column) >= _LINES]
    return all(_fill_a_column(blocks, column) for column in (columns if len(columns) > 1 else [members]))


def _fill_a_column(blocks: _Blocks, members: np.ndarray) -> bool:
    width = blocks.right[members].max() - blocks.left[members].min()
    return bool(_are_long(blocks, members).mean() > 0.5 and np.median(blocks.width[members]) > _FILLED * width)


def _are_long(blocks: _Blocks, members: np.ndarray) -> np.ndarray:
    return blocks.width[members] > _LONG * blocks.height[members]


def _side_by_side(blocks: _Blocks, left: np.ndarray, right: np.ndarray) -> bool:
    """Return whether at least half of the shorter column is beside the other, and not above or below it."""
    bottom = min(blocks.bottom[left].max(), blocks.bottom[right].max())
    top = max(blocks.top[left].min(), blocks.top[right].min())
    lower = min(np.ptp(blocks.middle[left]), np.ptp(blocks.middle[right]))
    return bool(bottom - top > 0.5 * lower)


def _rows(blocks: _Blocks, members: np.ndarray) -> list[int]:
    """Return the order row by row. A line joins the row whose horizontally nearest line it overlaps most."""
    rows: list[list[int]] = []
    for index in members.tolist():
        overlaps = [_overlap(blocks, index, _nearest(blocks, index, row)) for row in rows[-3:]]
        best = int(np.argmax(overlaps)) if overlaps else 0
        if overlaps and overlaps[best] >= _ROW_OVERLAP:
            rows[len(rows) - len(overlaps) + best].append(index)
        else:
            rows.append([index])
    return [index for row in rows for index in sorted(row, key=lambda i: blocks.left[i])]


def _nearest(blocks: _Blocks, index: int, row: list[int]) -> int:
    center = blocks.left[index] + blocks.right[index]
    return min(row, key=lambda other: abs(blocks.left[other] + blocks.right[other] - center))


def _overlap(blocks: _Blocks, a: int, b: int) -> float:
    """Return the share of the smaller height that two lines share, 0 if one is above the other."""
    if min(blocks.right[a], blocks.right[b]) - max(blocks.left[a], blocks.left[b]) > 0.5 * min(
        blocks.width[a], blocks.width[b]
    ):
        return 0.0
    if abs(blocks.middle[a] - blocks.middle[b]) > 0.5 * max(blocks.height[a], blocks.height[b]):
        return 0.0
    common = min(blocks.bottom[a], blocks.bottom[b]) - max(blocks.top[a], blocks.top[b])
    return float(common / max(min(blocks.height[a], blocks.height[b]), 1e-6))


def paddleocr_order(quads: np.ndarray) -> np.ndarray:
    """Return the indices that put quads (n, 4, 2), clockwise from top-left, into the order of PaddleOCR since 2023.

    Quads are sorted by (y, x) of their top-left corners. Then a quad moves before its predecessor while it is less than
    10 pixels below it and further left.

    Args:
        quads: Corners in pixels of the image.

    Returns:
        Permutation, int64 (n,).

    Raises:
        ValueError: If the array has another shape.
    """
    quads = _checked(quads)
    x, y = quads[:, 0].T.tolist()
    ordered: list[int] = []
    for i in np.lexsort((x, y)).tolist():
        place = len(ordered)
        while place and abs(y[i] - y[ordered[place - 1]]) < ROW_TOLERANCE and x[i] < x[ordered[place - 1]]:
            place -= 1
        ordered.insert(place, i)
    return np.array(ordered, np.int64)


def _checked(quads: np.ndarray) -> np.ndarray:
    """Return quads as float64 (n, 4, 2).

    Raises:
        ValueError: If the array has another shape.
    """
    quads = np.asarray(quads, np.float64)
    if quads.size == 0:
        return np.zeros((0, 4, 2))
    if quads.ndim != 3 or quads.shape[1:] != (4, 2):
        raise ValueError(f"quads must be (n, 4, 2), got {quads.shape}")
    return quads


READING_ORDERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"layout": layout_order, "paddleocr": paddleocr_order}
"""Name of a rule -> function from quads (n, 4, 2) to indices (n,)."""
