"""Decoding of image files to upright RGB: format detection by the first bytes, header, limits, pixels, orientation.

Only the formats in `FORMATS` are tried, because Pillow's other readers are not made for untrusted files. Pillow's
classes are used directly instead of `PIL.Image.open`, which would apply the process-wide `PIL.Image.MAX_IMAGE_PIXELS`.
The limit here is an argument of the call, so that other threads and the user's own Pillow code are not affected.
"""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.images.pixels import PixelError, compose_on_background, gray_to_rgb, to_rgb
from ppocr_jax.images.sources import ImageError, ImageSource, TooLargeError, UnknownFormatError, first_line, read_bytes

if TYPE_CHECKING:
    from PIL import Image, ImageFile

# Pillow's name of a format -> its module PIL.<...>ImagePlugin. "JPEG" includes MPO of phones, "PNG" animated PNG.
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
"""Supported formats. AVIF needs Pillow 11.3, HEIF (HEIC of phones) the package pillow-heif."""

MAX_PIXELS = 150_000_000
"""Default limit of width x height: it accepts a 108-megapixel phone image, but no decompression bomb."""

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}

# Exceptions that readers raise for damaged files.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, RuntimeError)
DECODE_ERRORS += (AttributeError, ArithmeticError, MemoryError, struct.error, zlib.error)

_MAX_SCANS = 100  # of a JPEG file: progressive files have about ten, and each takes as much time as the whole image
_END_OF_JPEG = b"\xff\xd9"
_MISSING = 128  # value of libjpeg for pixels missing in the file
_ORIENTATION_TAG = 0x0112

_logger = logging.getLogger("ppocr_jax")


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, partial: bool = False) -> np.ndarray:
    """Decode an image and rotate it upright.

    EXIF orientation is applied. Palette, gray, 16-bit, CMYK, L*a*b* and transparent pixels are converted to RGB by
    `pixels.to_rgb`. Of an animation or a multi-page file, the first frame is used (`ppocr_jax.images.read_pages` yields
    all).

    Args:
        source: A path; the bytes of a file, or an open binary file; an array, uint8, (H W) gray, (H W 1) gray,
            (H W 3) RGB or (H W 4) RGBA; or a Pillow image.
        max_pixels: Largest accepted width x height, checked before decoding. `PIL.Image.MAX_IMAGE_PIXELS` only affects
            WebP, TIFF and GIF files, which Pillow itself refuses beyond twice this value.
        partial: Decode the available part of a truncated JPEG file: the missing rows are gray, and a warning is logged.
            If more than half of the rows are missing, an error is raised, as for truncated files of other formats.

    Returns:
        (H, W, 3) uint8 RGB. An RGB array is returned unchanged, not copied.

    Raises:
        ImageError: If the source cannot be read or decoded. The message is one line.
        UserError: If the source is a HEIC image and pillow-heif is not installed.
        TypeError: If the source has another type.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return decode(source, b"", "the image", max_pixels=max_pixels)
    data, name = read_bytes(source)
    with open_image(data, name, max_pixels) as image:
        if image.format == "TIFF" and getattr(image, "is_animated", False):
            _logger.warning("%s contains more than one image; only the first is read (read_pages reads all)", name)
        return decode(image, data, name, max_pixels=max_pixels, partial=partial)


def decode(
    image: Image.Image, data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, partial: bool = False
) -> np.ndarray:
    """Return the current frame of an opened image, upright.

    Args:
        image: Pillow image with its header read.
        data: File from which it was opened, empty if unknown. Only needed for JPEG.
        name: Name for messages.
        max_pixels: See `load_image`.
        partial: See `load_image`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: If the image is too large or damaged.
    """
    check_size(image.width, image.height, name, max_pixels)
    with named_image_errors(name):
        try:
            if image.format in ("JPEG", "MPO") and data:
                pixels = _jpeg_pixels(image, data, name, partial)
            else:
                pixels = to_rgb(image)
        except PixelError as error:
            raise ImageError(f"{name} {error}") from error
    return _upright(pixels, _orientation(image, name))


def _jpeg_pixels(image: Image.Image, data: bytes, name: str, partial: bool) -> np.ndarray:
    """Return the RGB pixels of a JPEG file's first frame, as stored.

    If possible, OpenCV decodes: both use libjpeg-turbo and give the same pixels, but Pillow copies them twice more.
    """
    if data.count(b"\xff\xda") > _MAX_SCANS:
        raise PixelError(f"has more than {_MAX_SCANS} scans, which no image needs")
    if image.mode not in ("L", "RGB") or image.tell() != 0:
        return to_rgb(image)
    if data.rstrip(b"\0").endswith(_END_OF_JPEG):
        pixels = _opencv_pixels(data)
        if pixels is not None and pixels.shape[:2] == (image.height, image.width):
            return pixels
    try:
        return to_rgb(image)
    except OSError as error:
        if "truncated" not in str(error):
            raise
        return _cut_jpeg_pixels(data, name, partial, image.width * image.height)


def _opencv_pixels(data: bytes) -> np.ndarray | None:
    import cv2

    try:
        flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # OpenCV's own limits; Pillow decodes the file or reports its error
        return None


def _cut_jpeg_pixels(data: bytes, name: str, partial: bool, max_pixels: int) -> np.ndarray:
    """Return the RGB pixels of a truncated JPEG file. A file that only lacks its end marker is complete."""
    with open_image(data + _END_OF_JPEG, name, max_pixels) as image:
        progressive = "progressive" in image.info
        pixels = to_rgb(image)
    height = len(pixels)
    there = (pixels[:, -1] != _MISSING).any(axis=-1).nonzero()[0]
    missing = height - 1 - int(there.max(initial=-1))
    what = f"{missing} of {height} rows are missing" if missing else "finer detail is missing"
    if missing > height / 2 or ((missing or progressive) and not partial):
        raise PixelError(f"is damaged: the file is cut off, {what}")
    if missing or progressive:
        _logger.warning("%s is cut off: %s; the rest is read", name, what)
    return pixels


def _orientation(image: Image.Image, name: str) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except DECODE_ERRORS as error:
        _logger.warning("%s: its EXIF data cannot be read (%s); assuming that it is upright", name, first_line(error))
        return 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo the EXIF orientation, 1 to 8. Other values count as 1. OpenCV rotates four times as fast as NumPy."""
    import cv2

    if orientation in (5, 7):
        pixels = cv2.transpose(pixels)
    turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 7: cv2.ROTATE_180, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    if orientation in turns:
        return cv2.rotate(pixels, turns[orientation])
    return cv2.flip(pixels, {2: 1, 4: 0}[orientation]) if orientation in (2, 4) else pixels


def _from_array(array: np.ndarray, max_pixels: int) -> np.ndarray:
    if array.dtype != np.uint8:
        raise ImageError(f"an image array must be uint8 with values 0..255, not {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageError(f"an image array must have shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), not {array.shape}")
    height, width = array.shape[:2]
    check_size(width, height, "the array", max_pixels)
    if array.ndim == 2 or array.shape[2] == 1:
        return gray_to_rgb(np.ascontiguousarray(array.reshape(height, width)))
    return compose_on_background(np.ascontiguousarray(array)) if array.shape[2] == 4 else array


@contextmanager
def named_image_errors(name: str) -> Iterator[None]:
    """Convert Pillow's decoding errors to one-line errors.

    Args:
        name: Name of the image, for the message.

    Raises:
        ImageError: If the image is damaged or too large.
    """
    from PIL import Image

    try:
        yield
    except UserError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"{name} is too large: {first_line(error)}") from error
    except DECODE_ERRORS as error:
        raise ImageError(f"{name} is damaged: {first_line(error)}") from error


def is_pdf(data: bytes) -> bool:
    """Return whether a file is a PDF document. As in PDF readers, its marker may follow a kilobyte of other data."""
    return data.startswith(b"%PDF-") or (b"%PDF-" in data[:1024] and _kind_of(data) is None)


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Raise an error if an image has no pixels or too many.

    Raises:
        ImageError: If the size is not accepted.
    """
    if width <= 0 or height <= 0:
        raise ImageError(f"{name} has no pixels ({width}x{height})")
    if width * height > max_pixels:
        raise TooLargeError(
            f"{name} is too large: {width}x{height} is {width * height / 1e6:.1f} million pixels, "
            f"the limit is {max_pixels / 1e6:.1f}; scale it down or raise max_pixels"
        )


def open_image(data: bytes, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Open an image with Pillow: read its header, but not its pixels.

    Args:
        data: Bytes of a file.
        name: Name of the file, for messages.
        max_pixels: Largest accepted width x height.

    Raises:
        ImageError: If the format is unknown, the header is damaged, or the image is too large.
        UserError: If it is a HEIF image and pillow-heif is not installed.
    """
    from PIL import Image

    kind = "HEIF" if _is_heif(data) else _kind_of(data)
    if kind is not None:
        factory = _heif_factory(name) if kind == "HEIF" else Image.OPEN[kind][0]
        with named_image_errors(name):
            image = factory(io.BytesIO(data), "")
            check_size(image.width, image.height, name, max_pixels)
            return image
    if is_pdf(data):
        raise ImageError(f"{name} is a PDF document, not an image: use OCR.read for its pages")
    raise UnknownFormatError(f"{name} is not a readable image (formats: {', '.join(sorted(FORMATS))})")


def _kind_of(data: bytes) -> str | None:
    """Return the format whose marker the file begins with, or None."""
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
        from pillow_heif import HeifImageFile  # not registered with Pillow, because that would affect other code
    except ImportError as error:
        raise UserError(f'{name} is a HEIC image: pip install "ppocr-jax[heif]" to read it') from error
    return HeifImageFile
