"""Plain text and Markdown: the lines in reading order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ppocr_jax.document.page import Page, Quad, quad_box, quad_height, turn_back

_PARAGRAPH_GAP = 0.8  # of the lower line's height
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_LEADING = re.compile(r"^([-+=]|\d+[.)])(?=\s|$|=|-)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def encodable(text: str) -> str:
    """Return text that any encoding of Unicode can hold: halves of surrogate pairs, as in names of files that are not
    UTF-8, become replacement characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def to_text(pages: Iterable[Page]) -> Iterator[str]:
    """Yield one row per line, each ended by a line break; pages are separated by a form feed."""
    for number, page in enumerate(pages):
        yield encodable("\f" * (number > 0) + "".join(line.text + "\n" for line in page))


def to_markdown(pages: Iterable[Page]) -> Iterator[str]:
    """Yield lines in reading order, each in a row; a wide gap begins a paragraph, a rule separates pages.

    Characters with a meaning in Markdown are escaped, so that what was read is what is shown. Rows end in a backslash,
    CommonMark's line break. Spaces around a line, and lines without text, are left out; control characters become
    spaces.
    """
    for number, page in enumerate(pages):
        paragraphs = ["\\\n".join(part) + "\n" for part in _paragraphs(page)]
        yield encodable(("\n---\n\n" if number else "") + "\n".join(paragraphs))


def markdown_text(text: str) -> str:
    """Return a text as it has to be written to be seen in Markdown: in one row, special characters escaped."""
    text = _SPECIAL.sub(r"\\\1", _CONTROL.sub(" ", text).strip())
    return _LEADING.sub(lambda found: found[1][:-1] + "\\" + found[1][-1], text)


def _paragraphs(page: Page) -> list[list[str]]:
    parts: list[list[str]] = []
    above: Quad | None = None
    for line in page:
        text = markdown_text(line.text)
        if not text:
            continue
        quad = turn_back(line.quad, page.rotation)
        if above is None or _far_below(above, quad):
            parts.append([])
        parts[-1].append(text)
        above = quad
    return parts


def _far_below(above: Quad, quad: Quad) -> bool:
    """Return whether a line begins a paragraph: it is far below the one before, or above it, as in the next column."""
    _, top, _, bottom = quad_box(above)
    _, next_top, _, next_bottom = quad_box(quad)
    gap = _PARAGRAPH_GAP * min(quad_height(above), quad_height(quad))
    return next_top - bottom > gap or next_bottom < top
