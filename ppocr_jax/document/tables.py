"""Simple tables: grids of ruling lines, and tables without lines, whose cells are aligned in rows and columns.

Ruling lines are searched in the image. Between them, a cell may span rows and columns. A table without lines is a run
of rows whose segments keep to common columns. Not supported: nested tables, and cells across columns of a table without
lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import numpy as np

from ppocr_jax.document.layout import Segment, page_segments, page_skew, segment_rows
from ppocr_jax.document.page import Box, Page, quad_box, rotate_back
from ppocr_jax.document.text import csv_row, markdown_text

# Ruling lines. Lengths are fractions of the image's longer side.
_SHORTEST_LINE = 1 / 40
_LEAST_LINE = 15  # pixels
_DARKER = 12  # gray levels between a line and its surroundings
_THICKEST_LINE = 6  # pixels
_SAME_LINE = 6  # pixels: lines closer than this are one line
_OPEN_SIDE = 15  # pixels by which lines extend beyond the last crossing line if the table has no line at that side
_STROKE_MARGIN = 6  # pixels by which strokes of letters may extend beyond their box
_INSIDE = 0.2  # share of a word's width at both ends where a line does not count as crossing it
_RULED_SHARE = 0.75  # share of a cell's side that a line must cover
_PART_OF_TABLE = 0.2  # least length of a separator as a share of the table's width or height
_DRAWN_SIDES = 0.5  # least share of sides between cells with lines; lower in structures that only resemble a grid
_MOST_INK = 0.3  # largest share of a table covered by lines of one direction; higher in textures
# Tables without lines.
_LEAST_ROWS = 3
_LEAST_GAP = 1.0  # between columns, in heights of the text
_FULL_ROWS = 0.6  # share of rows with segments in at least two columns
_LONGEST_CELL = 40  # characters; a larger median is running text


@dataclass(frozen=True)
class Table:
    """Table of texts.

    Attributes:
        rows: Texts of the cells, "" for an empty cell. All rows have the same length. The text of a cell that spans
            several is in the first one.
        box: Left, top, right, bottom in pixels of the image.
        ruled: Whether the table has ruling lines.
    """

    rows: tuple[tuple[str, ...], ...]
    box: Box
    ruled: bool

    def to_markdown(self) -> str:
        """Return the table in GitHub's Markdown, with the first row as header."""
        rows = [[markdown_text(cell.replace("\n", " ")) for cell in row] for row in self.rows]
        widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

        def line(cells: Iterable[str]) -> str:
            return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |\n"

        return line(rows[0]) + line("-" * width for width in widths) + "".join(map(line, rows[1:]))

    def to_csv(self, delimiter: str = ",") -> str:
        """Return the table in CSV (RFC 4180): rows end with CR LF, and texts are quoted if necessary."""
        return "".join(csv_row(row, delimiter) for row in self.rows)


def find_tables(page: Page, image_rgb: np.ndarray | None = None) -> list[Table]:
    """Return the tables of a page, from top to bottom of the upright page.

    Args:
        page: Recognized page, preferably with words, which separate the texts of neighboring cells.
        image_rgb: Image of the page, (H, W, 3) uint8. None: ruling lines are ignored.

    Raises:
        ValueError: If the image has another size than the page.
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
        upright = rotate_back(((left, top), (right, top), (right, bottom), (left, bottom)), page.rotation)
        x, y, *_ = quad_box(upright)
        return y, x

    return sorted([*ruled, *_tables_without_lines(page, rest)], key=place)


def _moved(segments: Sequence[Segment], x: float, y: float) -> list[Segment]:
    return [replace(s, left=s.left + x, right=s.right + x, top=s.top + y, bottom=s.bottom + y) for s in segments]


def _box_of(page: Page, lines: Iterable[int]) -> Box:
    return quad_box(*(page.lines[number].quad for number in lines))


def tables_to_markdown(tables: Iterable[Table]) -> str:
    """Return tables in Markdown, separated by empty lines."""
    return "\n".join(table.to_markdown() for table in tables)


def tables_to_csv(tables: Iterable[Table], delimiter: str = ",") -> str:
    """Return tables in CSV, separated by empty rows."""
    return "\r\n".join(table.to_csv(delimiter) for table in tables)


TABLE_SUFFIXES: dict[str, Callable[[Iterable[Table]], str]] = {
    ".md": tables_to_markdown,
    ".csv": tables_to_csv,
    ".tsv": partial(tables_to_csv, delimiter="\t"),
}
"""Suffix of a file -> function from tables to its text."""


# Ruling lines


def _straightened(image_rgb: np.ndarray, page: Page) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the upright, deskewed image, and the position in it of the origin of `page_segments`."""
    import cv2

    skew = math.radians(page_skew(page))
    # `rotate_back` rotates by multiples of 90 degrees about the origin. The skew is removed after that.
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
    """Lines of a table: positions of the separators, and masks of line pixels."""

    xs: list[int]
    ys: list[int]
    across: np.ndarray
    down: np.ndarray

    def has_line(self, *, row: int, column: int, above: bool) -> bool:
        """Return whether there is a line above a cell, or to the left of it."""
        if above:
            at, start, end, mask = self.ys[row], self.xs[column], self.xs[column + 1], self.across.T
        else:
            at, start, end, mask = self.xs[column], self.ys[row], self.ys[row + 1], self.down
        strip = mask[start:end, max(0, at - _SAME_LINE) : at + _SAME_LINE + 1]
        return bool((strip > 0).any(axis=1).mean() >= _RULED_SHARE) if strip.size else True

    def without_strokes(self, words: Sequence[Segment]) -> _Grid:
        """Return the grid without vertical separators that cross more words than half of their drawn sides."""
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
    """Texts of a grid, and the words in its cells, by (row, column)."""

    rows: tuple[tuple[str, ...], ...]
    words: dict[tuple[int, int], list[Segment]]


def _grids(image_rgb: np.ndarray, texts: Sequence[Segment], words: Sequence[Segment]) -> list[_Grid]:
    """Return the grids of ruling lines with at least two rows and two columns.

    Strokes inside `texts` and separators that mostly cross `words` are ignored.
    """
    import cv2

    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    if np.median(gray) < 128:  # dark background: lines are bright
        gray = cv2.bitwise_not(gray)
    grids: list[_Grid] = []
    for inverted in (False, True):  # dark lines, and then bright lines, which divide shaded cells
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
        # Many tables have no lines at their sides. The other lines show their extent.
        xs, ys = _with_ends(xs, width), _with_ends(ys, height)
        if len(xs) < 3 or len(ys) < 3:  # less than two rows and two columns
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
    """Add separators at 0 and `length` if the table extends beyond its outer separators."""
    if not separators:
        return []
    before = [0] if separators[0] > _OPEN_SIDE else []
    return [*before, *separators, *([length - 1] if length - separators[-1] > _OPEN_SIDE else [])]


def _overlap(first: _Grid, second: _Grid) -> bool:
    apart = [a[-1] <= b[0] or b[-1] <= a[0] for a, b in ((first.xs, second.xs), (first.ys, second.ys))]
    return not any(apart)


def _long_lines(gray: np.ndarray, shortest: int) -> np.ndarray:
    """Return a mask (H, W), 0 or 1, of horizontal dark lines in an image: thin, and at least `shortest` pixels long."""
    import cv2

    # The black hat is how much darker a pixel is than pixels both above and below it, within a thin line's height.
    # Shaded rows have no such edges.
    hat = cv2.morphologyEx(gray, cv2.MORPH_BLACKHAT, np.ones((2 * _THICKEST_LINE + 1, 1), np.uint8))
    drawn = (hat > _DARKER).astype(np.uint8)
    # Closing bridges gaps of a pixel or two. Opening keeps only long lines.
    drawn = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, np.ones((1, 3), np.uint8))
    return cv2.morphologyEx(drawn, cv2.MORPH_OPEN, np.ones((1, shortest), np.uint8))


def _without_strokes(mask: np.ndarray, texts: Sequence[Segment]) -> np.ndarray:
    """Remove lines from a mask that are inside the box of a text. Lines of a table extend beyond it."""
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
    """Return the centers of the rows (axis 1) or columns (axis 0) of a mask with at least `least` line pixels."""
    lengths = np.convolve((mask > 0).sum(axis=axis), np.ones(3), "same")  # a slanted line may cover three pixel rows
    drawn = np.flatnonzero(lengths >= least)
    groups = np.split(drawn, np.flatnonzero(np.diff(drawn) > _SAME_LINE) + 1)
    return [round(float(group.mean())) for group in groups if group.size]


def _ruled_cells(grid: _Grid, words: Sequence[Segment]) -> _Cells | None:
    """Return the cells of a grid, or None if less than two rows or columns contain text."""
    rows, columns = len(grid.ys) - 1, len(grid.xs) - 1
    first: dict[tuple[int, int], tuple[int, int]] = {}
    for r in range(rows):
        for c in range(columns):  # cells without a line between them are merged
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
    # Rows and columns without text are dropped. Some of them come from strokes of letters mistaken for lines.
    used_rows, used_columns = (sorted({cell[side] for cell in inside}) for side in (0, 1))
    if len(used_rows) < 2 or len(used_columns) < 2:
        return None
    texts = tuple(tuple(_cell_text(inside.get((r, c), [])) for c in used_columns) for r in used_rows)
    return _Cells(texts, inside)


def _cell_text(words: Sequence[Segment]) -> str:
    """Return the words of a cell, with line breaks between rows."""
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
    """Return the end of the best run of rows from `start` on that keep to common columns, and these columns.

    The best run has the most cells outside the first column, so that rows and columns count the same.
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
    """Return whether the vertical gap between two rows is too large for one table."""
    height = median(segment.height for segment in (*above, *below))
    return min(s.top for s in below) - max(s.bottom for s in above) > 3 * height


def _common_columns(rows: Sequence[Sequence[Segment]]) -> list[tuple[float, float]]:
    """Return (left, right) of the columns, which are separated by gaps that no segment crosses."""
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
