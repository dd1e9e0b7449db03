"""Conversion of pixels of all of Pillow's modes to 8-bit RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# Transparent images: limits of visible (alpha), light and dark (luminance), 0..255.
_VISIBLE, _LIGHT, _DARK = 64, 170, 85
_FEW = 0.01  # share of the visible pixels that may vanish on a background of similar brightness
_OUTLINE = 8  # pixels: dark pixels this close to light ones are their outline or shadow, not text
_BACKGROUNDS = {"white": 255, "black": 0, "gray": 128}


class PixelError(ValueError):
    """Error for values of unknown range. Its message continues after the name of the image."""


def to_rgb(image: Image.Image) -> np.ndarray:
    """Return the RGB pixels of a Pillow image.

    - Gray of more than eight bits is divided by the largest value of its bit depth. This is assumed to be the smallest
      of 8, 10, 12, 14, 16 ... bits that holds the largest value of the image, because files of 12-bit scanners contain
      16-bit numbers up to 4095. Colors of 16 bits are divided by 257.
    - Floating-point gray within 0..1 is scaled by 255; within 0..255 it is used as it is.
    - Transparent images are composed on the background that `background_level` chooses.
    - CMYK is converted by Pillow without its profile, and CIE L*a*b* by OpenCV.

    Args:
        image: Pillow image of any mode, decoded or not.

    Returns:
        (H, W, 3) uint8 with its own memory.

    Raises:
        PixelError: If gray values are negative or not finite, or floating-point values exceed 255.
    """
    if image.mode == "La":  # Pillow only converts it to LA
        image = image.convert("LA")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return gray_to_rgb(_scale_integers(np.asarray(image)))
    if image.mode == "F":
        return gray_to_rgb(_scale_floats(np.asarray(image)))
    if image.mode == "LAB":
        return _lab_to_rgb(np.array(image))
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return gray_to_rgb(np.asarray(image if image.mode == "L" else image.convert("L")))
    if image.has_transparency_data:
        return compose_on_background(np.asarray(image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def gray_to_rgb(gray: np.ndarray) -> np.ndarray:
    """Convert gray levels (H, W) uint8 to RGB (H, W, 3)."""
    import cv2

    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def compose_on_background(image_rgba: np.ndarray) -> np.ndarray:
    """Compose RGBA (H, W, 4) uint8 (straight alpha) on the background of `background_level`, (H, W, 3) uint8."""
    from PIL import Image

    if image_rgba[..., 3].min() == 255:
        return np.ascontiguousarray(image_rgba[..., :3])
    level = background_level(image_rgba)
    background = Image.new("RGBA", image_rgba.shape[1::-1], (level, level, level, 255))
    return np.array(Image.alpha_composite(background, Image.fromarray(image_rgba)).convert("RGB"))


def background_level(image_rgba: np.ndarray) -> int:
    """Return the gray level of a background on which all parts of a transparent image are visible.

    It is white, unless more than 1 % of the visible pixels are light. Then it is black, unless more than 1 % are dark
    and not the outline or shadow of something light. For light and dark text in one image, it is mid-gray.

    Args:
        image_rgba: Image, (H, W, 4) uint8, straight alpha.

    Returns:
        255, 0 or 128.
    """
    import cv2

    luminance = cv2.cvtColor(image_rgba, cv2.COLOR_RGBA2GRAY)
    visible = image_rgba[..., 3] >= _VISIBLE
    few = _FEW * np.count_nonzero(visible)
    light = visible & (luminance >= _LIGHT)
    if np.count_nonzero(light) <= few:
        return _BACKGROUNDS["white"]
    reach = np.ones((2 * _OUTLINE + 1,) * 2, np.uint8)
    near_light = cv2.dilate(light.view(np.uint8), reach).view(bool)
    dark = visible & (luminance <= _DARK) & ~near_light
    return _BACKGROUNDS["black" if np.count_nonzero(dark) <= few else "gray"]


def _scale_integers(levels: np.ndarray) -> np.ndarray:
    if levels.min() < 0:
        raise PixelError("has gray values below 0, whose range is not known; convert it to 8 bits")
    bits = max(8, int(levels.max()).bit_length())
    white = 2 ** (bits + bits % 2) - 1
    if bits <= 16:
        return (np.arange(white + 1) * 255 // white).astype(np.uint8)[levels]
    return (levels.astype(np.int64) * 255 // white).astype(np.uint8)


def _scale_floats(levels: np.ndarray) -> np.ndarray:
    low, high = levels.min(), levels.max()
    if not (low >= 0 and high <= 255):  # also for NaN, which compares as false
        raise PixelError(
            f"has floating-point pixels between {low:g} and {high:g}, whose range is not known; convert it to 8 bits"
        )
    return (levels * (255 if high <= 1 else 1) + 0.5).astype(np.uint8)


def _lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    import cv2

    lab[..., 1:] ^= 128  # Pillow stores a and b as signed bytes, OpenCV with an offset of 128
    return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
