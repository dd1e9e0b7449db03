"""Drawing a line of text into a mask, with the place of every character known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ppocr_jax.data.synthetic.fonts import FontFace


@dataclass(frozen=True)
class Lettering:
    """How a line of text is set.

    Attributes:
        face: the font.
        size: pixels per em.
        tracking: extra distance between characters, in em.
        space_scale: width of a space relative to the font's.
        stroke: extra width of the strokes on each side, in pixels.
        pixelated: no grey edges, as printers and old screens draw.
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
        box: (left, top, right, bottom) of the text in the mask; top and bottom reach at least over a small "x".
        centers: (len(text),) float32, x of the middle of every character's advance.
        baseline: y of the base line.
    """

    mask: np.ndarray
    box: tuple[float, float, float, float]
    centers: np.ndarray
    baseline: float


def advances(text: str, lettering: Lettering) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends): x of both sides of every character, kerning respected, the line starting at 0."""
    font = lettering.face.at(lettering.size)
    widths = {c: font.getlength(c) for c in set(text)}
    # The basic layout kerns pairs, so lengths of pairs are enough; lengths of prefixes would cost the square.
    pairs = list(pairwise(text))
    kerning = {pair: font.getlength("".join(pair)) - widths[pair[0]] - widths[pair[1]] for pair in set(pairs)}
    own = np.array([widths[c] for c in text])
    ends = np.cumsum(own + np.array([0.0] + [kerning[pair] for pair in pairs]))
    starts = ends - own
    is_space = np.array([c == " " for c in text])
    wider_space = is_space * (lettering.space_scale - 1) * widths.get(" ", 0.0)
    growth = lettering.tracking * lettering.size + wider_space
    before = np.cumsum(growth) - growth
    return starts + before, ends + before + wider_space


def measure(text: str, lettering: Lettering) -> tuple[float, float]:
    """(width, height) in pixels of the ink box that `draw_text` reports, without drawing."""
    font = lettering.face.at(lettering.size)
    left, top, right, bottom = _ink_box(text, lettering)
    spaces = (lettering.space_scale - 1) * text.count(" ") * font.getlength(" ")
    tracking = lettering.tracking * lettering.size * (len(text) - 1)
    return max(1.0, right - left + spaces + tracking + 2 * lettering.stroke), max(
        1.0, bottom - top + 2 * lettering.stroke
    )


def mean_advance(face: FontFace, size: int) -> float:
    """Mean width of a character in ordinary text, in pixels."""
    sample = "".join([c for c in "Total 1.50 AMOUNT name" if face.covers(c)]) or min(face.characters - {" "})
    return face.at(size).getlength(sample) / len(sample)


def _ink_box(text: str, lettering: Lettering) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the ink about the start of the base line, at least as tall as a small "x"."""
    left, top, right, bottom = lettering.face.at(lettering.size).getbbox(text, anchor="ls")
    x_top, x_bottom = extent_of(lettering.face, lettering.size, "x")
    return left, min(top, x_top), right, max(bottom, x_bottom)


@lru_cache(maxsize=8192)
def extent_of(face: FontFace, size: int, character: str) -> tuple[float, float]:
    """(top, bottom) of a character's ink relative to the base line; y points down."""
    _, top, _, bottom = face.at(size).getbbox(character, anchor="ls")
    return top, bottom


def draw_text(text: str, lettering: Lettering, *, margin: int, above: str = "", below: str = "") -> InkedText:
    """Draw `text`, with `margin` pixels of room on each side and parts of neighbouring lines, when given.

    Raises:
        ValueError: the face lacks a character of `text`, or `text` is blank.
    """
    from PIL import Image, ImageDraw

    if not text.strip() or not lettering.face.covers(text):
        raise ValueError(f"font {lettering.face.name!r} cannot draw {text!r}")
    font = lettering.face.at(lettering.size)
    starts, ends = advances(text, lettering)
    left, top, right, bottom = _ink_box(text, lettering)
    origin_x, baseline = margin - min(0, int(left)), margin - int(top)
    right_end = right + float(ends[-1]) - font.getlength(text)
    size = (int(right_end) + origin_x + margin + 2, int(bottom) + baseline + margin)

    picture = Image.new("L", size)
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1" if lettering.pixelated else "L"
    for begin, end in _runs(text, lettering):
        position = (origin_x + float(starts[begin]), baseline)
        draw.text(position, text[begin:end], 255, font, "ls", stroke_width=lettering.stroke)
    # The font's own box counts the white beside the first and last character; the picture's does not.
    inked = picture.getbbox() or (0, 0, *size)
    line_height = 1.25 * (bottom - top)
    for neighbour, y in ((above, baseline - line_height), (below, baseline + line_height)):
        if neighbour:
            draw.text((origin_x, y), neighbour, 255, font, "ls", stroke_width=lettering.stroke)
    stroke = lettering.stroke
    box = (float(inked[0]), float(baseline + top - stroke), float(inked[2]), float(baseline + bottom + stroke))
    centers = ((starts + ends) / 2 + origin_x).astype(np.float32)
    return InkedText(np.asarray(picture), box, centers, float(baseline))


def _runs(text: str, lettering: Lettering) -> list[tuple[int, int]]:
    """Parts of the text that can be drawn in one call: all of it, words, or characters."""
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
    """`factor` times as large, every pixel a square dot of a thermal printer or a round one of a needle printer."""
    dot = np.ones((factor, factor), np.uint8)
    if round_dots:
        ys, xs = np.mgrid[:factor, :factor] - (factor - 1) / 2
        dot = (np.hypot(xs, ys) <= 0.5 * factor).astype(np.uint8)
    left, top, right, bottom = (v * factor for v in ink.box)
    # Pixel centres are whole numbers: the middle of the enlarged pixel x is factor * (x + 1/2) - 1/2.
    shift = (factor - 1) / 2
    return InkedText(
        np.kron(ink.mask, dot), (left, top, right, bottom), ink.centers * factor + shift, ink.baseline * factor + shift
    )
