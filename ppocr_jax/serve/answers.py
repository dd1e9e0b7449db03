"""Read pages -> the body of an answer in the format that a client accepts."""

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
"""Format -> media types that ask for it; the first is what the answer is called. In the order of preference: `layout`
comes by the query alone."""

_PREVIEW_QUALITY = 80


def chosen_format(asked: str | None, accept: str) -> str:
    """Return the format of an answer.

    Args:
        asked: by the query's `format`; it is stronger than Accept.
        accept: that header; "" for none.

    Raises:
        Problem: 406, none of the accepted types can be had.
    """
    if asked is not None:
        return asked
    accepted = _parse_accept(accept or "*/*")

    def quality(media_type: str) -> float:
        """That of the most specific range that the type is in (RFC 9110, section 12.5.1)."""
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
    """Return the quality, 0..1, of each media range. Parameters other than q are not told apart."""
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
    """Refuse words in a format that cannot hold them.

    Raises:
        Problem: 422.
    """
    if words and name not in WITH_WORDS:
        raise Problem(422, f"words are available only for {', '.join(WITH_WORDS)}, not for {name}")


def body(pages: Sequence[ReadPage], name: str, *, model: str, words: bool, preview: int, original: bytes) -> bytes:
    """Return the whole answer.

    Args:
        pages: at least one.
        name: of the format.
        model: that they were read with.
        words, preview: see `schema.ReadQuery`.
        original: the upload; a JPEG file becomes part of a PDF answer as it is.
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
    """Return a page's `to_dict`, with a `preview` where that is asked for."""
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
