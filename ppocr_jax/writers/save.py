"""A page into a file whose suffix names the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageSource, load_image
from ppocr_jax.results import Page
from ppocr_jax.writers import write_pages

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


def save_page(page: Page, path: str | Path, *, image: ImageSource | None = None) -> None:
    """Write a page; a file that is there already is replaced once the new one is whole.

    Args:
        page: what was read.
        path: the suffix decides: .txt, .json, .jsonl, .csv, .tsv, .md, .hocr or .html, .xml (ALTO), .pdf (searchable),
            .png, .jpg or .webp (the drawn page).
        image: the picture, for .pdf and the drawn page; left out, it is read again from `page.source`.

    Raises:
        UserError: no such suffix, the file cannot be written, or the picture is needed and cannot be had.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        write_atomically(path, "".join(write_pages([page], TEXT_SUFFIXES[suffix])).encode("utf-8"))
    elif suffix == ".pdf":
        from ppocr_jax.writers.pdf import SearchablePdf

        image_rgb = picture_of(page, image)
        with SearchablePdf(path) as pdf:
            pdf.add(page, image_rgb)
    elif suffix in PICTURE_SUFFIXES:
        from ppocr_jax.draw import draw_page

        write_atomically(path, _encoded(draw_page(picture_of(page, image), page), suffix))
    else:
        known = ", ".join([*TEXT_SUFFIXES, ".pdf", *PICTURE_SUFFIXES])
        raise UserError(f"cannot write {path}: the suffix names no format; there are {known}")


def picture_of(page: Page, image: ImageSource | None = None) -> np.ndarray:
    """The picture (H, W, 3) uint8 that a page was read from.

    Raises:
        UserError: it was not given, and the page does not say where it is or it cannot be read; or it has another size.
    """
    if image is None and not page.source:
        raise UserError("the picture is needed: the page was not read from a file, so give `image`")
    image_rgb = load_image(page.source if image is None else image)
    if image_rgb.shape[:2] != (page.height, page.width):
        size = f"{image_rgb.shape[1]}x{image_rgb.shape[0]}"
        raise UserError(f"the picture is {size}, the page is of one of {page.width}x{page.height}: give `image`")
    return image_rgb


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
        scratch.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def _encoded(image_rgb: np.ndarray, suffix: str) -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image_rgb).save(out, {".jpg": "JPEG"}.get(suffix, suffix[1:].upper()))
    return out.getvalue()
