"""A page's picture as a PDF holds it: the JPEG file it came from, or pixels compressed anew."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class PdfPicture:
    """A picture's data, and how to read them.

    Attributes:
        data: a JPEG file; or the compressed rows of a PNG file, which is what PDF's Flate filter takes.
        is_jpeg: which of them.
        colors: 1, gray, or 3, RGB.
        bits: of each color, 1 or 8.
    """

    data: bytes
    is_jpeg: bool
    colors: int
    bits: int = 8


def encode_picture(image_rgb: np.ndarray, quality: int | None) -> PdfPicture:
    """Compress a picture (H, W, 3) uint8: gray ones as such; those of black and white alone with a bit per pixel.

    Args:
        image_rgb: the picture.
        quality: of JPEG, 1..100; None: lossless, as black and white always is.
    """
    from PIL import Image

    gray = image_rgb[..., 0]
    if not (image_rgb[..., 1:] == gray[..., None]).all():
        image = Image.fromarray(image_rgb)
    elif ((gray == 0) | (gray == 255)).all():
        image = Image.fromarray(gray).convert("1", dither=Image.Dither.NONE)
    else:
        image = Image.fromarray(gray)
    colors, bits = (3 if image.mode == "RGB" else 1), (1 if image.mode == "1" else 8)
    if quality is None or bits == 1:
        return PdfPicture(_png_rows(image), is_jpeg=False, colors=colors, bits=bits)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return PdfPicture(out.getvalue(), is_jpeg=True, colors=colors)


def own_jpeg(original: str | Path | bytes, width: int, height: int) -> PdfPicture | None:
    """The file that a picture was read from, if a PDF can hold it as it is.

    That is a JPEG file, whole, of that size, upright, and gray or YCbCr: what every PDF reader decodes alike.

    Args:
        original: the file, or where it is; what is no file, such as a URL, gives None.
        width, height: of the upright picture.
    """
    from PIL import Image

    data = _jpeg_bytes(original)
    if not data.rstrip(b"\0").endswith(_JPEG_END):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            fits = image.format == "JPEG" and image.size == (width, height) and _decodes_alike(image)
            return PdfPicture(data, is_jpeg=True, colors=len(image.getbands())) if fits else None
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files
        return None


def _jpeg_bytes(original: str | Path | bytes) -> bytes:
    """A file; nothing if it is not JPEG's."""
    if isinstance(original, bytes):
        return original if original.startswith(_JPEG_START) else b""
    try:
        with Path(original).open("rb") as file:
            start = file.read(len(_JPEG_START))
            return start + file.read() if start == _JPEG_START else b""
    except (OSError, ValueError):  # ValueError: a null character in the path
        return b""


def _decodes_alike(image: Image.Image) -> bool:
    upright = image.getexif().get(_ORIENTATION_TAG, 1) not in range(2, 9)
    if image.mode == "L":
        return upright
    # Three colors that are RGB already are told from YCbCr by an Adobe marker, or by their names.
    names = bytes(layer[0] for layer in getattr(image, "layer", ()))
    return upright and image.mode == "RGB" and image.info.get("adobe_transform", 1) == 1 and names != b"RGB"


def _png_rows(image: Image.Image) -> bytes:
    """The data of a PNG file's IDAT chunks, each of which is length, name, data and a checksum."""
    out = io.BytesIO()
    image.save(out, "PNG")
    file, position, rows = out.getvalue(), 8, b""
    while position < len(file):
        length = int.from_bytes(file[position : position + 4], "big")
        if file[position + 4 : position + 8] == b"IDAT":
            rows += file[position + 8 : position + 8 + length]
        position += 12 + length
    return rows
