"""Output formats: functions from pages to pieces of text, and files whose suffix determines the format.

A text writer is a function from pages to pieces of text, so that output can be written while pages are still being
read. The searchable PDF and drawn pages also need the images.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ppocr_jax.document.layout import to_layout
from ppocr_jax.document.output import OutputFile, refuse_to_overwrite, write_text
from ppocr_jax.document.page import Page
from ppocr_jax.document.text import to_json, to_jsonl, to_markdown, to_table, to_text
from ppocr_jax.document.xml import to_alto, to_hocr
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageSource, InputPage, read_pages
from ppocr_jax.images.sources import is_url

Writer = Callable[..., Iterator[str]]

WRITERS: dict[str, Writer] = {
    "text": to_text,
    "layout": to_layout,
    "json": to_json,
    "jsonl": to_jsonl,
    "csv": to_table,
    "tsv": partial(to_table, delimiter="\t"),
    "md": to_markdown,
    "hocr": to_hocr,
    "alto": to_alto,
}
"""Format -> function from an iterable of pages to pieces of text."""

WITH_WORDS = ("json", "jsonl", "csv", "tsv", "hocr", "alto")
"""Formats that accept `words=True`. hOCR and ALTO always contain words; with it, they also contain characters."""

TEXT_SUFFIXES = {
    ".txt": "text",
    ".json": "json",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".md": "md",
    ".hocr": "hocr",
    ".html": "hocr",
    ".xml": "alto",
}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def write_pages(pages: Iterable[Page], name: str, *, words: bool = False) -> Iterator[str]:
    """Return an iterator over the pieces of text of pages in one of `WRITERS`.

    Args:
        pages: Any number of pages.
        name: Name of the format.
        words: Write words in addition to lines, or instead of lines, with characters if the format allows; see
            `WITH_WORDS`.

    Raises:
        UserError: If the format does not exist or cannot contain words.
    """
    if name not in WRITERS:
        raise UserError(f"no format {name!r}; choose from {', '.join(WRITERS)}")
    if not words:
        return WRITERS[name](pages)
    if name not in WITH_WORDS:
        raise UserError(f"words are available only for {', '.join(WITH_WORDS)} (a PDF always contains them)")
    return WRITERS[name](pages, words=True)


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format of a file's suffix: one of `WRITERS`, or "pdf". A file without a suffix is "text".

    Raises:
        UserError: If the suffix is unknown.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".pdf":
        return "pdf"
    if suffix and suffix not in TEXT_SUFFIXES:
        known = ", ".join([*TEXT_SUFFIXES, ".pdf"])
        raise UserError(f"cannot write {os.fspath(path)}: unknown suffix; choose from {known}")
    return TEXT_SUFFIXES.get(suffix, "text")


def save_page(
    page: Page, path: str | os.PathLike[str], *, image: ImageSource | None = None, words: bool = False
) -> None:
    """Write a page. An existing file is replaced when the new one is complete.

    Args:
        page: Recognized page.
        path: Output file, whose suffix determines the format: .txt, .json, .jsonl, .csv, .tsv, .md, .hocr or .html,
            .xml (ALTO), .pdf (searchable), .png, .jpg or .webp (drawn page). See `OutputFile` for special files.
        image: Image of the page, for .pdf and drawn pages. None: it is read again from `page.source`.
        words: See `write_pages`.

    Raises:
        UserError: If the suffix is unknown, the file cannot be written or is the input image, the format cannot contain
            words, or the image is needed and not available.
    """
    refuse_to_overwrite(path, [page.source, image])
    suffix = Path(path).suffix.lower()
    if suffix in TEXT_SUFFIXES:
        write_text(write_pages([page], TEXT_SUFFIXES[suffix], words=words), path)
    elif suffix == ".pdf":
        _save_pdf(page, path, image)
    elif suffix in IMAGE_SUFFIXES:
        from ppocr_jax.document.draw import draw_page

        save_image(path, draw_page(image_of(page, image), page))
    else:
        known = ", ".join([*TEXT_SUFFIXES, ".pdf", *IMAGE_SUFFIXES])
        raise UserError(f"cannot write {os.fspath(path)}: unknown suffix; choose from {known}")


def save_image(path: str | os.PathLike[str], image_rgb: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8 in the format of the path's suffix.

    Raises:
        UserError: If the file cannot be written, or the suffix is not one of `IMAGE_SUFFIXES`.
    """
    from PIL import Image

    suffix = Path(path).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise UserError(
            f"cannot write {os.fspath(path)}: the suffix of an image must be one of {', '.join(IMAGE_SUFFIXES)}"
        )
    encoded = io.BytesIO()
    try:
        Image.fromarray(image_rgb).save(encoded, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()))
    except (OSError, ValueError) as error:  # larger than the format can hold
        raise UserError(f"cannot write {os.fspath(path)}: {error}") from error
    with OutputFile(path) as out:
        out.write(encoded.getvalue())


def image_of(page: Page, image: ImageSource | None = None) -> np.ndarray:
    """Return the image (H, W, 3) uint8 of a page.

    Raises:
        UserError: If no image is given and it cannot be read from the page's source, or it has another size.
    """
    return _input_of(page, image).image_rgb


def _save_pdf(page: Page, path: str | os.PathLike[str], image: ImageSource | None) -> None:
    from ppocr_jax.document.pdf import SearchablePdf

    found = _input_of(page, image)
    original = page.source if image is None else image
    with SearchablePdf(path) as pdf:
        file = original if isinstance(original, str | os.PathLike | bytes) else None
        pdf.add(page, found.image_rgb, dpi=found.dpi, user_unit=found.user_unit, original=file)


def _input_of(page: Page, image: ImageSource | None) -> InputPage:
    if page.error:
        raise UserError(f"there is no image of a page that could not be read: {page.error}")
    frames = "all" if page.number > 1 else "first"
    if image is not None:  # the page's whole document, or an image of this page alone
        found = next(
            read_pages(image, frames=frames, choose=lambda numbers: [page.number if page.number in numbers else 1])
        )
    elif page.source in ("", "-") or is_url(page.source):
        raise UserError("the page was not read from a file: pass its `image`")
    else:
        found = next(read_pages(page.source, pages=[page.number], frames=frames))
    high, wide = found.image_rgb.shape[:2]
    if (wide, high) != (page.width, page.height):
        raise UserError(
            f"the image is {wide}x{high}, but the page is of a {page.width}x{page.height} image: pass `image`"
        )
    return found
