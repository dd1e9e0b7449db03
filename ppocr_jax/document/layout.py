"""Layout of text: rows of segments, and pages as grids of monospaced characters.

Pages are first rotated upright and deskewed. Lines are cut into segments at gaps that are wide for their letters, so
that an item and its price are two segments even if they were detected as one line.
"""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

from ppocr_jax.document.page import Line, Page, Quad, line_words, quad_direction, rotate_back
from ppocr_jax.document.text import encodable

_ROW_OVERLAP = 0.5  # share of the smaller height that two segments of a row have in common
_BESIDE = 0.3  # largest share of the smaller width that two segments of a row have in common
_SEGMENT_GAP = 2.5  # a gap between words of this many letter widths begins a new segment
_MOST_SKEW = 60.0  # degrees; steeper lines do not count for the skew of the page
_VERTICAL = 2.0  # height / width of a segment from which its text is vertical
_ALIGNED = 0.75  # cells: edges closer than this are aligned
_WIDE_GAP = 1.5  # cells: segments further apart keep two spaces between them
_MOST_PASSES = 64  # no page has more columns in a row
_MOST_BLANK = 2  # blank rows in a gap, whatever its height


@dataclass(frozen=True)
class Segment:
    """A part of a line, in pixels of the upright, deskewed page (up to a translation).

    Attributes:
        text: Its words, separated by single spaces.
        left, top, right, bottom: Its bounding box.
        confidence: Mean confidence of its characters, 0..1.
        line: Index of its line in the page, from 0.
    """

    text: str
    left: float
    top: float
    right: float
    bottom: float
    confidence: float = 1.0
    line: int = 0

    @property
    def height(self) -> float:
        """Height of the box, or of one letter for vertical text."""
        high = self.bottom - self.top
        return self.right - self.left if self.runs_down else high

    @property
    def runs_down(self) -> bool:
        """Whether the text is vertical, rotated or with its letters below each other."""
        return len(self.text) > 1 and self.bottom - self.top > _VERTICAL * (self.right - self.left)

    @property
    def middle(self) -> float:
        """y of the middle of its first row."""
        return self.top + self.height / 2


def display_width(text: str) -> int:
    """Return the number of terminal cells of a text: two per ideograph, none per combining mark."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def page_skew(page: Page) -> float:
    """Return the angle in degrees by which the lines of a page fall to the right after rotating it upright.

    It is the median over the nearly horizontal lines, weighted by text length, or 0 if these are not the majority.
    """
    angles = [quad_direction(rotate_back(line.quad, page.rotation)) for line in page for _ in line.text]
    lying = [angle for angle in angles if abs(angle) < _MOST_SKEW]
    return median(lying) if len(lying) > len(angles) / 2 else 0.0


def page_segments(page: Page, *, cut: bool = True) -> list[Segment]:
    """Return the segments of a page in reading order, rotated upright and deskewed about the image's origin.

    Args:
        page: Recognized page.
        cut: Cut lines at wide gaps. False: at every space, into one segment per word.
    """
    skew = -math.radians(page_skew(page))
    cosine, sine = math.cos(skew), math.sin(skew)

    def box(quads: Sequence[Quad]) -> tuple[float, float, float, float]:
        points = [point for quad in quads for point in rotate_back(quad, page.rotation)]
        xs = [x * cosine - y * sine for x, y in points]
        ys = [x * sine + y * cosine for x, y in points]
        return min(xs), min(ys), max(xs), max(ys)

    segments = []
    for number, line in enumerate(page):
        for words in _parts(line) if cut else [[word] for word in line_words(line)]:
            text = " ".join(word.text for word in words).translate(_CONTROL)
            count = sum(len(word.text) for word in words) or 1
            confidence = sum(word.confidence * len(word.text) for word in words) / count
            segments.append(Segment(text, *box([word.quad for word in words]), confidence, number))
    return [segment for segment in segments if segment.text.strip()]


_CONTROL = dict.fromkeys((*range(32), *range(127, 160), 8232, 8233), " ")


def _parts(line: Line) -> list[list]:
    """Return the words of a line, cut at wide gaps."""
    words = line_words(line)
    if not words:
        return []
    letters = sum(display_width(word.text) for word in words)
    letter = sum(math.dist(word.quad[0], word.quad[1]) for word in words) / max(letters, 1)
    parts = [[words[0]]]
    for before, word in pairwise(words):
        if math.dist(before.quad[1], word.quad[0]) > _SEGMENT_GAP * letter:
            parts.append([])
        parts[-1].append(word)
    return parts


def share_row(first: Segment, second: Segment) -> bool:
    """Return whether two segments are side by side in a row."""
    common = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    across = min(first.right, second.right) - max(first.left, second.left)
    narrower = min(first.right - first.left, second.right - second.left)
    return common >= _ROW_OVERLAP * min(first.height, second.height) and across <= _BESIDE * narrower


def segment_rows(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Return segments in rows from top to bottom, each from left to right.

    A segment joins the row whose horizontally nearest segment shares a row with it. Therefore, rows are followed across
    curved pages.
    """
    rows: list[list[Segment]] = []
    for segment in sorted(segments, key=lambda segment: segment.middle):
        best, least = None, math.inf
        for row in rows[-8:]:  # earlier rows are too far above
            nearest = min(row, key=lambda other: max(other.left - segment.right, segment.left - other.right, 0.0))
            beside = all(
                min(other.right, segment.right) - max(other.left, segment.left)
                <= _BESIDE * min(other.right - other.left, segment.right - segment.left)
                for other in row
            )
            if beside and share_row(nearest, segment) and abs(nearest.middle - segment.middle) < least:
                best, least = row, abs(nearest.middle - segment.middle)
        if best is None:
            rows.append([segment])
        else:
            best.append(segment)
    rows = [sorted(row, key=lambda segment: segment.left) for row in rows]
    return sorted(rows, key=lambda row: median(segment.middle for segment in row))


def page_rows(page: Page) -> tuple[tuple[Line, ...], ...]:
    """Return the lines of a page in reading order, grouped into rows of lines side by side.

    Only consecutive lines are joined, so that columns of running text stay columns.
    """
    whole = replace(page, lines=tuple(replace(line, words=()) for line in page))
    boxes = {segment.line: segment for segment in page_segments(whole)}
    rows: list[list[Line]] = []
    above: list[Segment] = []
    for number, line in enumerate(page):
        segment = boxes.get(number)
        if above and segment and share_row(above[-1], segment) and segment.left >= above[-1].left:
            rows[-1].append(line)
            above.append(segment)
            continue
        rows.append([line])
        above = [segment] if segment else []
    return tuple(map(tuple, rows))


def joined_line(lines: Sequence[Line], separator: str = " ") -> Line:
    """Join the lines of a row to one line. Its quad extends from the first line's left side to the last one's right."""
    if len(lines) == 1:
        return lines[0]
    first, last = lines[0], lines[-1]
    count = sum(len(line.text) for line in lines) or 1
    return Line(
        quad=(first.quad[0], last.quad[1], last.quad[2], first.quad[3]),
        text=separator.join(line.text for line in lines),
        confidence=sum(line.confidence * len(line.text) for line in lines) / count,
        detection_score=min(line.detection_score for line in lines),
        angle=first.angle,
        words=tuple(word for line in lines for word in line.words),
    )


def to_layout(pages: Iterable[Page]) -> Iterator[str]:
    """Yield each page as a grid of characters with aligned rows and columns. Pages are separated by form feeds.

    Aligned edges of the page are aligned in the grid: left edges, or right edges as in columns of amounts. A column
    moves to the right as far as the text before it requires. Gaps between rows become at most two blank rows.
    """
    for number, page in enumerate(pages):
        rows = _grid(segment_rows(page_segments(page)))
        yield encodable("\f" * (number > 0) + "".join(row + "\n" for row in rows))


def _grid(rows: list[list[Segment]]) -> list[str]:
    if not rows:
        return []
    columns = _Columns(rows)
    margin = min(columns.start(row[0]) for row in rows)
    pitch = _pitch(rows)
    written: list[str] = []
    above = 0.0
    for number, row in enumerate(rows):
        middle = median(segment.middle for segment in row)
        if number:
            written += [""] * min(_MOST_BLANK, max(0, round((middle - above) / pitch) - 1))
        above = middle
        text, width = "", 0
        for segment in row:
            start = max(columns.start(segment) - margin, width + (1 if text else 0))
            text += " " * (start - width) + segment.text
            width = start + display_width(segment.text)
        written.append(text.rstrip())
    return written


def _pitch(rows: Sequence[Sequence[Segment]]) -> float:
    """Return the usual distance between rows in pixels, at least the height of the text."""
    middles = [median(segment.middle for segment in row) for row in rows]
    height = median(segment.height for row in rows for segment in row)
    near = [b - a for a, b in pairwise(middles) if b - a < 2.5 * height]
    return max(median(near) if near else 0.0, height, 1.0)


def _near(values: Sequence[float], value: float) -> int:
    """Return the number of sorted values aligned with `value`."""
    return bisect_left(values, value + _ALIGNED) - bisect_right(values, value - _ALIGNED)


class _Columns:
    """Columns of the grid, at which segments start.

    Each segment is attached to its left or right edge, whichever is aligned with more segments of other rows. Aligned
    edges form a column, whose position is a variable. Text alone in its row, such as headings, may be attached to its
    middle. A column is at its position on the page, or further to the right if a row requires it: the least solution of
    constraints "this edge is at least n cells after that one" is found by moving columns until all are satisfied.
    """

    def __init__(self, rows: list[list[Segment]]) -> None:
        segments = [segment for row in rows for segment in row]
        widths = [
            (s.right - s.left) / max(display_width(s.text), 1)
            for s in segments
            for _ in range(0 if s.runs_down else len(s.text))
        ]
        self._cell = max(median(widths) if widths else 1.0, 1.0)
        self._origin = min(segment.left for segment in segments)
        lefts = {id(s): self._cells(s.left) for s in segments}
        rights = {id(s): self._cells(s.right) for s in segments}
        middles = {id(s): (lefts[id(s)] + rights[id(s)]) / 2 for s in segments}
        self._by_right = {id(s): False for s in segments}
        self._centered: dict[int, int] = {}
        all_lefts, all_rights = sorted(lefts.values()), sorted(rights.values())
        all_middles = sorted(middles[id(row[0])] for row in rows if len(row) == 1)
        for row in rows:
            for s in row:
                left = _near(all_lefts, lefts[id(s)]) - _near(sorted(lefts[id(o)] for o in row), lefts[id(s)])
                right = _near(all_rights, rights[id(s)]) - _near(sorted(rights[id(o)] for o in row), rights[id(s)])
                middle = _near(all_middles, middles[id(s)]) - (len(row) == 1)
                self._by_right[id(s)] = right > left
                if len(row) == 1 and (middle > max(left, right) or left == right == 0):
                    self._centered[id(s)] = max(0, round(middles[id(s)] - display_width(s.text) / 2))
        edges = {id(s): (True, rights[id(s)]) if self._by_right[id(s)] else (False, lefts[id(s)]) for s in segments}
        self._column: dict[int, int] = {}
        self._at: list[int] = []
        for side in (False, True):
            self._cluster(sorted((edge, key) for key, (is_right, edge) in edges.items() if is_right is side))
        for segment in segments:
            if self._by_right[id(segment)]:
                column = self._column[id(segment)]
                self._at[column] = max(self._at[column], display_width(segment.text))
        # A chain of constraints is as long as a row has columns. `_grid` resolves the rest, including contradictions.
        for _ in range(min(len(self._at), _MOST_PASSES)):
            if not sum(self._raise(row) for row in rows):
                break

    def start(self, segment: Segment) -> int:
        """Return the cell at which a segment starts."""
        if id(segment) in self._centered:
            return self._centered[id(segment)]
        at = self._at[self._column[id(segment)]]
        return at - display_width(segment.text) if self._by_right[id(segment)] else at

    def _cells(self, x: float) -> float:
        return (x - self._origin) / self._cell

    def _cluster(self, edges: list[tuple[float, int]]) -> None:
        """Assign each run of nearby edges (sorted) to a column at their mean."""
        group: list[tuple[float, int]] = []
        for edge in [*edges, (math.inf, 0)]:
            if group and edge[0] - group[0][0] > 2 * _ALIGNED:
                for _, key in group:
                    self._column[key] = len(self._at)
                self._at.append(max(0, round(sum(value for value, _ in group) / len(group))))
                group = []
            group.append(edge)

    def _raise(self, row: list[Segment]) -> bool:
        """Move columns of a row to the right until its segments fit. Return whether one was moved."""
        moved = False
        for before, segment in pairwise(row):
            gap = 2 if segment.left - before.right > _WIDE_GAP * self._cell else 1
            lacking = self.start(before) + display_width(before.text) + gap - self.start(segment)
            if lacking > 0 and self._column[id(segment)] != self._column[id(before)]:
                self._at[self._column[id(segment)]] += lacking
                moved = True
        return moved
