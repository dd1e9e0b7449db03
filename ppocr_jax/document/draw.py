"""Drawing of a page: the image with outlined lines, and beside it the texts at their positions.

`LabelFonts` draws text of any language with system fonts, for images meant to be viewed.
"""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ppocr_jax.document.page import Line, Page

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"

FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Helvetica.ttc",
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "msyh.ttc",
    "PingFang.ttc",
)
"""File names that Pillow searches in the system's font folders, in order of preference."""

_NO_CHARACTER = "\uffff"
_TRIAL_SIZE = 16  # pixels, for testing whether a font has a character; the result is the same at every size
_TEXT_HEIGHT = 0.78  # font size as a share of the line's height, so that descenders stay inside
_MARGIN = 0.1  # space before and after the text, as a share of the line's height
_MIN_SIZE = 6
_GOLDEN_RATIO = 0.618034  # step of the hue: adjacent colors differ clearly, and no color repeats


def draw_page(image_rgb: np.ndarray, page: Page) -> np.ndarray:
    """Outline every line in the image, and draw its text in its quad on a white panel to the right.

    Args:
        image_rgb: Upright image of the page, (H, W, 3) uint8.
        page: Page with lines.

    Returns:
        (H, 2 W, 3) uint8 RGB.

    Raises:
        ValueError: If the image has another size than the page.
    """
    if image_rgb.shape[:2] != (page.height, page.width):
        raise ValueError(
            f"the page is of a {page.width}x{page.height} image, not {image_rgb.shape[1]}x{image_rgb.shape[0]}"
        )
    panel = np.full_like(image_rgb, 255)
    for line in page:
        _draw_text(panel, line)
    return np.hstack([_outlined(image_rgb, page, fill=0.15), _outlined(panel, page, fill=0.0)])


def _outlined(image_rgb: np.ndarray, page: Page, *, fill: float) -> np.ndarray:
    """Return a copy with each quad outlined, and filled with the opacity `fill`."""
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
    """Draw a line's text into its quad. Darker pixels win, so that overlapping lines stay visible."""
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
    """Return black text on white, (height, width, 3) uint8, as large as fits."""
    from PIL import Image, ImageDraw

    margin = min(width, height) * _MARGIN
    size = max(_MIN_SIZE, round(height * _TEXT_HEIGHT))
    length = LABEL_FONTS.length(text, size)
    if length > width - 2 * margin:
        size = max(_MIN_SIZE, int(size * (width - 2 * margin) / length))
    strip = Image.new("RGB", (width, height), (255, 255, 255))
    LABEL_FONTS.draw(ImageDraw.Draw(strip), (margin, height / 2), text, size, (0, 0, 0), anchor="lm")
    return np.asarray(strip)


class LabelFonts:
    """System fonts. Each character is drawn with the first font that has it.

    Invisible characters, and characters that no font has, are drawn as U+XXXX. If the system has none of the fonts,
    Pillow's own font is used.
    """

    def __init__(self, names: Sequence[str] = FONTS) -> None:
        """Store the names of the fonts.

        Args:
            names: Font files that Pillow can find, in order of preference.
        """
        self._names = tuple(names)
        self._face = lru_cache(maxsize=20_000)(self._find_face)

    def length(self, text: str, size: int) -> float:
        """Return the width of a text in pixels."""
        return sum(_font(name, size).getlength(part) for name, part in self._runs(text))

    def draw(
        self,
        pen: ImageDraw.ImageDraw,
        at: tuple[float, float],
        text: str,
        size: int,
        color: tuple[int, int, int],
        *,
        anchor: str = "la",
        outline: tuple[int, int, int] | None = None,
    ) -> None:
        """Draw a text in one row.

        Args:
            pen: Drawing context of the image.
            at: (x, y) of the anchor.
            text: Any text.
            size: Font size in pixels.
            color: Text color.
            anchor: Pillow's anchor: "l" or "r" for left or right, and "a", "m" or "s" for ascender, middle or baseline
                of the first font. All fonts share this baseline.
            outline: Color of an outline two pixels wide.
        """
        runs = self._runs(text)
        if not runs:
            return
        x, y = at
        if anchor[0] == "r":
            x -= self.length(text, size)
        ascent, descent = _extent(_font(self._face("x"), size))
        y += {"a": ascent, "m": (ascent - descent) / 2, "s": 0}[anchor[1]]
        for name, part in runs:
            font = _font(name, size)
            stroke = 2 if outline else 0
            pen.text((x, y), part, fill=color, font=font, anchor="ls", stroke_width=stroke, stroke_fill=outline)
            x += font.getlength(part)

    def _runs(self, text: str) -> list[tuple[str, str]]:
        """Return (font name, part of the text) pairs. Marks and spaces use the font of the character before them."""
        placed: list[tuple[str, str]] = []
        for character in text:
            before = placed[-1][0] if placed else None
            follows = unicodedata.category(character)[0] in "MZ"
            if before is not None and follows and _has(before, character):
                placed.append((before, character))
                continue
            name = self._face(character)
            if name is None:
                placed += [(before or self._face("U") or "", c) for c in f"U+{ord(character):04X} "]
            else:
                placed.append((name, character))
        return [(name, "".join(c for _, c in part)) for name, part in groupby(placed, key=lambda pair: pair[0])]

    def _find_face(self, character: str) -> str | None:
        """Return the name of the first font that has a character, "" for Pillow's own, or None if there is none."""
        for name in (*self._names, ""):
            if _is_installed(name) and _has(name, character):
                return name
        return None


@lru_cache
def _is_installed(name: str) -> bool:
    try:
        return bool(_font(name, _TRIAL_SIZE))
    except OSError:
        return False


@lru_cache(maxsize=256)
def _font(name: str | None, size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


def _extent(font: Font) -> tuple[int, int]:
    """Return ascent and descent. Pillow's own font has them only if it is a FreeType font."""
    return font.getmetrics() if hasattr(font, "getmetrics") else (font.getbbox("x")[3], 0)  # type: ignore[union-attr]


@lru_cache(maxsize=20_000)
def _has(name: str, character: str) -> bool:
    """Return whether a font has a character, and not only the box for missing ones."""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Zl", "Zp"):  # control characters, surrogates, line breaks
        return False
    return kind == "Zs" or _mask(name, character) != _mask(name, _NO_CHARACTER)


def _mask(name: str, character: str) -> bytes:
    return bytes(_font(name, _TRIAL_SIZE).getmask(character))  # type: ignore[arg-type]


LABEL_FONTS = LabelFonts()
