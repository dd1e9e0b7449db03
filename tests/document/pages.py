"""Pages to write."""

from __future__ import annotations

import math

from ppocr_jax.document.page import Char, Line, Page, Quad, Word


def box(left: float, top: float, right: float, bottom: float) -> Quad:
    return (left, top), (right, top), (right, bottom), (left, bottom)


def turned(quad: Quad, degrees: float, center: tuple[float, float]) -> Quad:
    """Clockwise about a point."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    points = [(x - center[0], y - center[1]) for x, y in quad]
    a, b, c, d = [(center[0] + x * cosine - y * sine, center[1] + x * sine + y * cosine) for x, y in points]
    return a, b, c, d


def line(text: str, left: float, top: float, *, degrees: float = 0, advance: float = 12, size: float = 20) -> Line:
    """A line of characters that are all equally wide, with its words."""
    quad = box(left, top, left + advance * len(text), top + size)
    center = (left, top)

    def place(start: int, end: int) -> Quad:
        return turned(box(left + advance * start, top, left + advance * end, top + size), degrees, center)

    words, start = [], 0
    for part in text.split(" "):
        end = start + len(part)
        if part:
            chars = tuple(Char(text[k], place(k, k + 1), 0.9) for k in range(start, end))
            words.append(Word(chars, place(start, end)))
        start = end + 1
    return Line(turned(quad, degrees, center), text, 0.9, 0.8, 0, tuple(words))


TEXTS = ("Corner Shop", 'Tea <green> & "milk" 2.50 €', "字体 测试")
PAGE = Page(
    600,
    400,
    (
        line(TEXTS[0], 50, 40),
        line(TEXTS[1], 50, 100),
        line(TEXTS[2], 50, 160, size=24),
        line("up the side", 500, 390, degrees=-90),
    ),
    "scans/a & b.png",
)
EMPTY = Page(100, 80, (), "empty.png")
FAILED = Page.of_error("no such file: gone.png", "gone.png")
