"""A page drawn: the picture with its lines outlined, and beside it the texts, each in the place where it was read."""

from __future__ import annotations

import colorsys

import numpy as np

from ppocr_jax.document.label_fonts import drawable, font_for
from ppocr_jax.document.page import Line, Page

_TEXT_HEIGHT = 0.78  # font size as a share of the line's height, so that descenders stay inside
_MARGIN = 0.1  # free space before and after the text, as a share of the line's height
_MIN_SIZE = 6
_GOLDEN_RATIO = 0.618034  # steps of hue: neighbors differ, and no color comes twice


def draw_page(image_rgb: np.ndarray, page: Page) -> np.ndarray:
    """Outline every line on the picture, and draw its text in its quad on a white panel to the right.

    Args:
        image_rgb: (H, W, 3) uint8, the upright picture that was read.
        page: its lines.

    Returns:
        (H, 2 W, 3) uint8 RGB.

    Raises:
        ValueError: the page is of a picture of another size.
    """
    if image_rgb.shape[:2] != (page.height, page.width):
        raise ValueError(
            f"the page is of a {page.width}x{page.height} picture, not {image_rgb.shape[1]}x{image_rgb.shape[0]}"
        )
    panel = np.full_like(image_rgb, 255)
    for line in page:
        _draw_text(panel, line)
    return np.hstack([_outlined(image_rgb, page, fill=0.15), _outlined(panel, page, fill=0.0)])


def _outlined(image_rgb: np.ndarray, page: Page, *, fill: float) -> np.ndarray:
    """A copy with each quad outlined, and tinted by the share `fill`."""
    import cv2

    thickness = max(1, round(min(image_rgb.shape[:2]) / 500))
    quads = [np.round(np.array(line.quad)).astype(np.int32) for line in page]
    tinted = image_rgb.copy()
    for i, quad in enumerate(quads):
        cv2.fillPoly(tinted, [quad], _color(i))
    drawn = cv2.addWeighted(tinted, fill, image_rgb, 1 - fill, 0)
    for i, quad in enumerate(quads):
        cv2.polylines(drawn, [quad], True, _color(i), thickness, cv2.LINE_AA)
    return drawn


def _color(index: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(index * _GOLDEN_RATIO % 1, 0.9, 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_text(panel: np.ndarray, line: Line) -> None:
    """Draw a line's text into its quad; darker pixels win, so that overlapping lines stay visible."""
    import cv2

    quad = np.array(line.quad, np.float32)
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    width, height = max(1, round(max(sides[0], sides[2]))), max(1, round(max(sides[1], sides[3])))
    strip = _text_strip(line.text, width, height)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    left, top = np.clip(np.floor(quad.min(axis=0)).astype(int), 0, None)
    window = panel[top : int(quad[:, 1].max()) + 1, left : int(quad[:, 0].max()) + 1]
    if window.size == 0:
        return
    matrix = cv2.getPerspectiveTransform(corners, quad - np.array([left, top], np.float32))
    size = (window.shape[1], window.shape[0])
    placed = cv2.warpPerspective(strip, matrix, size, flags=cv2.INTER_AREA, borderValue=(255, 255, 255))
    np.minimum(window, placed, out=window)


def _text_strip(text: str, width: int, height: int) -> np.ndarray:
    """Black text on white, as large as fits, (height, width, 3) uint8; characters that no font has as U+XXXX."""
    from PIL import Image, ImageDraw

    margin = min(width, height) * _MARGIN
    size = max(_MIN_SIZE, round(height * _TEXT_HEIGHT))
    shown = drawable(text)
    length = font_for(text, size).getlength(shown)
    if length > width - 2 * margin:
        size = max(_MIN_SIZE, int(size * (width - 2 * margin) / length))
    strip = Image.new("RGB", (width, height), (255, 255, 255))
    at, font = (margin, height / 2), font_for(text, size)
    ImageDraw.Draw(strip).text(at, shown, fill=(0, 0, 0), font=font, anchor="lm")
    return np.asarray(strip)
