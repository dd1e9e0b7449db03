"""Response bodies: recognized pages in the format that a client accepts."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

from ppocr_jax import __version__
from ppocr_jax.document import WITH_WORDS, write_pages
from ppocr_jax.document.pdf import SearchablePdf
from ppocr_jax.serve.engine import ReadPage
from ppocr_jax.serve.schema import Problem

MEDIA_TYPES = {
    "json": ("application/json",),
    "jsonl": ("application/jsonl", "application/x-ndjson"),
    "text": ("text/plain",),
    "layout": ("text/plain",),
    "md": ("text/markdown",),
    "csv": ("text/csv",),
    "tsv": ("text/tab-separated-values",),
    "hocr": ("text/vnd.hocr+html", "text/html"),
    "alto": ("application/alto+xml", "application/xml", "text/xml"),
    "pdf": ("application/pdf",),
}
"""Format -> media types that select it; the first is the Content-Type of the response. Formats are in order of
preference; `layout` can only be selected by the query, because `text` has the same media type."""

_PREVIEW_QUALITY = 80


def chosen_format(asked: str | None, accept: str) -> str:
    """Return the format of a response.

    Args:
        asked: The query's `format`, which takes precedence over the header; None if it is not given.
        accept: The Accept header; "" if there is none.

    Raises:
        Problem: 406, none of the accepted types is available.
    """
    if asked is not None:
        return asked
    accepted = _parse_accept(accept or "*/*")

    def quality(media_type: str) -> float:
        """Return the quality of the most specific range that matches the type (RFC 9110, section 12.5.1)."""
        for wanted in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
            if wanted in accepted:
                return accepted[wanted]
        return 0.0

    best = max(MEDIA_TYPES, key=lambda name: max(map(quality, MEDIA_TYPES[name])))
    if max(map(quality, MEDIA_TYPES[best])) <= 0:
        known = ", ".join(dict.fromkeys(types[0] for types in MEDIA_TYPES.values()))
        raise Problem(406, f"none of the types in Accept is available; choose from {known}")
    return best


def _parse_accept(accept: str) -> dict[str, float]:
    """Return the quality, 0 to 1, of each media range. Parameters other than q are ignored."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        ranges[media_type] = max(quality, ranges.get(media_type, 0.0))
    return ranges


def content_type(name: str) -> str:
    """Return the Content-Type of a format."""
    media_type = MEDIA_TYPES[name][0]
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def check_words(name: str, words: bool) -> None:
    """Check that a format can contain words, if they are requested.

    Raises:
        Problem: 422, the format cannot contain words.
    """
    if words and name not in WITH_WORDS:
        raise Problem(422, f"words are available only for {', '.join(WITH_WORDS)}, not for {name}")


def body(pages: Sequence[ReadPage], name: str, *, model: str, words: bool, preview: int, original: bytes) -> bytes:
    """Return the body of a response.

    Args:
        pages: One or more pages.
        name: Name of the format.
        model: Name of the model that read the pages.
        words, preview: See `schema.ReadQuery`.
        original: The uploaded file; a JPEG file is embedded in a PDF response without re-encoding.
    """
    if name == "json":
        rows = [row(page, words=words, preview=preview) for page in pages]
        return _dump({"model": model, "version": __version__, "pages": rows})
    if name == "jsonl":
        return b"".join(_dump(row(page, words=words, preview=preview)) for page in pages)
    if name == "pdf":
        return _pdf(pages, original)
    return "".join(write_pages((page.page for page in pages), name, words=words)).encode("utf-8", "replace")


def jsonl_row(page: ReadPage, *, words: bool, preview: int) -> bytes:
    """Return a page as one row of JSON Lines."""
    return _dump(row(page, words=words, preview=preview))


def row(page: ReadPage, *, words: bool, preview: int) -> dict[str, Any]:
    """Return a page's `to_dict`, with a `preview` if that is requested."""
    values = page.page.to_dict(words=words)
    if preview and page.image is not None:
        values["preview"] = _preview(page.image.image_rgb, preview)
    return values


def _dump(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _preview(image_rgb: Any, side: int) -> str:
    from PIL import Image

    image = Image.fromarray(image_rgb)
    image.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_PREVIEW_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _pdf(pages: Sequence[ReadPage], original: bytes) -> bytes:
    out = io.BytesIO()
    with SearchablePdf(out) as pdf:
        for page in pages:
            if page.image is not None:
                jpeg = original if page.image.page_count == 1 else None
                pdf.add(page.page, page.image.image_rgb, dpi=page.image.dpi, original=jpeg)
    return out.getvalue()
