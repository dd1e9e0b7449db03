"""JSON: one object per picture."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

from ppocr_jax.document.page import Page


def to_jsonl(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """JSON Lines: the `to_dict` of each page in a row of its own."""
    for page in pages:
        row = json.dumps(page.to_dict(words=words), ensure_ascii=False) + "\n"
        # Halves of surrogate pairs, as in names of files that are not UTF-8: this writes them as JSON does, \\udc80.
        yield row.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """The `to_dict` of a page in a row; of several an array with a page in each row."""
    rows = (row.rstrip("\n") for row in to_jsonl(pages, words=words))
    first = list(itertools.islice(rows, 2))
    if len(first) < 2:
        yield from (row + "\n" for row in first or ["[]"])
        return
    yield "[\n" + first[0] + ",\n" + first[1]
    for row in rows:
        yield ",\n" + row
    yield "\n]\n"
