"""Drawing a line of text into a mask, with the place of every character known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppocr_jax.synth.fonts import FontFace
from ppocr_jax.synth.glyph_metrics import (
    extent_of,
    planned_extent,
    reference_character,
    spacing,
    wide_share,
)

__all__ = [
    "InkedText",
    "Lettering",
    "advances",
    "check_drawable",
    "draw_text",
    "enlarge_dots",
    "extent_of",
    "mean_advance",
    "measure",
    "planned_size",
]

_LATIN_SAMPLE = "MA tone 1.05"
_WIDE_SAMPLE = "国中的一"


@dataclass(frozen=True)
class Lettering:
    """How a line of text is set.

    Attributes:
        face: the font.
        size: pixels per em.
        tracking: extra distance between characters, in em.
        space_scale: width of a space relative to the font's.
        stroke: extra width of the strokes on each side, in pixels.
        pixelated: no gray edges, as printers and old screens draw.
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
        box: (left, top, right, bottom) of the text in the mask; top and bottom reach at least over a small "x", or
            over an ideograph where there are such.
        centers: (len(text),) float32, x of the middle of every character's advance.
        baseline: y of the base line.
    """

    mask: np.ndarray
    box: tuple[float, float, float, float]
    centers: np.ndarray
    baseline: float


def advances(text: str, lettering: Lettering) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends): x of both sides of every character, kerning respected, the line starting at 0."""
    letters = spacing(lettering.face, lettering.size)
    tracking = lettering.tracking * lettering.size
    wider_space = (lettering.space_scale - 1) * letters.width(" ") if " " in text else 0.0
    starts, ends = [], []
    end, previous = 0.0, ""
    for character in text:
        # The basic layout kerns pairs, so lengths of pairs are enough; lengths of prefixes would cost the square.
        start = end + (letters.kerning(previous + character) if previous else 0.0)
        end = start + letters.width(character) + (wider_space if character == " " else 0.0)
        starts.append(start)
        ends.append(end)
        end += tracking
        previous = character
    return np.array(starts), np.array(ends)


def measure(text: str, lettering: Lettering) -> tuple[float, float]:
    """(width, height) in pixels of the ink box that `draw_text` reports, without drawing."""
    font = lettering.face.at(lettering.size)
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    least_top, least_bottom = extent_of(lettering.face, lettering.size, reference_character(text, lettering.face))
    spaces = (lettering.space_scale - 1) * text.count(" ") * font.getlength(" ")
    tracking = lettering.tracking * lettering.size * (len(text) - 1)
    width = right - left + spaces + tracking + 2 * lettering.stroke
    height = max(bottom, least_bottom) - min(top, least_top) + 2 * lettering.stroke
    return max(1.0, width), max(1.0, height)


def planned_size(text: str, lettering: Lettering) -> tuple[float, float]:
    """About what `measure` gives, much faster: heights to a fifth, widths to the white beside the outer characters."""
    letters = spacing(lettering.face, lettering.size)
    width = sum([letters.width(c) for c in text]) + lettering.tracking * lettering.size * (len(text) - 1)
    if lettering.space_scale != 1:
        width += (lettering.space_scale - 1) * text.count(" ") * letters.width(" ")
    top, bottom = planned_extent(text, lettering.face, lettering.size)
    stroke = 2 * lettering.stroke
    return max(1.0, width + stroke), max(1.0, bottom - top + stroke)


def mean_advance(face: FontFace, size: int, text: str = "") -> float:
    """Mean width of a character in ordinary text of the script of `text` (Latin for ""), in pixels."""
    share = wide_share(text)
    letters = spacing(face, size)
    wide = _mean([letters.width(c) for c in _WIDE_SAMPLE if c in face.characters], size) if share else 0.0
    narrow = _mean([letters.width(c) for c in _LATIN_SAMPLE if c in face.characters], size / 2) if share < 1 else 0.0
    return share * wide + (1 - share) * narrow


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def check_drawable(text: str, face: FontFace) -> None:
    """Raises ValueError: the face lacks a character of `text`, or `text` is blank."""
    if not text.strip() or not face.covers(text):
        raise ValueError(f"font {face.name!r} cannot draw {text!r}")


def draw_text(text: str, lettering: Lettering, *, margin: int, above: str = "", below: str = "") -> InkedText:
    """Draw `text`, with `margin` pixels of room on each side and parts of neighboring lines, when given.

    Raises:
        ValueError: the face lacks a character of `text`, or `text` is blank.
    """
    from PIL import Image, ImageDraw

    face, size, stroke = lettering.face, lettering.size, lettering.stroke
    check_drawable(text, face)
    font = face.at(size)
    starts, ends = advances(text, lettering)
    reference = reference_character(text, face)
    top, bottom = planned_extent(text, face, size)
    # A slanted letter leans out of its advance, and some accents and swashes out of the planned extent.
    side, above_margin = margin + size // 3, margin + size // 4
    baseline = above_margin - int(top)
    canvas = (int(ends[-1]) + 2 * side, baseline + int(bottom) + above_margin)

    picture = Image.new("L", canvas)
    draw = ImageDraw.Draw(picture)
    draw.fontmode = "1" if lettering.pixelated else "L"
    for begin, end in _runs(text, lettering):
        draw.text((side + float(starts[begin]), baseline), text[begin:end], 255, font, "ls", stroke_width=stroke)
    inked = picture.getbbox() or (0, 0, *canvas)
    for neighbor, direction in ((above, -1), (below, 1)):
        if neighbor:
            y = baseline + direction * 1.25 * (bottom - top)
            draw.text((side, y), neighbor, 255, font, "ls", stroke_width=stroke)
    least_top, least_bottom = (baseline + v for v in extent_of(face, size, reference))
    box_top, box_bottom = min(inked[1], least_top - stroke), max(inked[3], least_bottom + stroke)
    box = (float(inked[0]), float(box_top), float(inked[2]), float(box_bottom))
    centers = ((starts + ends) / 2 + side).astype(np.float32)
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
    import cv2

    height, width = ink.mask.shape
    mask = cv2.resize(ink.mask, (width * factor, height * factor), interpolation=cv2.INTER_NEAREST)
    if round_dots:
        ys, xs = np.mgrid[:factor, :factor] - (factor - 1) / 2
        dot = (np.hypot(xs, ys) <= 0.5 * factor).astype(np.uint8)
        mask = (mask.reshape(height, factor, width, factor) * dot[:, None, :]).reshape(mask.shape)
    left, top, right, bottom = (v * factor for v in ink.box)
    # Pixel centers are whole numbers: the middle of the enlarged pixel x is factor * (x + 1/2) - 1/2.
    shift = (factor - 1) / 2
    return InkedText(mask, (left, top, right, bottom), ink.centers * factor + shift, ink.baseline * factor + shift)
