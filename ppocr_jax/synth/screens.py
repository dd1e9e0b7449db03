"""Images of screens: windows with lists, buttons and text, chats with bubbles, programs in an editor."""

from __future__ import annotations

import re

import numpy as np

from ppocr_jax.synth.canvas import Color, fitting
from ppocr_jax.synth.composer import Composer
from ppocr_jax.synth.corpus import in_charset
from ppocr_jax.synth.effects import LUMINANCE
from ppocr_jax.synth.phrases import pick, source_code, time

# Colors of buttons, bars and bubbles in user interfaces.
_ACCENTS: tuple[Color, ...] = (
    *((26, 115, 232), (52, 168, 83), (234, 67, 53), (7, 193, 96), (98, 0, 238), (255, 152, 0), (0, 122, 255)),
    *((33, 33, 33), (3, 155, 229), (216, 27, 96), (0, 137, 123), (245, 245, 247), (255, 214, 10), (88, 86, 214)),
)


def screenshot(page: Composer) -> None:
    """Draw a window or a conversation, from the title bar down."""
    accent = pick(page.rng, _ACCENTS)
    if page.rng.random() < 0.7:
        _title_bar(page, accent)
    if page.rng.random() < 0.3:
        _conversation(page, accent)
    else:
        _window(page, accent)


def _title_bar(page: Composer, accent: Color) -> None:
    rng, canvas = page.rng, page.canvas
    colored = rng.random() < 0.4
    color = accent if colored else page.near_background(40)
    canvas.mark("rectangle", [0, 0, canvas.width, page.leading * 1.8], width=0, color=color)
    page.y = page.leading * 1.2
    x = page.left
    if rng.random() < 0.4:
        x = _icons(page, x, int(rng.integers(1, 4)))
    page.at(x, page.words(6, 40), color=_ink_on(color) if colored else None, room=page.right - x)
    page.next(2)


def _icons(page: Composer, x: float, count: int) -> float:
    """Draw a few round or square icons starting at `x`; return the x after them."""
    rng, size = page.rng, page.lettering.size
    shape = pick(rng, ("ellipse", "rounded", "rectangle"))
    for _ in range(count):
        box = [x, page.y - 0.75 * size, x + 0.8 * size, page.y + 0.05 * size]
        filled = rng.random() < 0.6
        page.canvas.mark(shape, box, width=0 if filled else 1, color=pick(rng, _ACCENTS))
        x += 1.3 * size
    return x


def _window(page: Composer, accent: Color) -> None:
    """Draw rows of a list or text and buttons, sometimes with a column of entries at the left."""
    rng, canvas, size = page.rng, page.canvas, page.lettering.size
    if rng.random() < 0.4:
        split = page.left + page.width * rng.uniform(0.2, 0.35)
        canvas.mark("line", [split, page.y - page.leading, split, canvas.height], level=int(rng.integers(40, 256)))
        page.right, right = split - size, page.right
        top, icons = page.y, rng.random() < 0.5
        while page.has_room and rng.random() < 0.95:
            x = _icons(page, page.left, 1) if icons else page.left
            page.at(x, page.words(3, 18), room=page.right - x)
            page.next(float(rng.uniform(1.2, 1.8)))
        page.left, page.right, page.y = split + size, right, top
    while page.has_room:
        kind = rng.random()
        if kind < 0.2:
            _buttons(page, accent)
        elif kind < 0.35:
            _row(page)
        else:
            page.line(page.words(5, 70), scale=float(rng.choice((1, 1, 1, 1.4))))
        page.next(float(rng.choice((0, 0.2, 0.8))))


def _row(page: Composer) -> None:
    """Draw a row of a list: an icon, a name, and a value at the right."""
    x = _icons(page, page.left, 1)
    page.at(x, page.words(4, 24), room=0.6 * page.width)
    page.at(page.right, page.language.phrase(page.rng), anchor="r", room=0.25 * page.width)
    page.next()
    y = page.y - 0.45 * page.leading
    page.canvas.mark("line", [page.left, y, page.right, y], level=int(page.rng.integers(20, 120)))
    page.next(0.3)


def _buttons(page: Composer, accent: Color) -> None:
    rng, size = page.rng, page.lettering.size
    x, shape = page.left, pick(rng, ("rectangle", "rounded"))
    page.next(0.5)
    for _ in range(int(rng.integers(1, 5))):
        width = size * rng.uniform(4, 10)
        if x + width > page.right:
            break
        box = [x, page.y - 1.4 * size, x + width, page.y + 0.7 * size]
        colored = rng.random() < 0.4
        page.canvas.mark(shape, box, width=0, color=accent if colored else page.near_background(35))
        if not colored:
            page.canvas.mark(shape, box, width=1, level=int(rng.integers(60, 256)))
        ink = _ink_on(accent) if colored else None
        page.at(x + width / 2, page.words(2, 12), anchor="m", room=width - size, color=ink)
        x += width + size
    page.next(1.6)


def _conversation(page: Composer, accent: Color) -> None:
    """Draw bubbles of text, one speaker's at the left and the other's at the right."""
    rng, size = page.rng, page.lettering.size
    other = page.near_background(30)
    while page.has_room:
        if rng.random() < 0.2:
            page.at((page.left + page.right) / 2, time(rng), anchor="m", scale=0.8)
            page.next(1.5)
        mine = rng.random() < 0.5
        lines = _wrapped(page, page.words(4, 80), page.width * float(rng.uniform(0.4, 0.7)) - 2 * size)
        font = page.lettering.face.at(page.lettering.size)
        width = max((font.getlength(line) for line in lines), default=size) + 1.6 * size
        height = len(lines) * page.leading + 0.8 * size
        left = page.right - width if mine else page.left
        box = [left, page.y - 1.2 * size, left + width, page.y - 1.2 * size + height]
        color = accent if mine else other
        page.canvas.mark("rounded", box, width=0, color=color)
        for line in lines:
            page.at(left + 0.8 * size, line, room=width, color=_ink_on(color) if mine else None)
            page.next()
        page.next(float(rng.uniform(0.8, 1.6)))


def _wrapped(page: Composer, text: str, width: float) -> list[str]:
    """Return up to five lines that are at most `width` wide."""
    lines = []
    while text.strip() and len(lines) < 5:
        line = fitting(text, page.lettering, width) or text[:1]
        lines.append(line)
        text = text[len(line) :].lstrip()
    return lines


def _ink_on(color: Color) -> Color:
    return (255, 255, 255) if float(np.array(color) @ LUMINANCE) < 150 else (20, 20, 20)


def editor(page: Composer) -> None:
    """Write lines of programs, commands and comments with colored words, often with line numbers."""
    rng, size = page.rng, page.lettering.size
    numbered, number = rng.random() < 0.6, int(rng.integers(1, 400))
    ground, _ = page.canvas.background_color((0, 0, page.canvas.width, page.canvas.height))
    dark = float(ground @ LUMINANCE) < 128
    colors = [_syntax_color(rng, dark) for _ in range(4)]
    if rng.random() < 0.4:
        _title_bar(page, pick(rng, _ACCENTS))
    indent, first = 0, page.left + (3.0 * size if numbered else 0.0)
    while page.has_room:
        if numbered:
            page.at(page.left + 2.2 * size, str(number), anchor="r", color=_faded(ground, dark))
        kind = rng.random()
        if kind < 0.88:
            text = source_code(rng) if kind < 0.75 else f"# {page.words(4, 40)}"
            x = first + 1.2 * indent * size
            _colored_line(page, x, text, colors)
        indent = max(0, min(5, indent + int(rng.integers(-1, 2))))
        number += 1
        page.next()


def _colored_line(page: Composer, x: float, text: str, colors: list[Color]) -> None:
    """Write one line; about half of its words get random colors."""
    rng, lettering = page.rng, page.lettering
    text = "".join([c for c in in_charset(text, page.charset) if c in lettering.face.characters])
    text = fitting(text, lettering, page.right - x)
    box = page.canvas.text(x, page.y, text, lettering)
    if box is None:
        return
    font = lettering.face.at(lettering.size)
    for match in re.finditer(r"\w+|\W+", text):
        left = round(x) + font.getlength(text[: match.start()])
        right = round(x) + font.getlength(text[: match.end()])
        if rng.random() < 0.5:
            page.canvas.tint((max(box[0], left), box[1], min(box[2], right), box[3]), pick(rng, colors))


def _syntax_color(rng: np.random.Generator, dark: bool) -> Color:
    values = 0.55 * rng.uniform(0, 255, 3) + (115 if dark else 0)
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def _faded(ground: np.ndarray, dark: bool) -> Color:
    """Return the gray of line numbers: closer to the ground than the text, but legible."""
    return tuple(int(np.clip(v + (95 if dark else -95), 0, 255)) for v in ground)  # type: ignore[return-value]
