"""Plain text: the lines in reading order."""

from __future__ import annotations

from ppocr_jax.results import Page


def to_text(page: Page) -> str:
    """One text line per row, each ended by a line break; empty for a page without text."""
    return "".join(line.text + "\n" for line in page)
