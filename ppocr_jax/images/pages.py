"""A document -> its pages as upright RGB pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.images.files import check_url_allowed
from ppocr_jax.images.formats import MAX_PIXELS, is_pdf
from ppocr_jax.images.frames import Dpi, Frames, PictureDocument
from ppocr_jax.images.loading import load_image
from ppocr_jax.images.page_numbers import PageNumbers
from ppocr_jax.images.pdf import PdfPages
from ppocr_jax.images.sources import (
    ImageError,
    ImageSource,
    describe_source,
    is_url,
    printable,
    read_bytes,
    read_stream,
)
from ppocr_jax.images.urls import fetch

MAX_PAGES = 10_000
"""Default limit of pages read from one document."""

_DPI_RANGE = (10, 2400)


@dataclass(frozen=True, eq=False)
class InputPage:
    """One page, ready to be read.

    Attributes:
        image_rgb: (H, W, 3) uint8, upright.
        source: the document's path or URL, "-" for standard input, "" for bytes, files and arrays.
        number: of the page within the document, from 1.
        page_count: pages of the document, also those that were not asked for.
        dpi: (horizontal, vertical) dots per inch; None if not known.
    """

    image_rgb: np.ndarray
    source: str
    number: int = 1
    page_count: int = 1
    dpi: Dpi = None

    @property
    def name(self) -> str:
        """The source, and the page's number where there are several."""
        source = self.source or "picture"
        return f"{source} page {self.number}" if self.page_count > 1 else source


class Document(Protocol):
    """What `read_pages` needs of an opened document: numbers count from 1."""

    page_count: int

    def read(self, number: int) -> tuple[np.ndarray, Dpi]: ...

    def close(self) -> None: ...


def read_pages(
    source: ImageSource,
    *,
    pages: str | Iterable[int] | None = None,
    password: str | None = None,
    frames: Frames = "first",
    dpi: float | None = None,
    max_pixels: int = MAX_PIXELS,
    max_pages: int = MAX_PAGES,
    partial: bool = True,
    allow_url: bool = False,
    on_error: Callable[[ImageError], None] | None = None,
) -> Iterator[InputPage]:
    """The pages of a PDF document, a multi-page TIFF file or an animation, one after the other; or a picture.

    Args:
        source: as of `load_image`; also the strings "-", standard input, and "http...".
        pages: which ones, like "1-3,5,8-" or numbers, counted from 1; numbers beyond the last page are left out.
        password: of an encrypted PDF document.
        frames: "all" makes the frames of an animation (GIF, WebP, PNG, AVIF) pages; "first" shows its first one only.
        dpi: at which PDF pages are drawn, 10..2400; None: 200, or the resolution of a page that is a scan, if less.
        max_pixels: of one page. A larger picture is an error, a larger PDF page is drawn smaller.
        max_pages: more chosen pages than these are refused.
        partial: read what is there of a JPEG file that is cut off, see `load_image`.
        allow_url: fetch URLs, within the limits of `fetch`.
        on_error: called with the error of a page that cannot be read, after which the next one is; None: raise it.

    Yields:
        pages, in the order of the document.

    Raises:
        ImageError: one line saying what is wrong with the document or the page.
        UserError: an option makes no sense, or a package for this kind of file is not installed.
        TypeError: a source of another type.
    """
    numbers = PageNumbers(pages)
    if frames not in ("first", "all"):
        raise UserError(f'frames must be "first" or "all", not {frames!r}')
    if dpi is not None and not _DPI_RANGE[0] <= dpi <= _DPI_RANGE[1]:
        raise UserError(f"dpi must lie between {_DPI_RANGE[0]} and {_DPI_RANGE[1]}, not {dpi:g}")
    if is_url(source):
        check_url_allowed(str(source), allow_url)

    def open_document() -> tuple[Document, str]:
        if not isinstance(source, str | Path | bytes | bytearray | memoryview) and not hasattr(source, "read"):
            return _Loaded(load_image(source, max_pixels=max_pixels)), "the picture"
        data, name = _read(source)
        if is_pdf(data):
            return PdfPages(data, name, password=password, dpi=dpi, max_pixels=max_pixels), name
        return PictureDocument(data, name, frames=frames, max_pixels=max_pixels, partial=partial), name

    return _pages(open_document, describe_source(source), numbers, max_pages, on_error)


class _Loaded:
    """An array or a Pillow image as a document."""

    page_count = 1

    def __init__(self, image_rgb: np.ndarray) -> None:
        self._image_rgb = image_rgb

    def read(self, number: int) -> tuple[np.ndarray, Dpi]:
        return self._image_rgb, None

    def close(self) -> None:
        pass


def _read(source: Any) -> tuple[bytes, str]:
    if source == "-":
        data = read_stream(sys.stdin.buffer, "standard input")
        if not data:
            raise ImageError("standard input is empty (0 bytes)")
        return data, "standard input"
    if is_url(source):
        return fetch(source), printable(source)
    return read_bytes(source)


def _pages(
    open_document: Callable[[], tuple[Document, str]],
    source: str,
    numbers: PageNumbers,
    max_pages: int,
    on_error: Callable[[ImageError], None] | None,
) -> Iterator[InputPage]:
    document, name = open_document()
    try:
        chosen = numbers.of(document.page_count)
        if not chosen:
            count = "1 page" if document.page_count == 1 else f"{document.page_count} pages"
            raise ImageError(f"{name} has {count}, none of those asked for ({numbers.text})")
        if len(chosen) > max_pages:
            raise ImageError(f"{name} has {len(chosen)} pages to read, the limit is {max_pages}; choose pages")
        for number in chosen:
            try:
                image_rgb, dpi = document.read(number)
            except ImageError as error:
                if on_error is None:
                    raise
                on_error(error)
                continue
            yield InputPage(image_rgb, source, number, document.page_count, dpi)
    finally:
        document.close()
