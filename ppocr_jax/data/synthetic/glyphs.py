"""Drawing a line of text into a mask, with the place of every character known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.data.synthetic.fonts import FontFace

if TYPE_CHECKING:
    from PIL import ImageFont


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
    # The length of a prefix holds the kerning before its last character, so that character lies at its end.
    ends = np.array([font.getlength(text[: i + 1]) for i in range(len(text))], np.float64)
    widths = {c: font.getlength(c) for c in set(text)}
    starts = ends - np.array([widths[c] for c in text])
    is_space = np.array([c == " " for c in text])
    growth = lettering.tracking * lettering.size + is_space * (lettering.space_scale - 1) * widths.get(" ", 0.0)
    before = np.concatenate([[0.0], np.cumsum(growth)[:-1]])
    stretched_space = is_space * (lettering.space_scale - 1) * widths.get(" ", 0.0)
    return starts + before, ends + before + stretched_space


def measure(text: str, lettering: Lettering) -> tuple[float, float]:
    """(width, height) in pixels of the ink box that `draw_text` reports, without drawing."""
    font = lettering.face.at(lettering.size)
    left, top, right, bottom = _ink_box(font, text)
    spaces = (lettering.space_scale - 1) * text.count(" ") * font.getlength(" ")
    tracking = lettering.tracking * lettering.size * (len(text) - 1)
    return max(1.0, right - left + spaces + tracking + 2 * lettering.stroke), max(1.0, bottom - top)


def _ink_box(font: ImageFont.FreeTypeFont, text: str) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of the ink about the start of the base line, at least as tall as a small "x"."""
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    x_top, x_bottom = font.getbbox("x", anchor="ls")[1::2]
    return left, min(top, x_top), right, max(bottom, x_bottom)


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
    left, top, right, bottom = _ink_box(font, text)
    origin_x, baseline = margin - min(0, int(left)), margin - int(top)
    right_end = right + float(ends[-1]) - font.getlength(text)
    size = (int(right_end) + origin_x + margin + 2, int(bottom) + baseline + margin)

    picture = Image.new("L", size)
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1" if lettering.pixelated else "L"
    for begin, end in _runs(text, lettering):
        position = (origin_x + float(starts[begin]), baseline)
        draw.text(position, text[begin:end], 255, font, "ls", stroke_width=lettering.stroke)
    line_height = 1.12 * (bottom - top)
    for neighbour, y in ((above, baseline - line_height), (below, baseline + line_height)):
        if neighbour:
            draw.text((origin_x, y), neighbour, 255, font, "ls", stroke_width=lettering.stroke)
    box = (
        origin_x + left - lettering.stroke,
        baseline + top,
        origin_x + right_end + lettering.stroke,
        baseline + bottom,
    )
    centers = ((starts + ends) / 2 + origin_x).astype(np.float32)
    return InkedText(np.asarray(picture), tuple(float(v) for v in box), centers, float(baseline))


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
