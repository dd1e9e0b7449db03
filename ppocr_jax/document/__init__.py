"""Pages in the formats people use.

Each text writer is a function from pages to pieces of text, so that a result can be written while its pages are still
being read. The searchable PDF (`pdf.SearchablePdf`) also needs the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ppocr_jax.document.alto import to_alto
from ppocr_jax.document.hocr import to_hocr
from ppocr_jax.document.json import to_json, to_jsonl
from ppocr_jax.document.markdown import to_markdown
from ppocr_jax.document.page import Page
from ppocr_jax.document.table import to_table
from ppocr_jax.document.text import to_text
from ppocr_jax.errors import UserError

Writer = Callable[..., Iterator[str]]

WRITERS: dict[str, Writer] = {
    "text": to_text,
    "json": to_json,
    "jsonl": to_jsonl,
    "csv": to_table,
    "tsv": partial(to_table, delimiter="\t"),
    "md": to_markdown,
    "hocr": to_hocr,
    "alto": to_alto,
}
"""Format -> function from an iterable of pages to pieces of text."""

WITH_WORDS = ("json", "jsonl", "csv", "tsv", "hocr", "alto")
"""Formats that take `words=True`; hOCR and ALTO hold words anyway, and with it also characters."""


def write_pages(pages: Iterable[Page], name: str, *, words: bool = False) -> Iterator[str]:
    """Pages in one of `WRITERS`, piece by piece.

    Args:
        pages: any number of them.
        name: of the format.
        words: write words too, or instead of lines, and characters where the format can hold them; see `WITH_WORDS`.

    Raises:
        UserError: there is no such format, or it cannot hold words.
    """
    if name not in WRITERS:
        raise UserError(f"no format {name!r}; there are: {', '.join(WRITERS)}")
    if not words:
        return WRITERS[name](pages)
    if name not in WITH_WORDS:
        raise UserError(f"words are written to {', '.join(WITH_WORDS)} only (a pdf always holds them)")
    return WRITERS[name](pages, words=True)


__all__ = [
    "WITH_WORDS",
    "WRITERS",
    "to_alto",
    "to_hocr",
    "to_json",
    "to_jsonl",
    "to_markdown",
    "to_table",
    "to_text",
    "write_pages",
]
