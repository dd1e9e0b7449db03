"""Words -> the operators that set them in a PDF page, each stretched to fill its quad."""

from __future__ import annotations

import math

from ppocr_jax.document.elements import height, length, line_words
from ppocr_jax.document.page import Line, Quad
from ppocr_jax.document.pdf_font import CHAR_WIDTH, DESCENT, InvisibleFont

_LEAST_SIZE = 0.1  # points; even a word without extent can be found


def text_operators(line: Line, font: InvisibleFont, scale_x: float, scale_y: float, page_height: float) -> str:
    """Each word where it stands; all but the last one with a space after it, for those who copy.

    Args:
        line: in pixels.
        font: known to the page as /F1.
        scale_x, scale_y: points per pixel.
        page_height: in points.

    Returns:
        what stands between BT and ET.
    """
    words = line_words(line)
    drawn = []
    for k, word in enumerate(words, start=1):
        a, b, c, d = [(x * scale_x, page_height - y * scale_y) for x, y in word.quad]
        drawn.append(_word(font.encode(word.text), font.encode(" " * (k < len(words))), (a, b, c, d)))
    return "".join(drawn)


def _word(codes: list[int], after: list[int], quad: Quad) -> str:
    """Characters that fill a quad, in points with y upwards, and what comes after them."""
    if not codes:
        return ""
    size, wide = max(height(quad), _LEAST_SIZE), max(length(quad), _LEAST_SIZE)
    (left, top), _, (right, right_bottom), (base, bottom) = quad
    angle = math.atan2(right_bottom - bottom, right - base)
    cosine, sine = math.cos(angle), math.sin(angle)
    up_x, up_y = (left - base) * DESCENT, (top - bottom) * DESCENT
    stretch = 100 * wide / (len(codes) * CHAR_WIDTH * size)
    shown = "".join(f"{code:04x}" for code in codes + after)
    matrix = f"{cosine:.5f} {sine:.5f} {-sine:.5f} {cosine:.5f} {base + up_x:.3f} {bottom + up_y:.3f}"
    return f"/F1 {size:.3f} Tf {stretch:.3f} Tz {matrix} Tm <{shown}> Tj\n"
