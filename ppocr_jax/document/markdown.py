"""Markdown: the text as paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ppocr_jax.document.elements import bounding_box, encodable, height
from ppocr_jax.document.page import Page, Quad

_PARAGRAPH_GAP = 0.8  # of the lower line's height
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_LEADING = re.compile(r"^([-+=]|\d+[.)])(?=\s|$|=|-)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def to_markdown(pages: Iterable[Page]) -> Iterator[str]:
    """Lines in reading order, each in a row of its own; a wide gap begins a paragraph, a rule separates pages.

    Characters with a meaning in Markdown are escaped, so that what was read is what is shown. Rows end in a backslash,
    CommonMark's line break. Spaces around a line, and lines without text, are left out; control characters become
    spaces.
    """
    for number, page in enumerate(pages):
        paragraphs = ["\\\n".join(part) + "\n" for part in _paragraphs(page)]
        yield encodable(("\n---\n\n" if number else "") + "\n".join(paragraphs))


def _paragraphs(page: Page) -> list[list[str]]:
    parts: list[list[str]] = []
    above: Quad | None = None
    for line in page:
        text = _escaped(_CONTROL.sub(" ", line.text).strip())
        if not text:
            continue
        quad = _upright(line.quad, page.rotation)
        if above is None or _far_below(above, quad):
            parts.append([])
        parts[-1].append(text)
        above = quad
    return parts


def _upright(quad: Quad, rotation: int) -> Quad:
    """A quad of a page that is turned by so many degrees clockwise, on the page turned back, up to a shift."""
    for _ in range(rotation // 90 % 4):
        (a, b), (c, d), (e, f), (g, h) = quad
        quad = (b, -a), (d, -c), (f, -e), (h, -g)
    return quad


def _far_below(above: Quad, quad: Quad) -> bool:
    """Whether a line begins a paragraph: it stands far below the one before, or above it, as in the next column."""
    _, top, _, bottom = bounding_box(above)
    _, next_top, _, next_bottom = bounding_box(quad)
    return next_top - bottom > _PARAGRAPH_GAP * min(height(above), height(quad)) or next_bottom < top


def _escaped(text: str) -> str:
    text = _SPECIAL.sub(r"\\\1", text)
    return _LEADING.sub(lambda found: found[1][:-1] + "\\" + found[1][-1], text)
