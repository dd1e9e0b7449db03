"""A source -> upright RGB: header, limits, pixels, orientation, in this order."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.images.formats import DECODE_ERRORS, MAX_PIXELS, check_size, damage_named, open_picture
from ppocr_jax.images.pixels import PixelError, gray_to_rgb, put_on_ground, to_rgb
from ppocr_jax.images.sources import ImageError, ImageSource, first_line, read_bytes

if TYPE_CHECKING:
    from PIL import Image

_MAX_SCANS = 100  # of a JPEG file: progressive ones have about ten; each costs as much time as the whole picture
_END_OF_JPEG = b"\xff\xd9"
_MISSING = 128  # what libjpeg gives for pixels that the file no longer has
_ORIENTATION_TAG = 0x0112

_logger = logging.getLogger("ppocr_jax")


def load_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, partial: bool = False) -> np.ndarray:
    """Decode a picture and turn it upright.

    EXIF orientation is applied; palette, gray, 16-bit, CMYK, L*a*b* and transparent pixels become RGB as
    `pixels.to_rgb` says; of an animation or a multi-page file the first frame is taken (`ppocr_jax.images.read_pages`
    gives all).

    Args:
        source: a path; the bytes of a file, or an open binary file; an array, uint8, (H W) gray, (H W 1) gray,
            (H W 3) RGB or (H W 4) RGBA; or a Pillow image.
        max_pixels: largest accepted width x height, checked before anything is decoded. `PIL.Image.MAX_IMAGE_PIXELS`
            does not count, except for WebP and GIF files beyond twice its value, which Pillow refuses by itself.
        partial: read what is there of a JPEG file that is cut off: the missing rows are gray and a warning is logged.
            A file that lacks more than half of its rows remains an error, like a cut-off file of any other format.

    Returns:
        (H, W, 3) uint8 RGB. An RGB array is returned as it is, not copied.

    Raises:
        ImageError: one line saying what is wrong with the source.
        UserError: a HEIC picture, and pillow-heif is not installed.
        TypeError: a source of another type.
    """
    from PIL import Image

    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if isinstance(source, Image.Image):
        return decode(source, b"", "the picture", max_pixels=max_pixels)
    data, name = read_bytes(source)
    with open_picture(data, name, max_pixels) as image:
        if image.format == "TIFF" and getattr(image, "is_animated", False):
            _logger.warning("%s holds more than one picture; only the first is read (read_pages reads all)", name)
        return decode(image, data, name, max_pixels=max_pixels, partial=partial)


def decode(
    image: Image.Image, data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, partial: bool = False
) -> np.ndarray:
    """The present frame of an opened picture, upright.

    Args:
        image: Pillow's, its header read.
        data: the file it was opened from; empty where not known. Only JPEG needs it.
        name: for messages.
        max_pixels: see `load_image`.
        partial: see `load_image`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: too large, or damaged.
    """
    check_size(image.width, image.height, name, max_pixels)
    with damage_named(name):
        try:
            if image.format in ("JPEG", "MPO") and data:
                pixels = _jpeg_pixels(image, data, name, partial)
            else:
                _reserve_tiff_memory(image)
                pixels = to_rgb(image)
        except PixelError as error:
            raise ImageError(f"{name} {error}") from error
    return _upright(pixels, _orientation(image, name))


def _jpeg_pixels(image: Image.Image, data: bytes, name: str, partial: bool) -> np.ndarray:
    """RGB of a JPEG file's first frame, as stored.

    OpenCV, where it can: both call libjpeg-turbo and give the same pixels, but Pillow copies them twice more.
    """
    if data.count(b"\xff\xda") > _MAX_SCANS:
        raise PixelError(f"has more than {_MAX_SCANS} scans, which no picture needs")
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
    except cv2.error:  # OpenCV's own limits; Pillow says what is wrong, if anything is
        return None


def _cut_jpeg_pixels(data: bytes, name: str, partial: bool, max_pixels: int) -> np.ndarray:
    """RGB of a JPEG file that ends before its pixels do; a file that merely lacks its end mark is whole."""
    with open_picture(data + _END_OF_JPEG, name, max_pixels) as image:
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


def _reserve_tiff_memory(image: Image.Image) -> None:
    """Give a TIFF file the memory it is decoded into, which Pillow would do only after checking its own limit."""
    from PIL import Image

    size = getattr(image, "_tile_size", None)  # Pillow 11.2 and newer; as stored, before it is turned
    if image.format == "TIFF" and size is not None and getattr(image, "_im", None) is None:
        image.im = Image.core.new(image.mode, size)


def _orientation(image: Image.Image, name: str) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except DECODE_ERRORS as error:
        _logger.warning("%s: its EXIF data cannot be read (%s); it is taken to be upright", name, first_line(error))
        return 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF's orientation, 1 to 8; other values count as 1. OpenCV's turns are four times as fast as NumPy's."""
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
    return put_on_ground(np.ascontiguousarray(array)) if array.shape[2] == 4 else array
