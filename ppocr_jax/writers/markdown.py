"""Markdown: the text as paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ppocr_jax.results import Line, Page
from ppocr_jax.writers.elements import bounding_box, height

_PARAGRAPH_GAP = 0.8  # of the lower line's height
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_LEADING = re.compile(r"^(\s*)([-+=]|\d+[.)])(?=\s|$|=|-)")


def to_markdown(pages: Iterable[Page]) -> Iterator[str]:
    """Lines in reading order, each in a row of its own; a wide gap begins a paragraph, a rule separates pages.

    Characters with a meaning in Markdown are escaped, so that what was read is what is shown. Rows end in a backslash,
    CommonMark's line break.
    """
    for number, page in enumerate(pages):
        paragraphs = ["\\\n".join(_escaped(line.text) for line in part) for part in _paragraphs(page)]
        yield ("\n---\n\n" if number else "") + "\n".join(text + "\n" for text in paragraphs)


def _paragraphs(page: Page) -> list[list[Line]]:
    parts: list[list[Line]] = []
    for line in page:
        if parts and not _far_below(parts[-1][-1], line):
            parts[-1].append(line)
        else:
            parts.append([line])
    return parts


def _far_below(above: Line, line: Line) -> bool:
    """Whether a line begins a paragraph: it stands far below the one before, or above it, as in the next column."""
    _, top, _, bottom = bounding_box(above.quad)
    _, next_top, _, next_bottom = bounding_box(line.quad)
    return next_top - bottom > _PARAGRAPH_GAP * min(height(above.quad), height(line.quad)) or next_bottom < top


def _escaped(text: str) -> str:
    text = _SPECIAL.sub(r"\\\1", text)
    return _LEADING.sub(lambda found: found[1] + found[2][:-1] + "\\" + found[2][-1], text)
