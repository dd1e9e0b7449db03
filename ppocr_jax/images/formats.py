"""Which decoder a file gets, decided by its first bytes, never by its name.

Only the formats in `FORMATS` are tried: Pillow's other readers are not made for untrusted files. Pillow's classes are
used directly instead of `PIL.Image.open`, which would apply the process-wide `PIL.Image.MAX_IMAGE_PIXELS`; the limit
here is an argument of the call (see `loading`), so that threads and the user's own Pillow code are not affected.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from ppocr_jax.errors import UserError
from ppocr_jax.images.gif_frames import canvas_size
from ppocr_jax.images.sources import ImageError, first_line

if TYPE_CHECKING:
    from PIL import ImageFile

# Pillow's name of a format -> its module PIL.<...>ImagePlugin. "JPEG" includes phones' MPO, "PNG" animated ones.
_PLUGINS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WEBP": "WebP",
    "TIFF": "Tiff",
    "GIF": "Gif",
    "BMP": "Bmp",
    "PPM": "Ppm",
    "JPEG2000": "Jpeg2K",
    "AVIF": "Avif",
}
FORMATS = (*_PLUGINS, "HEIF")
"""Formats that can be read; AVIF needs Pillow 11.3, HEIF (phones' HEIC) the package pillow-heif."""

MAX_PIXELS = 150_000_000
"""Default limit of width x height: a 108-megapixel phone picture passes, a decompression bomb does not."""

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}

# What readers raise on damaged files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, RuntimeError)
DECODE_ERRORS += (AttributeError, ArithmeticError, MemoryError, struct.error, zlib.error)


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what Pillow raises while it decodes into one line.

    Args:
        name: of the picture, for the message.

    Raises:
        ImageError: `name` is damaged or too large.
    """
    from PIL import Image

    try:
        yield
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: {first_line(error)}") from error
    except DECODE_ERRORS as error:
        raise ImageError(f"{name} is damaged: {first_line(error)}") from error


def is_pdf(data: bytes) -> bool:
    """Whether a file is a PDF document; its mark may follow up to a kilobyte of something else, as in PDF readers."""
    return data.startswith(b"%PDF-") or (b"%PDF-" in data[:1024] and _kind_of(data) is None)


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse a picture of no pixels or of too many.

    Raises:
        ImageError: `name` is such a picture.
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"{name} has no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is too large: {width}x{height} is {width * height / 1e6:.1f} million pixels, "
            f"the limit is {max_pixels / 1e6:.1f}; scale it down or raise max_pixels"
        )


def open_picture(data: bytes, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """A Pillow image whose header is read and whose pixels are not.

    Args:
        data: the bytes of a file.
        name: of the file, for messages.
        max_pixels: largest accepted width x height.

    Raises:
        ImageError: not a picture of a known format, its header is damaged, or it is too large.
        UserError: HEIF, and pillow-heif is not installed.
    """
    from PIL import Image

    kind = "HEIF" if _is_heif(data) else _kind_of(data)
    if kind == "GIF":
        check_size(*canvas_size(data, frames=1), name, max_pixels)
    if kind is not None:
        factory = _heif_factory(name) if kind == "HEIF" else Image.OPEN[kind][0]
        with damage_named(name):
            image = factory(io.BytesIO(data), "")
            check_size(image.width, image.height, name, max_pixels)
            return image
    if is_pdf(data):
        raise ImageError(f"{name} is a PDF document, not a picture; ppocr_jax.images.read_pages gives its pages")
    raise ImageError(f"{name} is not a picture that can be read (formats: {', '.join(sorted(FORMATS))})")


def _kind_of(data: bytes) -> str | None:
    """The format whose mark the file begins with."""
    from PIL import Image

    for kind, module in _PLUGINS.items():
        try:
            import_module(f"PIL.{module}ImagePlugin")  # registers itself in `Image.OPEN`
        except ImportError:  # AVIF before Pillow 11.3
            continue
        accept = Image.OPEN[kind][1]
        if accept is None or accept(data[:16]) is True:
            return kind
    return None


def _is_heif(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    brands = {box[start : start + 4] for start in range(0, len(box), 4)}
    return bool(brands & HEIF_BRANDS) and not brands & {b"avif", b"avis"}


def _heif_factory(name: str) -> Callable[..., ImageFile.ImageFile]:
    try:
        from pillow_heif import HeifImageFile  # not registered with Pillow, which would change it for everyone
    except ImportError as error:
        raise UserError(f'{name} is a HEIC picture: pip install "ppocr_jax[heif]" to read it') from error
    return HeifImageFile
