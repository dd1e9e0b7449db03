"""Pixels of any of Pillow's modes -> RGB of eight bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# Transparent images. What counts as visible (alpha), light and dark (luminance), all 0..255.
_VISIBLE, _LIGHT, _DARK = 64, 170, 85
_FEW = 0.01  # share of the visible pixels that may be lost on a ground of their own brightness
_OUTLINE = 8  # pixels: dark this near to light is its outline or shadow, not text of its own
_GROUNDS = {"white": 255, "black": 0, "gray": 128}


class PixelError(ValueError):
    """Values whose range is not known; the message goes on after the image's name."""


def to_rgb(image: Image.Image) -> np.ndarray:
    """Return the RGB pixels of a Pillow image.

    - Gray of more than eight bits is divided by the largest value of its bit depth, taken to be the smallest of 8, 10,
      12, 14, 16 ... bits that holds its largest value: files of 12-bit scanners are full of 16-bit numbers up to 4095.
      Colors of 16 bits are divided by 257.
    - Floating-point gray within 0..1 counts as shares of white, within 0..255 as eight bits.
    - Transparent images are put on the ground that `ground_level` chooses.
    - CMYK is converted without its profile, as by Pillow; CIE L*a*b* by OpenCV.

    Args:
        image: of any mode, decoded or not.

    Returns:
        (H, W, 3) uint8, its own memory.

    Raises:
        PixelError: gray values below 0, not finite, or floating-point beyond 255.
    """
    if image.mode == "La":  # Pillow knows one way from there
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
        return put_on_ground(np.asarray(image.convert("RGBA")))
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def gray_to_rgb(gray: np.ndarray) -> np.ndarray:
    """Repeat the levels (H, W) uint8 as colors (H, W, 3)."""
    import cv2

    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB)


def put_on_ground(image_rgba: np.ndarray) -> np.ndarray:
    """Put (H, W, 4) uint8 with straight alpha on the ground that `ground_level` chooses, (H, W, 3) uint8."""
    from PIL import Image

    if image_rgba[..., 3].min() == 255:
        return np.ascontiguousarray(image_rgba[..., :3])
    level = ground_level(image_rgba)
    ground = Image.new("RGBA", image_rgba.shape[1::-1], (level, level, level, 255))
    return np.array(Image.alpha_composite(ground, Image.fromarray(image_rgba)).convert("RGB"))


def ground_level(image_rgba: np.ndarray) -> int:
    """Return the gray level on which no part of a transparent image vanishes.

    White, unless 1 % of the visible pixels are light. Then black, unless 1 % are dark and do not belong to something
    light as its outline or shadow: for light and dark text in one image, mid-gray.

    Args:
        image_rgba: (H, W, 4) uint8, straight alpha.

    Returns:
        255, 0 or 128.
    """
    import cv2

    luminance = cv2.cvtColor(image_rgba, cv2.COLOR_RGBA2GRAY)
    visible = image_rgba[..., 3] >= _VISIBLE
    few = _FEW * np.count_nonzero(visible)
    light = visible & (luminance >= _LIGHT)
    if np.count_nonzero(light) <= few:
        return _GROUNDS["white"]
    reach = np.ones((2 * _OUTLINE + 1,) * 2, np.uint8)
    near_light = cv2.dilate(light.view(np.uint8), reach).view(bool)
    dark = visible & (luminance <= _DARK) & ~near_light
    return _GROUNDS["black" if np.count_nonzero(dark) <= few else "gray"]


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
    if not (low >= 0 and high <= 255):  # NaN, too, compares as false
        raise PixelError(
            f"has floating-point pixels between {low:g} and {high:g}, whose range is not known; convert it to 8 bits"
        )
    return (levels * (255 if high <= 1 else 1) + 0.5).astype(np.uint8)


def _lab_to_rgb(lab: np.ndarray) -> np.ndarray:
    import cv2

    lab[..., 1:] ^= 128  # Pillow gives a and b as signed bytes, OpenCV wants them moved by 128
    return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
