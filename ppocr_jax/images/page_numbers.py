"""Which pages of a document are wanted: "1-3,5,8-"."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ppocr_jax.errors import UserError

_PART = re.compile(r"([0-9]{1,9})(?:(-)([0-9]{1,9})?)?")


class PageNumbers:
    """A set of page numbers that need not know how many pages there are."""

    def __init__(self, pages: str | Iterable[int] | None = None) -> None:
        """Parse what the user wrote.

        Args:
            pages: numbers, counted from 1, and ranges with both ends included, between commas; a range without an end
                goes to the last page. Or the numbers themselves; or None for all pages.

        Raises:
            UserError: it cannot be understood.
        """
        self.text = pages if isinstance(pages, str) else "" if pages is None else ",".join(map(str, pages))
        everything = pages is None or self.text.strip() == "all"
        self._ranges = [(1, None)] if everything else [_parse(part.strip(), self.text) for part in self.text.split(",")]

    def of(self, count: int) -> list[int]:
        """The wanted numbers among 1 ... `count`, ascending, each once."""
        wanted: set[int] = set()
        for first, last in self._ranges:
            wanted.update(range(first, min(count, last or count) + 1))
        return sorted(wanted)


def _parse(part: str, text: str) -> tuple[int, int | None]:
    match = _PART.fullmatch(part)
    if not match:
        raise UserError(f'pages "{text}" cannot be understood; write numbers and ranges, like 1-3,5,8-')
    first, dash, last = int(match[1]), match[2], int(match[3]) if match[3] else None
    if first < 1:
        raise UserError(f'pages "{text}": pages are counted from 1')
    if last is not None and last < first:
        raise UserError(f'pages "{text}": {part} goes backwards')
    return first, last if dash else first
