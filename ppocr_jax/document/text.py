"""Plain text: the lines in reading order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ppocr_jax.document.elements import encodable
from ppocr_jax.document.page import Page


def to_text(pages: Iterable[Page]) -> Iterator[str]:
    """One text line per row, each ended by a line break; pages are separated by a form feed."""
    for number, page in enumerate(pages):
        yield encodable("\f" * (number > 0) + "".join(line.text + "\n" for line in page))
