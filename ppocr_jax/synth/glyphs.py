"""Drawing of a line of text, or a column of characters, into a mask, with the position of every character."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.synth.fonts import FontFace, is_wide

if TYPE_CHECKING:
    from PIL import Image

# A charset has up to 20 000 ideographs; each face and size keeps up to this many values before it starts anew.
_MOST_KEPT = 1024
# Pairs that fonts with a kerning table move. A font that moves only other pairs moves them by a tenth of a pixel.
_KERNED_PAIRS = "AVAToTyVaWeYPA.LTLYr.11"
_KERNING_SIZE = 29
REFERENCE_IDEOGRAPH = "国"
_LATIN_SAMPLE = "MA tone 1.05"
_WIDE_SAMPLE = "国中的一"
# In a column, brackets and dashes are rotated; commas and full stops are in the upper right corner.
_TURNED = frozenset("（）〔〕［］｛｝《》〈〉「」『』【】〖〗—―…‥～-–()[]{}<>|~_")
_CORNER = frozenset("，。、．")
_SPACE_EM = 0.5
_NARROW_EM = 0.95
# Segments that each character lights on a display: a to f clockwise from the upper one, g in the middle.
_SEGMENTS = {
    **{"0": "abcdef", "1": "bc", "2": "abged", "3": "abgcd", "4": "fgbc", "5": "afgcd", "6": "afgedc", "7": "abc"},
    **{"8": "abcdefg", "9": "abcdfg", "-": "g"},
}
# Ends of the segments in a cell of width 1 and height 2.
_SEGMENT_ENDS = {
    "a": ((0, 0), (1, 0)),
    "b": ((1, 0), (1, 1)),
    "c": ((1, 1), (1, 2)),
    "d": ((0, 2), (1, 2)),
    "e": ((0, 1), (0, 2)),
    "f": ((0, 0), (0, 1)),
    "g": ((0, 1), (1, 1)),
}
SEGMENT_CHARACTERS = frozenset("0123456789-.:")


def wide_share(text: str) -> float:
    """Return the fraction of wide characters among the visible ones of `text`; 0 for a blank text."""
    visible = [is_wide(c) for c in text if c != " "]
    return sum(visible) / len(visible) if visible else 0.0


def reference_character(text: str, face: FontFace) -> str:
    """Return the character that gives the minimum height of a line: an ideograph in wide text, else "x"."""
    if REFERENCE_IDEOGRAPH in face.characters and any(map(is_wide, text)):
        return REFERENCE_IDEOGRAPH
    return "x"


class Spacing:
    """Advances and kerning of a face at one size, as drawn at that size."""

    def __init__(self, face: FontFace, size: int):
        self._font = face.at(size)
        self._kerned = _has_kerning(face)
        self._widths: dict[str, float] = {}
        self._kerning: dict[str, float] = {}

    def width(self, character: str) -> float:
        """Return the advance of a character, in pixels."""
        width = self._widths.get(character)
        if width is None:
            if len(self._widths) >= _MOST_KEPT:
                self._widths.clear()
            width = self._widths[character] = self._font.getlength(character)
        return width

    def kerning(self, pair: str) -> float:
        """Return the shift of the second of two characters, in pixels."""
        if not self._kerned:
            return 0.0
        shift = self._kerning.get(pair)
        if shift is None:
            if len(self._kerning) >= _MOST_KEPT:
                self._kerning.clear()
            shift = self._font.getlength(pair) - self.width(pair[0]) - self.width(pair[1])
            self._kerning[pair] = shift
        return shift


@lru_cache(maxsize=1024)
def spacing(face: FontFace, size: int) -> Spacing:
    """Return the advances of `face` at `size`; one object per process."""
    return Spacing(face, size)


@lru_cache(maxsize=8192)
def extent_of(face: FontFace, size: int, character: str) -> tuple[float, float]:
    """Return the (top, bottom) of a character's ink relative to the baseline; y points down."""
    _, top, _, bottom = face.at(size).getbbox(character, anchor="ls")
    return top, bottom


def planned_extent(text: str, face: FontFace, size: int) -> tuple[float, float]:
    """Return the approximate (top, bottom) of the ink of `text` from the baseline, without looking at all characters.

    An ideograph, "x", "p", "H" and "(" stand for the others.
    """
    shapes = {_shape(c) for c in text} | {reference_character(text, face)}
    extents = [extent_of(face, size, shape if shape in face.characters else "H") for shape in shapes]
    return min([top for top, _ in extents]), max([bottom for _, bottom in extents])


@lru_cache(maxsize=65536)
def _shape(character: str) -> str:
    """Return the reference character that is about as high and as deep as `character`."""
    if is_wide(character):
        return REFERENCE_IDEOGRAPH
    if character in " .-+~:=<>*acemnorsuvwxz":
        return "x"
    if character in "gpqy,;":
        return "p"
    return "(" if character in "j()[]{}|@$Q/\\_" else "H"


@lru_cache(maxsize=2048)
def _has_kerning(face: FontFace) -> bool:
    """Return whether the layout kerns common pairs. Most fonts have no `kern` table, and it uses nothing else."""
    font = face.at(_KERNING_SIZE)
    pairs = "".join([c for c in _KERNED_PAIRS if c in face.characters])
    widths = {c: font.getlength(c) for c in set(pairs)}
    return abs(font.getlength(pairs) - sum([widths[c] for c in pairs])) > 0.01


@dataclass(frozen=True)
class Lettering:
    """Font and spacing of a line of text.

    Attributes:
        face: The font.
        size: Pixels per em.
        tracking: Extra distance between characters, in em.
        space_scale: Width of a space relative to the font's.
        stroke: Extra width of the strokes on each side, in pixels.
        pixelated: Whether edges have no gray levels, as from printers and old screens.
    """

    face: FontFace
    size: int
    tracking: float = 0.0
    space_scale: float = 1.0
    stroke: float = 0.0
    pixelated: bool = False


@dataclass(frozen=True)
class InkedText:
    """A drawn line.

    Attributes:
        mask: (h, w) uint8, 255 where the ink is opaque.
        box: (left, top, right, bottom) of the text in the mask; it is at least as high as a small "x", or as an
            ideograph if there are any.
        centers: (len(text),) float32, x of the middle of each character's advance.
        baseline: y of the baseline.
    """

    mask: np.ndarray
    box: tuple[float, float, float, float]
    centers: np.ndarray
    baseline: float


def advances(text: str, lettering: Lettering) -> tuple[np.ndarray, np.ndarray]:
    """Return (starts, ends): x of the left and right side of each character, with kerning; the line starts at 0."""
    letters = spacing(lettering.face, lettering.size)
    tracking = lettering.tracking * lettering.size
    wider_space = (lettering.space_scale - 1) * letters.width(" ") if " " in text else 0.0
    starts, ends = [], []
    end, previous = 0.0, ""
    for character in text:
        # The basic layout kerns pairs, so lengths of pairs suffice; lengths of prefixes would take quadratic time.
        start = end + (letters.kerning(previous + character) if previous else 0.0)
        end = start + letters.width(character) + (wider_space if character == " " else 0.0)
        starts.append(start)
        ends.append(end)
        end += tracking
        previous = character
    return np.array(starts), np.array(ends)


def measure(text: str, lettering: Lettering) -> tuple[float, float]:
    """Return the (width, height) in pixels of the ink box of `draw_text`, without drawing."""
    font = lettering.face.at(lettering.size)
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    least_top, least_bottom = extent_of(lettering.face, lettering.size, reference_character(text, lettering.face))
    spaces = (lettering.space_scale - 1) * text.count(" ") * font.getlength(" ")
    tracking = lettering.tracking * lettering.size * (len(text) - 1)
    width = right - left + spaces + tracking + 2 * lettering.stroke
    height = max(bottom, least_bottom) - min(top, least_top) + 2 * lettering.stroke
    return max(1.0, width), max(1.0, height)


def planned_size(text: str, lettering: Lettering) -> tuple[float, float]:
    """Return about the result of `measure`, much faster: heights are within a fifth, widths include side bearings."""
    letters = spacing(lettering.face, lettering.size)
    width = sum([letters.width(c) for c in text]) + lettering.tracking * lettering.size * (len(text) - 1)
    if lettering.space_scale != 1:
        width += (lettering.space_scale - 1) * text.count(" ") * letters.width(" ")
    top, bottom = planned_extent(text, lettering.face, lettering.size)
    stroke = 2 * lettering.stroke
    return max(1.0, width + stroke), max(1.0, bottom - top + stroke)


def mean_advance(face: FontFace, size: int, text: str = "") -> float:
    """Return the mean width of a character in ordinary text of the script of `text` (Latin for ""), in pixels."""
    share = wide_share(text)
    letters = spacing(face, size)
    wide = _mean([letters.width(c) for c in _WIDE_SAMPLE if c in face.characters], size) if share else 0.0
    narrow = _mean([letters.width(c) for c in _LATIN_SAMPLE if c in face.characters], size / 2) if share < 1 else 0.0
    return share * wide + (1 - share) * narrow


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def check_drawable(text: str, face: FontFace) -> None:
    """Raise ValueError if the face lacks a character of `text`, or `text` is blank."""
    if not text.strip() or not face.covers(text):
        raise ValueError(f"font {face.name!r} cannot draw {text!r}")


def draw_text(text: str, lettering: Lettering, *, margin: int, above: str = "", below: str = "") -> InkedText:
    """Draw `text` with `margin` pixels of space on each side, and parts of neighboring lines if given.

    Raises:
        ValueError: The face lacks a character of `text`, or `text` is blank.
    """
    from PIL import Image, ImageDraw

    face, size, stroke = lettering.face, lettering.size, lettering.stroke
    check_drawable(text, face)
    font = face.at(size)
    starts, ends = advances(text, lettering)
    reference = reference_character(text, face)
    top, bottom = planned_extent(text, face, size)
    # Slanted letters exceed their advance, and some accents and swashes exceed the planned extent.
    side, above_margin = margin + size // 3, margin + size // 4
    baseline = above_margin - int(top)
    canvas = (int(ends[-1]) + 2 * side, baseline + int(bottom) + above_margin)

    image = Image.new("L", canvas)
    draw = ImageDraw.Draw(image)
    draw.fontmode = "1" if lettering.pixelated else "L"
    for begin, end in _runs(text, lettering):
        draw.text((side + float(starts[begin]), baseline), text[begin:end], 255, font, "ls", stroke_width=stroke)
    inked = image.getbbox() or (0, 0, *canvas)
    for neighbor, direction in ((above, -1), (below, 1)):
        if neighbor:
            y = baseline + direction * 1.25 * (bottom - top)
            draw.text((side, y), neighbor, 255, font, "ls", stroke_width=stroke)
    least_top, least_bottom = (baseline + v for v in extent_of(face, size, reference))
    box_top, box_bottom = min(inked[1], least_top - stroke), max(inked[3], least_bottom + stroke)
    box = (float(inked[0]), float(box_top), float(inked[2]), float(box_bottom))
    centers = ((starts + ends) / 2 + side).astype(np.float32)
    return InkedText(np.asarray(image), box, centers, float(baseline))


def _runs(text: str, lettering: Lettering) -> list[tuple[int, int]]:
    """Return the parts of the text that can be drawn in one call: all of it, words, or characters."""
    if lettering.tracking:
        return [(i, i + 1) for i, c in enumerate(text) if c != " "]
    if lettering.space_scale == 1:
        return [(0, len(text))]
    runs, begin = [], 0
    for word in text.split(" "):
        if word:
            runs.append((begin, begin + len(word)))
        begin += len(word) + 1
    return runs


def enlarge_dots(ink: InkedText, factor: int, *, round_dots: bool) -> InkedText:
    """Return the line enlarged by `factor`, with pixels as square dots (thermal printer) or round ones (needles)."""
    import cv2

    height, width = ink.mask.shape
    mask = cv2.resize(ink.mask, (width * factor, height * factor), interpolation=cv2.INTER_NEAREST)
    if round_dots:
        ys, xs = np.mgrid[:factor, :factor] - (factor - 1) / 2
        dot = (np.hypot(xs, ys) <= 0.5 * factor).astype(np.uint8)
        mask = (mask.reshape(height, factor, width, factor) * dot[:, None, :]).reshape(mask.shape)
    left, top, right, bottom = (v * factor for v in ink.box)
    # Pixel centers have integer coordinates: the center of the enlarged pixel x is factor * (x + 1/2) - 1/2.
    shift = (factor - 1) / 2
    return InkedText(mask, (left, top, right, bottom), ink.centers * factor + shift, ink.baseline * factor + shift)


def draw_segments(text: str, size: int, *, thickness: float, ghost: int, margin: int) -> InkedText:
    """Draw `text`, digits with "-", "." and ":", as a seven-segment display shows it.

    Args:
        text: Characters of `SEGMENT_CHARACTERS`.
        size: Height of a digit in pixels.
        thickness: Thickness of a segment, relative to `size`.
        ghost: Opacity of the unlit segments, 0 to 255.
        margin: Pixels of space on each side.

    Raises:
        ValueError: `text` is empty or contains another character.
    """
    import cv2

    if not text or not SEGMENT_CHARACTERS.issuperset(text):
        raise ValueError(f"a display of seven segments cannot show {text!r}")
    half, width, gap = thickness * size / 2, 0.5 * size, 0.2 * size
    advance = [width + gap if c in _SEGMENTS else 0.22 * size for c in text]
    starts = margin + np.concatenate([[0.0], np.cumsum(advance)])
    mask = np.zeros((size + 2 * margin, int(starts[-1]) + margin + 1), np.uint8)

    def fill(points: list[tuple[float, float]], level: int) -> None:
        # The coordinates are integers in units of 1/16 pixel (`shift` = 4).
        cv2.fillPoly(mask, [np.round(np.array(points) * 16).astype(np.int32)], level, cv2.LINE_AA, 4)

    for character, x in zip(text, starts, strict=False):
        if character not in _SEGMENTS:
            for y in (0.3, 0.7) if character == ":" else (1 - thickness / 2,):
                left, top = x + half, margin + y * size - half
                fill(
                    [(left, top), (left + 2 * half, top), (left + 2 * half, top + 2 * half), (left, top + 2 * half)],
                    255,
                )
            continue
        for lit in (False, True):
            for name, ((x0, y0), (x1, y1)) in _SEGMENT_ENDS.items():
                if (name in _SEGMENTS[character]) is not lit or not (lit or ghost):
                    continue
                ends = np.array([(x0, y0), (x1, y1)]) * (width - 2 * half, size / 2 - half) + (x + half, margin + half)
                along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
                across = along[::-1] * half
                # A hexagon with pointed ends, with a small gap to its neighbors.
                inner = [ends[0] + along * 1.2 * half, ends[1] - along * 1.2 * half]
                tips = [ends[0] + along * 0.2 * half, ends[1] - along * 0.2 * half]
                points = [tips[0], inner[0] + across, inner[1] + across, tips[1], inner[1] - across, inner[0] - across]
                fill([(float(px), float(py)) for px, py in points], 255 if lit else ghost)
    lit_columns = np.flatnonzero((mask > ghost).any(axis=0))
    box = (float(lit_columns[0]), float(margin), float(lit_columns[-1] + 1), float(margin + size))
    middles = [x + (width / 2 if c in _SEGMENTS else 2 * half) for c, x in zip(text, starts, strict=False)]
    return InkedText(mask, box, np.array(middles, np.float32), float(margin + size))


def can_be_column(text: str) -> bool:
    """Return whether a line may be written from top to bottom: two characters or more, most of them ideographs."""
    return len(text) > 1 and wide_share(text) >= 0.5


def draw_column(text: str, lettering: Lettering, *, margin: int, above: str = "", below: str = "") -> InkedText:
    """Draw `text` as a column of upright characters, rotated by 90 degrees counter-clockwise (`np.rot90`).

    PaddleOCR passes crops at least 1.5 times as high as wide to the recognizer in the same way: the top of the column
    is at the left of the image, so that the characters follow each other in x.

    Args:
        text: The line.
        lettering: Font and spacing; tracking widens the distance between characters, space_scale the spaces.
        margin: Pixels of space on each side.
        above, below: Neighboring columns, above and below in the rotated image, that is right and left of this one.

    Raises:
        ValueError: The face lacks a character of `text`, or `text` is blank.
    """
    from PIL import Image

    check_drawable(text, lettering.face)
    size = lettering.size
    cells = list(_cells(text, lettering))
    half = size // 2 + margin + 2
    image = Image.new("L", (2 * half, round(cells[-1][1]) + 2 * margin))
    _stack(image, text, cells, lettering, half, margin)
    left, top, right, bottom = image.getbbox() or (0, 0, *image.size)
    for neighbor, side in ((above, 1), (below, -1)):
        visible = neighbor[: len(text)]
        if visible and lettering.face.covers(visible):
            _stack(image, visible, list(_cells(visible, lettering)), lettering, half + side * 1.3 * size, margin)
    # A column has a minimum width in em, however narrow its characters.
    least = 0.44 * size if any(map(is_wide, text)) else 0.3 * size
    left, right = min(left, half - least), max(right, half + least)
    centers = np.array([(start + end) / 2 + margin for start, end in cells], np.float32)
    box = (float(top), 2 * half - right, float(bottom), 2 * half - left)
    return InkedText(np.ascontiguousarray(np.rot90(np.asarray(image))), box, centers, box[3])


def column_advances(text: str, lettering: Lettering) -> tuple[np.ndarray, np.ndarray]:
    """Return (starts, ends) of the space of each character; the column starts at 0; see `advances`."""
    cells = np.array(list(_cells(text, lettering)))
    return cells[:, 0], cells[:, 1]


def _cells(text: str, lettering: Lettering) -> Iterator[tuple[float, float]]:
    """Yield the (top, bottom) of the space of each character, starting at 0."""
    y, tracking = 0.0, lettering.tracking * lettering.size
    for character in text:
        em = _SPACE_EM * lettering.space_scale if character == " " else 1.0 if is_wide(character) else _NARROW_EM
        yield y, y + em * lettering.size
        y += em * lettering.size + tracking


def _stack(
    image: Image.Image,
    text: str,
    cells: list[tuple[float, float]],
    lettering: Lettering,
    middle: float,
    margin: int,
) -> None:
    """Draw characters one below the other, centered at x = `middle`."""
    from PIL import Image, ImageDraw

    font, size = lettering.face.at(lettering.size), lettering.size
    draw = ImageDraw.Draw(image)
    for character, (start, end) in zip(text, cells, strict=True):
        if character == " ":
            continue
        has_ideographs = is_wide(character) and REFERENCE_IDEOGRAPH in lettering.face.characters
        top, bottom = extent_of(lettering.face, size, REFERENCE_IDEOGRAPH if has_ideographs else "H")
        baseline = (start + end) / 2 + margin - (top + bottom) / 2
        if character in _TURNED:
            cell = Image.new("L", (size + 4, size + 4))
            at = (size / 2 + 2, size / 2 + 2 - (top + bottom) / 2)
            ImageDraw.Draw(cell).text(at, character, 255, font, "ms", stroke_width=lettering.stroke)
            cell = cell.transpose(Image.Transpose.ROTATE_270)
            corner = (round(middle) - size // 2 - 2, round((start + end) / 2) + margin - size // 2 - 2)
            image.paste(255, corner, cell)
            continue
        shift = 0.5 * size if character in _CORNER else 0.0
        position = (middle + shift, baseline - shift)
        draw.text(position, character, 255, font, "ms", stroke_width=lettering.stroke)
