"""Text written from top to bottom, as a recognizer meets it: turned on its side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.synth.glyph_metrics import REFERENCE_IDEOGRAPH, extent_of, is_wide, wide_share
from ppocr_jax.synth.glyphs import InkedText, Lettering, check_drawable

if TYPE_CHECKING:
    from PIL import Image

# Brackets and dashes lie on their side in a column; commas and full stops stand in the upper right corner.
_TURNED = frozenset("（）〔〕［］｛｝《》〈〉「」『』【】〖〗—―…‥～-–()[]{}<>|~_")
_CORNER = frozenset("，。、．")
_SPACE_EM = 0.5
_NARROW_EM = 0.95


def can_be_column(text: str) -> bool:
    """Whether a line is ever written from top to bottom: two characters or more, most of them ideographs."""
    return len(text) > 1 and wide_share(text) >= 0.5


def draw_column(text: str, lettering: Lettering, *, margin: int, above: str = "", below: str = "") -> InkedText:
    """Draw `text` as a column of upright characters, turned by 90 degrees counter-clockwise (`np.rot90`).

    That is how PaddleOCR hands a crop of at least 1.5 times its width to the recognizer: the column's top is at the
    picture's left, so characters follow each other in x.

    Args:
        text: the line.
        lettering: how it is set; tracking widens the distance from character to character, space_scale the spaces.
        margin: pixels of room on each side.
        above, below: neighboring columns, above and below in the turned picture: at the right and left of this one.

    Raises:
        ValueError: the face lacks a character of `text`, or `text` is blank.
    """
    from PIL import Image

    check_drawable(text, lettering.face)
    size = lettering.size
    cells = list(_cells(text, lettering))
    half = size // 2 + margin + 2
    picture = Image.new("L", (2 * half, round(cells[-1][1]) + 2 * margin))
    _stack(picture, text, cells, lettering, half, margin)
    left, top, right, bottom = picture.getbbox() or (0, 0, *picture.size)
    for neighbor, side in ((above, 1), (below, -1)):
        visible = neighbor[: len(text)]
        if visible and lettering.face.covers(visible):
            _stack(picture, visible, list(_cells(visible, lettering)), lettering, half + side * 1.3 * size, margin)
    # A column is as wide as its em, however narrow its characters.
    least = 0.44 * size if any(map(is_wide, text)) else 0.3 * size
    left, right = min(left, half - least), max(right, half + least)
    centers = np.array([(start + end) / 2 + margin for start, end in cells], np.float32)
    box = (float(top), 2 * half - right, float(bottom), 2 * half - left)
    return InkedText(np.ascontiguousarray(np.rot90(np.asarray(picture))), box, centers, box[3])


def column_advances(text: str, lettering: Lettering) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends): both sides of the room of every character, the column starting at 0; see `advances`."""
    cells = np.array(list(_cells(text, lettering)))
    return cells[:, 0], cells[:, 1]


def _cells(text: str, lettering: Lettering) -> Iterator[tuple[float, float]]:
    """(top, bottom) of the room of each character, from 0 on."""
    y, tracking = 0.0, lettering.tracking * lettering.size
    for character in text:
        em = _SPACE_EM * lettering.space_scale if character == " " else 1.0 if is_wide(character) else _NARROW_EM
        yield y, y + em * lettering.size
        y += em * lettering.size + tracking


def _stack(
    picture: Image.Image,
    text: str,
    cells: list[tuple[float, float]],
    lettering: Lettering,
    middle: float,
    margin: int,
) -> None:
    """Draw characters one below the other, their middles at x = `middle`."""
    from PIL import Image, ImageDraw

    font, size = lettering.face.at(lettering.size), lettering.size
    draw = ImageDraw.Draw(picture)
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
            picture.paste(255, corner, cell)
            continue
        shift = 0.5 * size if character in _CORNER else 0.0
        position = (middle + shift, baseline - shift)
        draw.text(position, character, 255, font, "ms", stroke_width=lettering.stroke)
