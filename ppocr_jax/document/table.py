"""Comma- or tab-separated values: a row for each line, or for each word."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from ppocr_jax.document.elements import encodable, line_words
from ppocr_jax.document.page import Page, Quad

_CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
LINE_COLUMNS = ("image", "page", "line", "text", "confidence", "detection_score", "angle", *_CORNERS)
WORD_COLUMNS = ("image", "page", "line", "word", "text", "confidence", *_CORNERS)


def to_table(pages: Iterable[Page], *, words: bool = False, delimiter: str = ",") -> Iterator[str]:
    """A head and a row for each line, or with `words` for each word; as RFC 4180 says, rows end in CR LF.

    Lines and words count from 1; corners run clockwise from where reading starts, in pixels. Pages without text, and
    such as could not be read, have no rows.
    """
    yield _row(WORD_COLUMNS if words else LINE_COLUMNS, delimiter)
    for page in pages:
        for number, line in enumerate(page, start=1):
            place = (page.source, page.number, number)
            if words:
                for k, word in enumerate(line_words(line), start=1):
                    yield _row((*place, k, word.text, f"{word.confidence:.4f}", *_corners(word.quad)), delimiter)
            else:
                scores = (f"{line.confidence:.4f}", f"{line.detection_score:.4f}", line.angle)
                yield _row((*place, line.text, *scores, *_corners(line.quad)), delimiter)


def _corners(quad: Quad) -> list[str]:
    return [f"{value:g}" for point in quad for value in point]


def _row(values: Iterable[Any], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerow(values)
    return encodable(out.getvalue())
