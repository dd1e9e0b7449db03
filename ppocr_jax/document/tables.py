"""Simple tables: grids of ruling lines, and cells that stand in rows and columns without any.

Ruling lines are looked for in the image; between them a cell may span rows and columns. Without lines a table is a
run of rows whose segments keep to common columns. Tables within tables, and cells over the gap between columns of a
table without lines, are beyond this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import numpy as np

from ppocr_jax.document.layout import Segment, page_segments, page_skew, segment_rows
from ppocr_jax.document.page import Box, Page, quad_box, turn_back
from ppocr_jax.document.text import csv_row, markdown_text

# Ruling lines. Lengths are shares of the image's longer side.
_SHORTEST_LINE = 1 / 40
_LEAST_LINE = 15  # pixels
_DARKER = 12  # gray levels by which a line differs from what is beside it
_THICKEST_LINE = 6  # pixels
_SAME_LINE = 6  # pixels: lines nearer than this are one
_OPEN_SIDE = 15  # pixels by which lines go on beyond the last one across them where a side has none
_STROKE_MARGIN = 6  # pixels by which strokes of letters may stand out of their box
_INSIDE = 0.2  # share of a word's width by which a line runs through it
_RULED_SHARE = 0.75  # share of a cell's side along which a line has to be there
_PART_OF_TABLE = 0.2  # share of the table's width or height that a separator has at least
_DRAWN_SIDES = 0.5  # share of the sides between cells that are drawn; less in what only looks like a grid
_MOST_INK = 0.3  # share of a table that lines of one direction cover; more in textures
# Tables without lines.
_LEAST_ROWS = 3
_LEAST_GAP = 1.0  # between columns, in heights of the text
_FULL_ROWS = 0.6  # share of rows that have something in at least two columns
_LONGEST_CELL = 40  # characters: the median of what is longer is running text


@dataclass(frozen=True)
class Table:
    """Cells in rows and columns.

    Attributes:
        rows: texts, "" for an empty cell; all rows are equally long. The text of a cell that spans several stands in
            the first one.
        box: left, top, right, bottom in pixels of the image.
        ruled: whether it has ruling lines.
    """

    rows: tuple[tuple[str, ...], ...]
    box: Box
    ruled: bool

    def to_markdown(self) -> str:
        """Return the table as GitHub's Markdown has it; the first row is the head."""
        rows = [[markdown_text(cell.replace("\n", " ")) for cell in row] for row in self.rows]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

        def line(cells: Iterable[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |\n"

        return line(rows[0]) + line("-" * width for width in widths) + "".join(map(line, rows[1:]))

    def to_csv(self, delimiter: str = ",") -> str:
        """Return the table as RFC 4180 has it: rows end in CR LF, what needs it is quoted."""
        return "".join(csv_row(row, delimiter) for row in self.rows)


def find_tables(page: Page, image_rgb: np.ndarray | None = None) -> list[Table]:
    """Return the tables of a page, from top to bottom as it is read.

    Args:
        page: what was read, best with its words, which tell texts of neighboring cells apart.
        image_rgb: (H, W, 3) uint8, the image; None: tables with ruling lines are found as those without.

    Raises:
        ValueError: the image has another size than the page.
    """
    ruled: list[Table] = []
    taken: set[int] = set()
    if image_rgb is not None:
        if image_rgb.shape[:2] != (page.height, page.width):
            size = f"{image_rgb.shape[1]}x{image_rgb.shape[0]}"
            raise ValueError(f"the page is of a {page.width}x{page.height} image, not {size}")
        straight, (x, y) = _straightened(image_rgb, page)
        words, parts = (_moved(page_segments(page, cut=cut), x, y) for cut in (False, True))
        for grid in _grids(straight, parts, words):
            cells = _ruled_cells(grid, words)
            if cells is not None:
                lines = {word.line for group in cells.words.values() for word in group}
                taken |= lines
                ruled.append(Table(cells.rows, _box_of(page, lines), ruled=True))
    rest = [segment for segment in page_segments(page) if segment.line not in taken]

    def place(table: Table) -> tuple[int, int]:
        left, top, right, bottom = table.box
        upright = turn_back(((left, top), (right, top), (right, bottom), (left, bottom)), page.rotation)
        x, y, *_ = quad_box(upright)
        return y, x

    return sorted([*ruled, *_tables_without_lines(page, rest)], key=place)


def _moved(segments: Sequence[Segment], x: float, y: float) -> list[Segment]:
    return [replace(s, left=s.left + x, right=s.right + x, top=s.top + y, bottom=s.bottom + y) for s in segments]


def _box_of(page: Page, lines: Iterable[int]) -> Box:
    return quad_box(*(page.lines[number].quad for number in lines))


def tables_to_markdown(tables: Iterable[Table]) -> str:
    """Return tables one after the other, an empty line between."""
    return "\n".join(table.to_markdown() for table in tables)


def tables_to_csv(tables: Iterable[Table], delimiter: str = ",") -> str:
    """Return tables one after the other, an empty row between."""
    return "\r\n".join(table.to_csv(delimiter) for table in tables)


TABLE_SUFFIXES: dict[str, Callable[[Iterable[Table]], str]] = {
    ".md": tables_to_markdown,
    ".csv": tables_to_csv,
    ".tsv": partial(tables_to_csv, delimiter="\t"),
}
"""Suffix of a file -> function from tables to its text."""


# Ruling lines


def _straightened(image_rgb: np.ndarray, page: Page) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the image as `page_segments` lays the page, and where the origin of its coordinates is in it."""
    import cv2

    skew = math.radians(page_skew(page))
    # `turn_back` turns by quarters about the origin; the skew is turned back after that.
    angle = skew + math.radians(page.rotation)
    matrix = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    high, wide = image_rgb.shape[:2]
    corners = matrix @ np.array([[0, wide, wide, 0], [0, 0, high, high]], float)
    low, size = corners.min(axis=1), np.ceil(np.ptp(corners, axis=1)).astype(int)
    if not angle:
        return image_rgb, (0.0, 0.0)
    placed = np.hstack([matrix, -low[:, None]])
    ground = np.median(image_rgb[:: max(1, high // 50), :: max(1, wide // 50)], axis=(0, 1)).tolist()
    straight = cv2.warpAffine(image_rgb, placed, (int(size[0]), int(size[1])), borderValue=ground)
    return straight, (float(-low[0]), float(-low[1]))


@dataclass(frozen=True)
class _Grid:
    """Lines of a table: places of the separators, and which pixels are drawn."""

    xs: list[int]
    ys: list[int]
    across: np.ndarray
    down: np.ndarray

    def has_line(self, *, row: int, column: int, above: bool) -> bool:
        """Return whether a line is drawn above a cell, or to the left of it."""
        if above:
            at, start, end, mask = self.ys[row], self.xs[column], self.xs[column + 1], self.across.T
        else:
            at, start, end, mask = self.xs[column], self.ys[row], self.ys[row + 1], self.down
        strip = mask[start:end, max(0, at - _SAME_LINE) : at + _SAME_LINE + 1]
        return bool((strip > 0).any(axis=1).mean() >= _RULED_SHARE) if strip.size else True

    def without_strokes(self, words: Sequence[Segment]) -> _Grid:
        """Return the grid without columns' separators that run through as many words as they have sides drawn."""
        kept = self.xs[:1]
        for column, x in enumerate(self.xs[1:-1], start=1):
            drawn = sum(self.has_line(row=row, column=column, above=False) for row in range(len(self.ys) - 1))
            crossed = sum(
                self.ys[0] < word.middle < self.ys[-1]
                and word.left + _INSIDE * (word.right - word.left) < x < word.right - _INSIDE * (word.right - word.left)
                for word in words
            )
            if 2 * crossed <= drawn:
                kept.append(x)
        return replace(self, xs=[*kept, self.xs[-1]])


@dataclass(frozen=True)
class _Cells:
    """Texts of a grid, and the words in its cells: (row, column) -> words."""

    rows: tuple[tuple[str, ...], ...]
    words: dict[tuple[int, int], list[Segment]]


def _grids(image_rgb: np.ndarray, texts: Sequence[Segment], words: Sequence[Segment]) -> list[_Grid]:
    """Return the grids of ruling lines that have at least two rows of two cells.

    Strokes inside of `texts` are no lines, and neither is what mostly runs through `words`.
    """
    import cv2

    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    if np.median(gray) < 128:  # a dark theme: lines are bright
        gray = cv2.bitwise_not(gray)
    grids: list[_Grid] = []
    for inverted in (False, True):  # dark lines; then bright ones, which divide shaded cells
        for grid in _grids_of_dark_lines(cv2.bitwise_not(gray) if inverted else gray, texts, words):
            if not any(_overlap(grid, other) for other in grids):
                grids.append(grid)
    return grids


def _grids_of_dark_lines(gray: np.ndarray, texts: Sequence[Segment], words: Sequence[Segment]) -> list[_Grid]:
    import cv2

    shortest = max(_LEAST_LINE, round(max(gray.shape) * _SHORTEST_LINE))
    across = _without_strokes(_long_lines(gray, shortest), texts)
    down = _without_strokes(_long_lines(np.ascontiguousarray(gray.T), shortest // 2).T, texts)
    net = cv2.dilate(cv2.bitwise_or(across, down), np.ones((5, 5), np.uint8))  # crossings may have gaps
    _, _, boxes, _ = cv2.connectedComponentsWithStats(net, connectivity=8)
    grids = []
    for left, top, width, height, _ in boxes[1:].tolist():
        if width < 2 * shortest or height < _LEAST_LINE:
            continue
        window = np.s_[top : top + height, left : left + width]
        if max(across[window].mean(), down[window].mean()) > _MOST_INK:
            continue
        ys = _separators(across[window], axis=1, least=_PART_OF_TABLE * width)
        xs = _separators(down[window], axis=0, least=_PART_OF_TABLE * height)
        # Many tables have no lines at their sides: the others say how far they reach.
        xs, ys = _with_ends(xs, width), _with_ends(ys, height)
        if len(xs) < 3 or len(ys) < 3:  # less than two rows of two cells
            continue
        grid = _Grid([x + left for x in xs], [y + top for y in ys], across, down).without_strokes(words)
        xs, ys = grid.xs, grid.ys
        if len(xs) < 3 or len(ys) < 3:
            continue
        cells = [(r, c) for r in range(len(ys) - 1) for c in range(len(xs) - 1)]
        sides = [grid.has_line(row=r, column=c, above=True) for r, c in cells if r]
        sides += [grid.has_line(row=r, column=c, above=False) for r, c in cells if c]
        if np.mean(sides) >= _DRAWN_SIDES:
            grids.append(grid)
    return grids


def _with_ends(separators: list[int], length: int) -> list[int]:
    """Return separators with those at 0 and `length` where the table goes on beyond the outer ones."""
    if not separators:
        return []
    before = [0] if separators[0] > _OPEN_SIDE else []
    return [*before, *separators, *([length - 1] if length - separators[-1] > _OPEN_SIDE else [])]


def _overlap(first: _Grid, second: _Grid) -> bool:
    apart = [a[-1] <= b[0] or b[-1] <= a[0] for a, b in ((first.xs, second.xs), (first.ys, second.ys))]
    return not any(apart)


def _long_lines(gray: np.ndarray, shortest: int) -> np.ndarray:
    """Return where dark lines run across an image (H, W), 0 or 1: thin, and at least `shortest` pixels long."""
    import cv2

    # The black hat is how much darker a pixel is than both what is above and what is below, a thin line's height away;
    # shaded rows have no such edge.
    hat = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((2 * _THICKEST_LINE + 1, 1), np.uint8))
    drawn = (hat > _DARKER).astype(np.uint8)
    # Closing bridges breaks of a pixel or two, opening leaves what is long.
    drawn = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))
    return cv2.morphologyEx(drawn, cv2.MORPH_OPEN, np.ones((1, shortest), np.uint8))


def _without_strokes(mask: np.ndarray, texts: Sequence[Segment]) -> np.ndarray:
    """Return the mask without what lies in the box of a text from end to end: lines of a table go beyond it."""
    import cv2

    count, labels, boxes, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask), connectivity=8)
    left, top, width, height, _ = boxes.T
    keep = np.ones(count, bool)
    keep[0] = False  # the background
    for text in texts:
        inside_x = (left >= text.left - _STROKE_MARGIN) & (left + width <= text.right + _STROKE_MARGIN)
        keep &= ~(inside_x & (top >= text.top - _STROKE_MARGIN) & (top + height <= text.bottom + _STROKE_MARGIN))
    return keep[np.asarray(labels, np.intp)].astype(np.uint8)


def _separators(mask: np.ndarray, *, axis: int, least: float) -> list[int]:
    """Return the middles of the rows (axis 1) or columns (axis 0) of a mask in which `least` pixels are drawn."""
    lengths = np.convolve((mask > 0).sum(axis=axis), np.ones(3), "same")  # a line may lie across three rows of pixels
    drawn = np.flatnonzero(lengths >= least)
    groups = np.split(drawn, np.flatnonzero(np.diff(drawn) > _SAME_LINE) + 1)
    return [round(float(group.mean())) for group in groups if group.size]


def _ruled_cells(grid: _Grid, words: Sequence[Segment]) -> _Cells | None:
    """Return the cells of a grid; None where texts stand in less than two rows or columns."""
    rows, columns = len(grid.ys) - 1, len(grid.xs) - 1
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for r in range(rows):
        for c in range(columns):  # a cell belongs to the one that no line divides from it
            if c and not grid.has_line(row=r, column=c, above=False):
                first[r, c] = first[r, c - 1]
            elif r and not grid.has_line(row=r, column=c, above=True):
                first[r, c] = first[r - 1, c]
            else:
                first[r, c] = r, c
    inside: dict[tuple[int, int], list[Segment]] = {}
    for word in words:
        x, y = (word.left + word.right) / 2, (word.top + word.bottom) / 2
        row, column = int(np.searchsorted(grid.ys, y)) - 1, int(np.searchsorted(grid.xs, x)) - 1
        if 0 <= row < rows and 0 <= column < columns:
            inside.setdefault(first[row, column], []).append(word)
    # Rows and columns without any text say nothing; some are strokes of letters that were taken for a line.
    used_rows, used_columns = (sorted({cell[side] for cell in inside}) for side in (0, 1))
    if len(used_rows) < 2 or len(used_columns) < 2:
        return None
    texts = tuple(tuple(_cell_text(inside.get((r, c), [])) for c in used_columns) for r in used_rows)
    return _Cells(texts, inside)


def _cell_text(words: Sequence[Segment]) -> str:
    """Return the words of a cell in rows, which end in line breaks."""
    return "\n".join(" ".join(word.text for word in row) for row in segment_rows(words))


# Cells without lines


def _tables_without_lines(page: Page, segments: Sequence[Segment]) -> list[Table]:
    rows = segment_rows(segments)
    tables, start = [], 0
    while start < len(rows):
        end, columns = _best_run(rows, start)
        if end > start:
            numbers = {segment.line for row in rows[start:end] for segment in row}
            cells = tuple(_cells(row, columns) for row in rows[start:end])
            tables.append(Table(cells, _box_of(page, numbers), ruled=False))
        start = max(end, start + 1)
    return tables


def _best_run(rows: Sequence[Sequence[Segment]], start: int) -> tuple[int, list[tuple[float, float]]]:
    """Return the end of the best run of rows from `start` on that keep to common columns, and these.

    The best one has the most cells beside the first column: more rows are as good as more columns.
    """
    best, columns, most = start, [], 0
    if len(rows[start]) < 2:
        return best, columns
    for end in range(start + 1, len(rows) + 1):
        run = rows[start:end]
        if end - start > 1 and _apart(run[-2], run[-1]):
            break
        found = _common_columns(run)
        if len(found) < 2:
            if len(rows[end - 1]) > 1:
                break
            continue
        full = sum(len(row) > 1 for row in run)
        cells = full * (len(found) - 1)
        long = median(len(segment.text) for row in run for segment in row) > _LONGEST_CELL
        least = _LEAST_ROWS if len(found) == 2 else _LEAST_ROWS - 1
        if len(rows[end - 1]) > 1 and full >= max(least, _FULL_ROWS * len(run)) and cells >= most and not long:
            best, columns, most = end, found, cells
    return best, columns


def _apart(above: Sequence[Segment], below: Sequence[Segment]) -> bool:
    """Return whether the gap between two rows is too high for one table."""
    height = median(segment.height for segment in (*above, *below))
    return min(s.top for s in below) - max(s.bottom for s in above) > 3 * height


def _common_columns(rows: Sequence[Sequence[Segment]]) -> list[tuple[float, float]]:
    """Return (left, right) of the columns that are left when gaps no segment crosses are cut out."""
    segments = [segment for row in rows for segment in row]
    gap = _LEAST_GAP * median(segment.height for segment in segments)
    columns: list[tuple[float, float]] = []
    for segment in sorted(segments, key=lambda segment: segment.left):
        if columns and segment.left - columns[-1][1] < gap:
            columns[-1] = columns[-1][0], max(columns[-1][1], segment.right)
        else:
            columns.append((segment.left, segment.right))
    return columns


def _cells(row: Sequence[Segment], columns: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    cells: list[list[str]] = [[] for _ in columns]
    for segment in row:
        middle = (segment.left + segment.right) / 2
        index = next(k for k, (_, right) in enumerate(columns) if middle <= right)
        cells[index].append(segment.text)
    return tuple(" ".join(cell) for cell in cells)
