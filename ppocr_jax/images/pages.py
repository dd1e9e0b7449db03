"""Pages of documents as upright RGB images: PDF, multi-page TIFF, animations, and single images."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from ppocr_jax.errors import UserError, check_number
from ppocr_jax.images.decode import (
    DECODE_ERRORS,
    MAX_PIXELS,
    check_size,
    decode,
    is_pdf,
    load_image,
    named_image_errors,
    open_image,
)
from ppocr_jax.images.pdf import PdfPages
from ppocr_jax.images.sources import (
    ImageError,
    ImageSource,
    TooLargeError,
    check_url_allowed,
    describe_source,
    fetch,
    is_url,
    printable,
    read_bytes,
    read_stdin,
)

if TYPE_CHECKING:
    from PIL import Image

MAX_PAGES = 10_000
"""Default limit of pages read from one document."""

Dpi: TypeAlias = "tuple[float, float] | None"
Frames: TypeAlias = Literal["first", "all"]

_DPI_RANGE = (10, 2400)  # accepted for PDF pages
_PLAUSIBLE_DPI = (20, 10_000)  # of an image file; other values are unset fields
_PAGE_RANGE = re.compile(r"([0-9]{1,9})(?:(-)([0-9]{1,9})?)?")
_TIFF_ORIENTATION = 274  # the same tag as in EXIF
_TIFF_SUBFILE_TYPE = 254  # bit 0: a reduced version of another image; bit 2: a transparency mask
_NO_PAGE = 1 | 4
_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")

_logger = logging.getLogger("ppocr_jax")


@dataclass(frozen=True, eq=False)
class InputPage:
    """A page as an image.

    Attributes:
        image_rgb: Upright image, (H, W, 3) uint8.
        source: Path or URL of the document, "-" for standard input, "" for bytes, open files and arrays.
        number: Number of the page in the document, from 1.
        page_count: Number of pages of the document, including those not selected.
        dpi: (horizontal, vertical) dots per inch, None if unknown.
        user_unit: User unit of a PDF page in 1/72 inch (ISO 32000-1, 14.11.2).
    """

    image_rgb: np.ndarray
    source: str
    number: int = 1
    page_count: int = 1
    dpi: Dpi = None
    user_unit: float = 1.0

    @property
    def name(self) -> str:
        """Source, with the page number if there are several pages."""
        source = self.source or "image"
        return f"{source} page {self.number}" if self.page_count > 1 else source


class PageNumbers:
    """Set of page numbers like "1-3,5,8-", independent of the number of pages."""

    def __init__(self, pages: str | int | Iterable[int] | None = None) -> None:
        """Parse a user's selection.

        Args:
            pages: Numbers from 1, and ranges including both ends, separated by commas. A range without an end extends
                to the last page. Or a number, or several numbers. None: all pages.

        Raises:
            UserError: If the selection is invalid.
        """
        if isinstance(pages, Iterable) and not isinstance(pages, str):
            self.text = ",".join(map(str, pages))
        else:
            self.text = "" if pages is None else str(pages)
        everything = pages is None or self.text.strip() == "all"
        self._ranges = [(1, None)] if everything else [_parse(part.strip(), self.text) for part in self.text.split(",")]

    def of(self, count: int) -> list[int]:
        """Return the selected numbers among 1 ... `count`, ascending, without repetitions."""
        wanted: set[int] = set()
        for first, last in self._ranges:
            wanted.update(range(first, min(count, last or count) + 1))
        return sorted(wanted)

    def beyond(self, count: int) -> str:
        """Return the selected pages beyond the last page, like "5, 8-", or "" if there are none."""
        parts = []
        for first, last in self._ranges:
            start = max(first, count + 1)
            if last is None and first > count:
                parts.append(f"{first}-")
            elif last is not None and last >= start:
                parts.append(str(last) if last == start else f"{start}-{last}")
        return ", ".join(parts)


def _parse(part: str, text: str) -> tuple[int, int | None]:
    match = _PAGE_RANGE.fullmatch(part)
    if not match:
        raise UserError(f'pages "{text}" is not valid; use numbers and ranges such as 1-3,5,8-')
    first, dash, last = int(match[1]), match[2], int(match[3]) if match[3] else None
    if first < 1:
        raise UserError(f'pages "{text}": pages are counted from 1')
    if last is not None and last < first:
        raise UserError(f'pages "{text}": {part} goes backwards')
    return first, last if dash else first


def read_pages(
    source: ImageSource,
    *,
    pages: str | int | Iterable[int] | None = None,
    password: str | None = None,
    frames: Frames = "first",
    dpi: float | None = None,
    max_pixels: int = MAX_PIXELS,
    max_pages: int = MAX_PAGES,
    partial: bool = True,
    allow_url: bool = False,
    on_error: Callable[[ImageError], None] | None = None,
    choose: Callable[[list[int]], list[int]] | None = None,
) -> Generator[InputPage]:
    """Yield the pages of a PDF document, a multi-page TIFF file or an animation in order, or a single image.

    Args:
        source: Source as in `load_image`, or one of the strings "-" (standard input) and "http...".
        pages: Selected pages, like "1-3,5,8-" or numbers from 1. Pages beyond the last one are logged in a warning.
        password: Password of an encrypted PDF document.
        frames: "all" makes every frame of an animation (GIF, WebP, PNG, AVIF) a page; "first" uses only the first.
        dpi: Resolution for rendering PDF pages, 10..2400. None: 200, or the resolution of a scanned page if that is
            lower.
        max_pixels: Largest size of a page. A larger image is an error, a larger PDF page is rendered smaller.
        max_pages: Largest number of selected pages.
        partial: Decode the available part of a truncated JPEG file; see `load_image`.
        allow_url: Fetch URLs, within the limits of `fetch`.
        on_error: Function called with the error of a page that cannot be read (its `number` is the page), before
            reading continues with the next page. None: the error is raised.
        choose: Function called with the numbers of the selected pages once the document is open. It returns the numbers
            to read, which may be none. Other pages are not decoded.

    Yields:
        Pages, in the order of the document.

    Raises:
        ImageError: If the document or a page cannot be read. The message is one line.
        UserError: If an option is invalid, or a package for this kind of file is not installed.
        TypeError: If the source has another type.
    """
    numbers = PageNumbers(pages)
    if frames not in ("first", "all"):
        raise UserError(f'frames must be "first" or "all", not {frames!r}')
    if dpi is not None:
        check_number("dpi", dpi, least=_DPI_RANGE[0], most=_DPI_RANGE[1])
    if is_url(source):
        check_url_allowed(str(source), allow_url)

    def open_document() -> tuple[OpenedDocument, str]:
        is_file = isinstance(source, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(source, "read")
        if not is_file:
            return _Loaded(load_image(source, max_pixels=max_pixels)), "the image"
        data, name = _read(source)
        if is_pdf(data):
            return PdfPages(data, name, password=password, dpi=dpi, max_pixels=max_pixels), name
        return ImageDocument(data, name, frames=frames, max_pixels=max_pixels, partial=partial), name

    return _pages(open_document, describe_source(source), numbers, max_pages, on_error, choose)


def _pages(
    open_document: Callable[[], tuple[OpenedDocument, str]],
    source: str,
    numbers: PageNumbers,
    max_pages: int,
    on_error: Callable[[ImageError], None] | None,
    choose: Callable[[list[int]], list[int]] | None,
) -> Generator[InputPage]:
    document, name = open_document()
    try:
        chosen = numbers.of(document.page_count)
        count = "1 page" if document.page_count == 1 else f"{document.page_count} pages"
        if not chosen:
            raise ImageError(f"{name} has {count}, none of the requested ones ({numbers.text})")
        if len(chosen) > max_pages:
            raise TooLargeError(
                f"{name} has {len(chosen)} pages to read, more than the limit of {max_pages}; select fewer pages"
            )
        if missing := numbers.beyond(document.page_count):
            _logger.warning("%s has %s; missing: %s", name, count, missing)
        for number in choose(chosen) if choose is not None else chosen:
            try:
                image_rgb, dpi, user_unit = document.read(number)
            except ImageError as error:
                error.number = number
                if on_error is None:
                    raise
                on_error(error)
                continue
            yield InputPage(image_rgb, source, number, document.page_count, dpi, user_unit)
    finally:
        document.close()


def _read(source: Any) -> tuple[bytes, str]:
    if isinstance(source, str) and source == "-":
        return read_stdin()
    if is_url(source):
        return fetch(source), printable(source)
    return read_bytes(source)


class OpenedDocument(Protocol):
    """Interface of opened documents. Pages are numbered from 1; a page is its pixels, dpi and user unit."""

    page_count: int

    def read(self, number: int) -> tuple[np.ndarray, Dpi, float]: ...

    def close(self) -> None: ...


class _Loaded:
    """Document of an array or a Pillow image."""

    page_count = 1

    def __init__(self, image_rgb: np.ndarray) -> None:
        self._image_rgb = image_rgb

    def read(self, number: int) -> tuple[np.ndarray, Dpi, float]:
        return self._image_rgb, None, 1.0

    def close(self) -> None:
        pass


class ImageDocument:
    """Opened image file: one page, the pages of a TIFF file, or the frames of an animation."""

    def __init__(self, data: bytes, name: str, *, frames: Frames, max_pixels: int, partial: bool) -> None:
        """Read the header, and for TIFF the headers of all pages.

        Args:
            data: Bytes of the file.
            name: Name for messages.
            frames: "all" makes every frame of an animation a page; "first" uses only the first.
            max_pixels: Largest size of a page; see `load_image`.
            partial: See `load_image`.

        Raises:
            ImageError: See `open_image`.
        """
        self._data, self._name, self._partial, self._max_pixels = data, name, partial, max_pixels
        self._image = open_image(data, name, max_pixels)
        with named_image_errors(name):
            self._frames = self._pages(frames)
        self.page_count = len(self._frames)

    def read(self, number: int) -> tuple[np.ndarray, Dpi, float]:
        """Return page `number`, from 1: upright RGB (H, W, 3) uint8, its dpi if the file contains it, and user unit 1.

        Raises:
            ImageError: If the page is damaged or too large.
        """
        image, frame = self._image, self._frames[number - 1]
        name = f"{self._name} page {number}" if self.page_count > 1 else self._name
        with named_image_errors(name):
            # Frames before it are decoded, too, and a GIF frame may enlarge the canvas. Therefore, check each of them.
            for step in range(image.tell() + 1, frame) if image.format == "GIF" else ():
                check_size(image.width, image.height, name, self._max_pixels)
                image.seek(step)
            check_size(image.width, image.height, name, self._max_pixels)
            image.seek(frame)
        stored = _stored_size(image)
        image_rgb = decode(image, self._data, name, max_pixels=self._max_pixels, partial=self._partial)
        return image_rgb, _dpi_of(image, rotated=stored != image_rgb.shape[1::-1]), 1.0

    def close(self) -> None:
        """Close the decoder."""
        self._image.close()

    def _pages(self, frames: Frames) -> list[int]:
        """Return the indices of the file's frames that are pages."""
        image = self._image
        count = getattr(image, "n_frames", 1) if image.format == "TIFF" or frames == "all" else 1
        if image.format == "TIFF":
            return _tiff_pages(image, count) if count > 1 else [0]
        return list(range(count)) if image.format in _ANIMATIONS else [0]


def _tiff_pages(image: Image.Image, count: int) -> list[int]:
    pages = []
    for frame in range(count):
        image.seek(frame)
        kind = image.tag_v2.get(_TIFF_SUBFILE_TYPE, 0)  # pyright: ignore[reportAttributeAccessIssue]
        if not (isinstance(kind, int) and kind & _NO_PAGE):
            pages.append(frame)
    return pages or [0]


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) before the image was rotated upright. Pillow itself rotates TIFF files."""
    rotated = image.format == "TIFF" and image.tag_v2.get(_TIFF_ORIENTATION, 1) in (5, 6, 7, 8)  # pyright: ignore
    return (image.height, image.width) if rotated else image.size


def _dpi_of(image: Image.Image, *, rotated: bool) -> Dpi:
    """Return (horizontal, vertical) dots per inch of the upright image, or None if unknown or implausible."""
    try:
        horizontal, vertical = (float(value) for value in image.info.get("dpi", ()))
    except DECODE_ERRORS:
        return None
    low, high = _PLAUSIBLE_DPI
    if not (low <= horizontal <= high and low <= vertical <= high):
        return None
    return (vertical, horizontal) if rotated else (horizontal, vertical)
