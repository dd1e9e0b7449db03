"""Pages in the formats people use: to pieces of text, and into files whose suffix names the format.

Each text writer is a function from pages to pieces of text, so that a result can be written while its pages are still
being read. The searchable PDF and drawn pages also need the images.
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
"""Formats that take `words=True`; hOCR and ALTO hold words anyway, and with it also characters."""

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
    """Return an iterator over pages in one of `WRITERS`, piece by piece.

    Args:
        pages: any number of them.
        name: of the format.
        words: write words too, or instead of lines, and characters where the format can hold them; see `WITH_WORDS`.

    Raises:
        UserError: there is no such format, or it cannot hold words.
    """
    if name not in WRITERS:
        raise UserError(f"no format {name!r}; choose from {', '.join(WRITERS)}")
    if not words:
        return WRITERS[name](pages)
    if name not in WITH_WORDS:
        raise UserError(f"words are available only for {', '.join(WITH_WORDS)} (a PDF always contains them)")
    return WRITERS[name](pages, words=True)


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format that a file's suffix names: one of `WRITERS`, or "pdf"; of a file without a suffix "text".

    Raises:
        UserError: the suffix names no format of text.
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
    """Write a page; a file that is there already is replaced once the new one is whole.

    Args:
        page: what was read.
        path: the suffix decides: .txt, .json, .jsonl, .csv, .tsv, .md, .hocr or .html, .xml (ALTO), .pdf (searchable),
            .png, .jpg or .webp (the drawn page). See `OutputFile` for what is no regular file.
        image: the image, for .pdf and the drawn page; left out, it is read again from `page.source`.
        words: see `write_pages`.

    Raises:
        UserError: no such suffix, the file cannot be written, is the image that was read, or cannot hold words; or
            the image is needed and cannot be had.
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
    """Write an image (H, W, 3) uint8 in the format that its suffix names.

    Raises:
        UserError: it cannot be written, or the suffix is not one of `IMAGE_SUFFIXES`.
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
    """Return the image (H, W, 3) uint8 that a page was read from.

    Raises:
        UserError: it was not given, and the page does not say where it is or it cannot be read; or it has another size.
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
    if image is not None:
        found = next(read_pages(image))
    elif page.source in ("", "-") or is_url(page.source):
        raise UserError("the page was not read from a file: pass its `image`")
    else:
        found = next(read_pages(page.source, pages=[page.number], frames="all" if page.number > 1 else "first"))
    high, wide = found.image_rgb.shape[:2]
    if (wide, high) != (page.width, page.height):
        raise UserError(
            f"the image is {wide}x{high}, but the page is of a {page.width}x{page.height} image: pass `image`"
        )
    return found
