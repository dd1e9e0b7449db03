"""What several writers need of a page's lines and words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ppocr_jax.document.page import Char, Line, Quad


@dataclass(frozen=True)
class WordBox:
    """A word with its quad (pixels, clockwise from where reading starts) and confidence, 0..1."""

    text: str
    quad: Quad
    confidence: float
    chars: tuple[Char, ...] = ()


def line_words(line: Line) -> list[WordBox]:
    """The words of a line; the whole line as one word where its words are not known."""
    if line.words:
        return [WordBox(word.text, word.quad, word.confidence, word.chars) for word in line.words]
    return [WordBox(line.text, line.quad, line.confidence)] if line.text else []


def bounding_box(*quads: Quad) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the upright box around quads, in whole pixels."""
    xs, ys = zip(*(point for quad in quads for point in quad), strict=True)
    return math.floor(min(xs)), math.floor(min(ys)), math.ceil(max(xs)), math.ceil(max(ys))


def direction(quad: Quad) -> float:
    """The direction in which a quad is read, degrees clockwise from rightwards, -180..180."""
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = quad
    return math.degrees(math.atan2(y2 - y1 + y3 - y4, x2 - x1 + x3 - x4))


def height(quad: Quad) -> float:
    """Mean length of the two sides across the direction of reading, pixels."""
    return (math.dist(quad[0], quad[3]) + math.dist(quad[1], quad[2])) / 2


def length(quad: Quad) -> float:
    """Mean length of the two sides along the direction of reading, pixels."""
    return (math.dist(quad[0], quad[1]) + math.dist(quad[3], quad[2])) / 2


def encodable(text: str) -> str:
    """Text that any encoding of Unicode can hold: halves of surrogate pairs, as in names of files that are not UTF-8,
    become replacement characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def xml_text(text: str) -> str:
    """Text that an XML document may hold: what XML 1.0 forbids becomes a replacement character."""
    return "".join(c if _is_xml(ord(c)) else "\ufffd" for c in text)


def _is_xml(code: int) -> bool:
    return code in (9, 10, 13) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
