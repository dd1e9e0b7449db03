"""Pages as records: JSON, JSON Lines, comma- and tab-separated values."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ppocr_jax.document.page import Page, Quad, line_words
from ppocr_jax.document.text import encodable
from ppocr_jax.errors import UserError

_CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
LINE_COLUMNS = ("image", "page", "line", "text", "confidence", "detection_score", "angle", *_CORNERS)
WORD_COLUMNS = ("image", "page", "line", "word", "text", "confidence", *_CORNERS)


def to_jsonl(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield the `to_dict` of each page in a row of its own: JSON Lines."""
    for page in pages:
        row = json.dumps(page.to_dict(words=words), ensure_ascii=False) + "\n"
        # Halves of surrogate pairs, as in names of files that are not UTF-8: this writes them as JSON does, \\udc80.
        yield row.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield the `to_dict` of a page in a row; of several an array with a page in each row."""
    rows = (row.rstrip("\n") for row in to_jsonl(pages, words=words))
    first = list(itertools.islice(rows, 2))
    if len(first) < 2:
        yield from (row + "\n" for row in first or ["[]"])
        return
    yield "[\n" + first[0] + ",\n" + first[1]
    for row in rows:
        yield ",\n" + row
    yield "\n]\n"


def to_table(pages: Iterable[Page], *, words: bool = False, delimiter: str = ",") -> Iterator[str]:
    """Yield a head and a row for each line, or with `words` for each word; as RFC 4180 says, rows end in CR LF.

    Lines and words count from 1; corners run clockwise from where reading starts, in pixels. Pages without text, and
    such as could not be read, have no rows.
    """
    yield csv_row(WORD_COLUMNS if words else LINE_COLUMNS, delimiter)
    for page in pages:
        for number, line in enumerate(page, start=1):
            place = (page.source, page.number, number)
            if words:
                for k, word in enumerate(line_words(line), start=1):
                    yield csv_row((*place, k, word.text, f"{word.confidence:.4f}", *_corners(word.quad)), delimiter)
            else:
                scores = (f"{line.confidence:.4f}", f"{line.detection_score:.4f}", line.angle)
                yield csv_row((*place, line.text, *scores, *_corners(line.quad)), delimiter)


def csv_row(values: Iterable[Any], delimiter: str = ",") -> str:
    """Return one row of a table, quoted where it must be."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerow(values)
    return encodable(out.getvalue())


def _corners(quad: Quad) -> list[str]:
    return [f"{value:g}" for point in quad for value in point]


def pages_in_jsonl(path: Path, *, repair: bool = False) -> set[tuple[str, int]]:
    """Return (source, number) of the pages in a JSON Lines file, as `OCR.read` takes them to `skip`.

    Args:
        path: a file as `to_jsonl` writes it. Its last row does not count where it was broken off.
        repair: cut such a row off, so that writing can go on.

    Raises:
        UserError: the file cannot be read, or another row is not a page.
    """
    try:
        rows = path.read_bytes().splitlines(keepends=True)
        if rows and not rows[-1].endswith(b"\n"):
            rows.pop()
            if repair:
                os.truncate(path, sum(map(len, rows)))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    done = set()
    for number, row in enumerate(rows, start=1):
        try:
            page = Page.from_dict(json.loads(row))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}:{number} is not a page written by infer; --resume cannot go on with it") from error
        done.add((page.source, page.number))
    return done
