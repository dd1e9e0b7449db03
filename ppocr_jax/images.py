"""Any picture -> `image_rgb`: upright, three channels, eight bits.

Pillow decodes, and only the formats named in `FORMATS`: its other readers are not made for untrusted files.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # "JPEG" includes phones' MPO
MAX_PIXELS = 150_000_000
"""Default limit of width x height: a 108-megapixel phone picture passes, a decompression bomb does not."""

# What Pillow's readers raise on damaged files, beside its own UnidentifiedImageError (an OSError).
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError)
_DECODE_ERRORS += (struct.error, zlib.error)

ImageSource: TypeAlias = "str | Path | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Image.Image"


class ImageError(UserError, ValueError):
    """The source is missing, is not a picture, is damaged, or is too large."""


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a picture and turn it upright.

    EXIF orientation is applied; transparent pixels are put on white; palette, grey, CMYK and 16-bit pictures become
    RGB; of an animation or a multi-page file the first frame is taken.

    Args:
        source: a path; the bytes of a file, or an open binary file; an array, uint8, (H W) grey, (H W 1) grey,
            (H W 3) RGB or (H W 4) RGBA; or a Pillow image.
        max_pixels: largest accepted width x height. Files beyond twice `PIL.Image.MAX_IMAGE_PIXELS` are refused
            by Pillow itself.

    Returns:
        (H, W, 3) uint8 RGB. An RGB array is returned as it is, not copied.

    Raises:
        ImageError: one line saying what is wrong with the source.
        TypeError: a source of another type.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return _decode(source, "the picture", max_pixels)
    data, name = _read(source)
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: {error}") from error
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that can be read (formats: {', '.join(FORMATS)})") from error
    except _DECODE_ERRORS as error:
        raise ImageError(f"{name} is damaged: {_one_line(error)}") from error
    with image:
        return _decode(image, name, max_pixels)


def describe_source(source: ImageSource) -> str:
    """The path of a source that has one, else ""."""
    return str(source) if isinstance(source, str | Path) else ""


def _read(source: Any) -> tuple[bytes, str]:
    """Bytes of a source and its name for messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the picture"
    if isinstance(source, str | Path):
        return _read_file(Path(source)), str(source)
    if callable(getattr(source, "read", None)):
        data = source.read()
        if not isinstance(data, bytes):
            raise TypeError("a picture's file must be opened in binary mode")
        return data, str(getattr(source, "name", "the picture"))
    raise TypeError(
        f"a picture must be a path, bytes, a binary file, a NumPy array or a Pillow image, not {type(source).__name__}"
    )


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        hint = " (URLs are not fetched: download it first)" if str(path).startswith(("http:", "https:")) else ""
        raise ImageError(f"no such file: {path}{hint}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{path} is a folder, not a picture") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"cannot read {path}: {_one_line(error)}") from error


def _decode(image: Image.Image, name: str, max_pixels: int) -> np.ndarray:
    from PIL import ImageOps

    _check_size(image.width, image.height, name, max_pixels)
    if image.mode == "F":
        raise ImageError(f"{name} has floating-point pixels, whose range is not known; convert it to 8 bits")
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return np.array(_to_rgb(upright))
    except _DECODE_ERRORS as error:
        raise ImageError(f"{name} is damaged: {_one_line(error)}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):  # 16-bit grey; Pillow's own conversion would clip at 255
        levels = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray((levels // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"an image array must be uint8 with values 0..255, not {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"an image array must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
    height, width = array.shape[:2]
    _check_size(width, height, "the array", max_pixels)
    if array.ndim == 2:
        array = array[..., None]
    if array.shape[2] == 1:
        return np.repeat(array, 3, axis=2)
    if array.shape[2] == 4:
        alpha = array[..., 3:].astype(np.uint16)
        return ((array[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return array


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    if width == 0 or height == 0:
        raise ImageError(f"{name} has no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is too large: {width}x{height} is {width * height / 1e6:.1f} million pixels, "
            f"the limit is {max_pixels / 1e6:.1f}; scale it down or raise max_pixels"
        )


def _one_line(error: BaseException) -> str:
    """The first line of an error's own message."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.splitlines()[0]
