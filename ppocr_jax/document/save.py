"""A page into a file whose suffix names the format."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from ppocr_jax.document import write_pages
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageSource, InputPage, read_pages
from ppocr_jax.images.sources import is_url

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
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def save_page(page: Page, path: str | Path, *, image: ImageSource | None = None, words: bool = False) -> None:
    """Write a page; a file that is there already is replaced once the new one is whole.

    Args:
        page: what was read.
        path: the suffix decides: .txt, .json, .jsonl, .csv, .tsv, .md, .hocr or .html, .xml (ALTO), .pdf (searchable),
            .png, .jpg or .webp (the drawn page).
        image: the picture, for .pdf and the drawn page; left out, it is read again from `page.source`.
        words: see `write_pages`.

    Raises:
        UserError: no such suffix, the file cannot be written, it cannot hold words, or the picture is needed and cannot
            be had.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        write_atomically(path, "".join(write_pages([page], TEXT_SUFFIXES[suffix], words=words)).encode("utf-8"))
    elif suffix == ".pdf":
        _save_pdf(page, path, image)
    elif suffix in PICTURE_SUFFIXES:
        from ppocr_jax.document.draw import draw_page

        write_atomically(path, _encoded(draw_page(picture_of(page, image), page), suffix))
    else:
        known = ", ".join([*TEXT_SUFFIXES, ".pdf", *PICTURE_SUFFIXES])
        raise UserError(f"cannot write {path}: the suffix names no format; there are {known}")


def picture_of(page: Page, image: ImageSource | None = None) -> np.ndarray:
    """The picture (H, W, 3) uint8 that a page was read from.

    Raises:
        UserError: it was not given, and the page does not say where it is or it cannot be read; or it has another size.
    """
    return _input_of(page, image).image_rgb


def _save_pdf(page: Page, path: Path, image: ImageSource | None) -> None:
    from ppocr_jax.document.pdf import SearchablePdf

    found = _input_of(page, image)
    original = page.source if image is None else image
    with SearchablePdf(path) as pdf:
        file = original if isinstance(original, str | Path | bytes) else None
        pdf.add(page, found.image_rgb, dpi=found.dpi, original=file)


def _input_of(page: Page, image: ImageSource | None) -> InputPage:
    if page.error:
        raise UserError(f"there is no picture of a page that could not be read: {page.error}")
    if image is not None:
        found = next(read_pages(image))
    elif page.source in ("", "-") or is_url(page.source):
        raise UserError("the picture is needed: the page was not read from a file, so give `image`")
    else:
        found = next(read_pages(page.source, pages=[page.number], frames="all" if page.number > 1 else "first"))
    high, wide = found.image_rgb.shape[:2]
    if (wide, high) != (page.width, page.height):
        raise UserError(f"the picture is {wide}x{high}, the page is of one of {page.width}x{page.height}: give `image`")
    return found


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it.

    Raises:
        UserError: it cannot be written.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            scratch.unlink()


def _encoded(image_rgb: np.ndarray, suffix: str) -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image_rgb).save(out, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()))
    return out.getvalue()
