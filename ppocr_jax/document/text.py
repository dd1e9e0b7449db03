"""Text formats of pages: plain text, Markdown, JSON, JSON Lines, comma- and tab-separated values."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ppocr_jax.document.output import OutputFile
from ppocr_jax.document.page import Page, Quad, line_words, quad_box, quad_direction, quad_height, rotate_back
from ppocr_jax.errors import UserError

_PARAGRAPH_GAP = 0.8  # as a share of the smaller line's height
_SAME_DIRECTION = 45.0  # degrees
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$])")
_LEADING = re.compile(r"^([-+=]|\d+[.)])(?=\s|$|=|-)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
LINE_COLUMNS = ("image", "page", "line", "text", "confidence", "detection_score", "angle", *_CORNERS)
WORD_COLUMNS = ("image", "page", "line", "word", "text", "confidence", *_CORNERS)


def encodable(text: str) -> str:
    """Replace unpaired surrogates, as in file names that are not UTF-8, by U+FFFD, so that the text can be encoded."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def to_text(pages: Iterable[Page]) -> Iterator[str]:
    """Yield each page with one row per line. Pages are separated by form feeds."""
    for number, page in enumerate(pages):
        yield encodable("\f" * (number > 0) + "".join(line.text + "\n" for line in page))


def to_markdown(pages: Iterable[Page]) -> Iterator[str]:
    """Yield each page with one row per line. Wide gaps begin paragraphs, and rules separate pages.

    Markdown's special characters are escaped, so that the recognized text is displayed unchanged. Rows end with a
    backslash, CommonMark's line break. Spaces around a line, and lines without text, are removed. Control characters
    become spaces.
    """
    for number, page in enumerate(pages):
        paragraphs = ["\\\n".join(part) + "\n" for part in _paragraphs(page)]
        yield encodable(("\n---\n\n" if number else "") + "\n".join(paragraphs))


def markdown_text(text: str) -> str:
    """Return a text in one row, escaped for Markdown."""
    text = _SPECIAL.sub(r"\\\1", _CONTROL.sub(" ", text).strip())
    return _LEADING.sub(lambda found: found[1][:-1] + "\\" + found[1][-1], text)


def _paragraphs(page: Page) -> list[list[str]]:
    parts: list[list[str]] = []
    above: Quad | None = None
    for line in page:
        text = markdown_text(line.text)
        if not text:
            continue
        quad = rotate_back(line.quad, page.rotation)
        if above is None or _far_below(above, quad):
            parts.append([])
        parts[-1].append(text)
        above = quad
    return parts


def _far_below(above: Quad, quad: Quad) -> bool:
    """Return whether a line begins a paragraph: it is far below the line before, or above it as in the next column, or
    has another direction."""
    between = abs((quad_direction(above) - quad_direction(quad) + 180) % 360 - 180)
    _, top, _, bottom = quad_box(above)
    _, next_top, _, next_bottom = quad_box(quad)
    gap = _PARAGRAPH_GAP * min(quad_height(above), quad_height(quad))
    return next_top - bottom > gap or next_bottom < top or between > _SAME_DIRECTION


def to_jsonl(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield the `to_dict` of each page in a row (JSON Lines)."""
    for page in pages:
        row = json.dumps(page.to_dict(words=words), ensure_ascii=False) + "\n"
        # Write unpaired surrogates, as in file names that are not UTF-8, as JSON escapes: \\udc80.
        yield row.encode("utf-8", "backslashreplace").decode("utf-8")


def to_json(pages: Iterable[Page], *, words: bool = False) -> Iterator[str]:
    """Yield the `to_dict` of a single page in a row, or an array of several pages with one page per row."""
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
    """Yield a header and a row for each line, or for each word with `words`, in CSV (RFC 4180, rows end with CR LF).

    Lines and words are numbered from 1. Corners are clockwise from where the text begins, in pixels. Pages without text
    or with an error have no rows.
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
    """Return one row of a table, with values quoted if necessary."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerow(values)
    return encodable(out.getvalue())


def _corners(quad: Quad) -> list[str]:
    return [f"{value:g}" for point in quad for value in point]


def pages_in_jsonl(path: Path, *, repair: bool = False) -> set[tuple[str, int]]:
    """Return (source, number) of the pages in a JSON Lines file, for the option `skip` of `OCR.read`.

    Args:
        path: File written by `to_jsonl`. An incomplete last row and pages with errors do not count.
        repair: Remove these rows, so that writing can continue and these pages are tried again.

    Raises:
        UserError: If the file cannot be read, or another row is not a page.
    """
    try:
        found = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    done, kept = set(), []
    for number, row in enumerate(found, start=1):
        if not row.endswith(b"\n"):  # an incomplete last row
            break
        try:
            page = Page.from_dict(json.loads(row))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path}:{number} is not a page written by infer; --resume cannot continue this file"
            ) from error
        if not page.error:
            done.add((page.source, page.number))
            kept.append(row)
    if repair and len(kept) < len(found):
        with OutputFile(path) as out:
            out.writelines(kept)
    return done
