"""The pages of a multi-page TIFF file and the frames of an animation; a picture is a document of one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from ppocr_jax.images.formats import DECODE_ERRORS, check_size, damage_named, open_picture
from ppocr_jax.images.gif_frames import canvas_size
from ppocr_jax.images.loading import decode

if TYPE_CHECKING:
    from PIL import Image

Dpi: TypeAlias = "tuple[float, float] | None"
Frames: TypeAlias = Literal["first", "all"]

_ORIENTATION = 274  # TIFF's tag, the same as EXIF's
_SUBFILE_TYPE = 254  # TIFF's tag: bit 0 a smaller version of another picture, bit 2 a transparency mask
_NO_PAGE = 1 | 4
_PLAUSIBLE_DPI = (20, 10_000)
_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")


class PictureDocument:
    """A picture file, opened; see `pages.Document`."""

    def __init__(self, data: bytes, name: str, *, frames: Frames, max_pixels: int, partial: bool) -> None:
        """Read the header, and for TIFF the headers of all pages.

        Args:
            data: the file.
            name: for messages.
            frames: "all" makes the frames of an animation pages; "first" shows its first one only.
            max_pixels: of one page, see `load_image`.
            partial: see `load_image`.

        Raises:
            ImageError: as `open_picture`.
        """
        self._data, self._name, self._partial, self._max_pixels = data, name, partial, max_pixels
        self._image = open_picture(data, name, max_pixels)
        with damage_named(name):
            self._frames = self._pages(frames)
        self.page_count = len(self._frames)

    def read(self, number: int) -> tuple[np.ndarray, Dpi]:
        """Page `number`, counted from 1: upright RGB (H, W, 3) uint8, and its dots per inch if the file says so.

        Raises:
            ImageError: the page is damaged or too large.
        """
        name = f"{self._name} page {number}" if self.page_count > 1 else self._name
        with damage_named(name):
            self._image.seek(self._frames[number - 1])
        stored = _stored_size(self._image)
        image_rgb = decode(self._image, self._data, name, max_pixels=self._max_pixels, partial=self._partial)
        return image_rgb, _dpi_of(self._image, turned=stored != image_rgb.shape[1::-1])

    def close(self) -> None:
        """Free the decoder."""
        self._image.close()

    def _pages(self, frames: Frames) -> list[int]:
        """Which of the file's frames are pages."""
        image = self._image
        if image.format == "TIFF":
            count = getattr(image, "n_frames", 1)
            return _tiff_pages(image, count) if count > 1 else [0]
        if frames == "all" and image.format == "GIF":
            check_size(*canvas_size(self._data), self._name, self._max_pixels)
        if frames == "all" and image.format in _ANIMATIONS:
            return list(range(getattr(image, "n_frames", 1)))
        return [0]


def _tiff_pages(image: Image.Image, count: int) -> list[int]:
    pages = []
    for frame in range(count):
        image.seek(frame)
        kind = image.tag_v2.get(_SUBFILE_TYPE, 0)  # pyright: ignore[reportAttributeAccessIssue]
        if not (isinstance(kind, int) and kind & _NO_PAGE):
            pages.append(frame)
    return pages or [0]


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height before the picture is turned upright, which Pillow does with TIFF files itself."""
    turned = image.format == "TIFF" and image.tag_v2.get(_ORIENTATION, 1) in (5, 6, 7, 8)  # pyright: ignore
    return (image.height, image.width) if turned else image.size


def _dpi_of(image: Image.Image, *, turned: bool) -> Dpi:
    """(horizontal, vertical) dots per inch of the upright picture; None if unknown or not credible."""
    try:
        horizontal, vertical = (float(value) for value in image.info.get("dpi", ()))
    except DECODE_ERRORS:
        return None
    low, high = _PLAUSIBLE_DPI
    if not (low <= horizontal <= high and low <= vertical <= high):
        return None
    return (vertical, horizontal) if turned else (horizontal, vertical)
