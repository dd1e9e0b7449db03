"""Canvas of a synthetic page: background, ink, and the text lines with the quads of lines and words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ppocr_jax.synth.glyphs import (
    Lettering,
    advances,
    column_advances,
    draw_column,
    draw_segments,
    draw_text,
    extent_of,
)
from ppocr_jax.synth.warp import LineWarp, Tilt, project, shape_matrix, wave_of

Box = tuple[float, float, float, float]
Color = tuple[int, int, int]
# Space between the ink and the quad, relative to the text height; hand-drawn boxes are about as tight.
_QUAD_MARGIN = 0.06
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class PageWord:
    """Word of a line: the text between two spaces, so that a phrase of ideographs is one word.

    Attributes:
        quad: (4, 2) float32, like that of `PageLine`; its height fits the letters of this word.
        text: Text of the word.
    """

    quad: np.ndarray
    text: str


@dataclass(frozen=True)
class LineSetting:
    """Placement of a line, in pixels of the layer that it was drawn on.

    Attributes:
        lettering: Font and spacing; None for the digits of a display, which are one word.
        x: Start of the first character's advance.
        baseline: y of the baseline.
        box: Box of the whole line; the boxes of its words are clipped to it.
        to_image: (3, 3) homography from the layer to the image.
        wave: (amplitude, angular frequency, phase) of the wave that bends the line.
        column: Whether it is a column of upright characters, which is rotated in the layer; see `draw_column`.
    """

    lettering: Lettering | None
    x: float
    baseline: float
    box: Box
    to_image: np.ndarray
    wave: tuple[float, float, float] = (0.0, 0.0, 0.0)
    column: bool = False

    def quad(self, box: Box) -> np.ndarray:
        """Return the quad (4, 2) float32 in the image of a box in the layer."""
        corners = project(self.to_image, corners_of(box)).astype(np.float32)
        # A column is rotated counter-clockwise in the layer: its upper left corner is the lower left one of the box.
        return np.roll(corners, 1, axis=0) if self.column else corners


@dataclass(frozen=True)
class PageLine:
    """A text line of a page.

    Attributes:
        quad: (4, 2) float32, corners (x, y) in pixels, clockwise from where reading starts: from the upper left corner
            of the first character, also in a column of upright characters.
        text: Text of the line.
        setting: Placement of the line.
    """

    quad: np.ndarray
    text: str
    setting: LineSetting = field(repr=False, compare=False)

    @cached_property
    def words(self) -> tuple[PageWord, ...]:
        """Words of the line in reading order; computed on first use, because detectors of lines never use them."""
        placed = _word_boxes(self.text, self.setting)
        return tuple(PageWord(self.setting.quad(box), word) for box, word in placed)


def line_box(ink: Box, baseline: float, lettering: Lettering) -> Box:
    """Return the ink's box with a narrow margin, at least as high as a capital letter."""
    top = min(ink[1], baseline + extent_of(lettering.face, lettering.size, "H")[0])
    bottom = max(ink[3], baseline)
    margin = max(1.0, _QUAD_MARGIN * (bottom - top))
    return ink[0] - margin, top - margin, ink[2] + margin, bottom + margin


def corners_of(box: Box) -> np.ndarray:
    """Return the corners (4, 2) of an upright box, clockwise from the top left."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def _word_boxes(text: str, setting: LineSetting) -> list[tuple[Box, str]]:
    """Return (box, text) of every word, in the layer; the box of a bent word includes its crests."""
    lettering, baseline, line = setting.lettering, setting.baseline, setting.box
    if lettering is None:
        return [(line, text)]
    if setting.column:
        return _column_word_boxes(text, lettering, setting)
    font = lettering.face.at(lettering.size)
    starts, _ = advances(text, lettering)
    boxes = []
    for match in _WORD.finditer(text):
        word, begin = match.group(), setting.x + float(starts[match.start()])
        left, top, right, bottom = font.getbbox(word, anchor="ls", stroke_width=lettering.stroke)
        right += lettering.tracking * lettering.size * (len(word) - 1)
        x0, y0, x1, y1 = line_box((begin + left, baseline + top, begin + right, baseline + bottom), baseline, lettering)
        up, down = _wave_range(setting.wave, x0, x1)
        # The font's box of a word includes its advance, so it is slightly wider than the ink that `line` was made from.
        boxes.append(((max(x0, line[0]), max(y0 + up, line[1]), min(x1, line[2]), min(y1 + down, line[3])), word))
    return boxes


def _column_word_boxes(text: str, lettering: Lettering, setting: LineSetting) -> list[tuple[Box, str]]:
    left, top, right, bottom = setting.box
    starts, ends = column_advances(text, lettering)
    boxes = []
    for match in _WORD.finditer(text):
        begin, end = setting.x + float(starts[match.start()]), setting.x + float(ends[match.end() - 1])
        boxes.append(((max(left, begin), top, min(right, end), bottom), match.group()))
    return boxes


def _wave_range(wave: tuple[float, float, float], x0: float, x1: float) -> tuple[float, float]:
    """Return the (minimum, maximum) shift in y between two x."""
    amplitude, frequency, phase = wave
    if not amplitude:
        return 0.0, 0.0
    shifts = amplitude * np.sin(frequency * np.linspace(x0, x1, 9) + phase)
    return float(shifts.min()), float(shifts.max())


@dataclass(frozen=True)
class CanvasView:
    """View of a canvas in an image.

    Attributes:
        homography: (3, 3) from canvas pixels (x, y, 1) to image pixels.
        size: (height, width) of the image.
    """

    homography: np.ndarray
    size: tuple[int, int]

    def visible_part(self, width: float, height: float) -> Box:
        """Return an upright box of the canvas that is entirely visible, up to a small rotation and perspective."""
        # The image's corners on the canvas, clockwise from the top left; the inner one of two neighbors counts.
        height_seen, width_seen = self.size
        frame = np.array([(0, 0), (width_seen, 0), (width_seen, height_seen), (0, height_seen)], np.float64)
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = project(np.linalg.inv(self.homography), frame)
        return max(0.0, x0, x3), max(0.0, y0, y1), min(width, x1, x2), min(height, y2, y3)

    def sees(self, corners: np.ndarray) -> bool:
        """Return whether all `corners` (n, 2) on the canvas are inside the image."""
        seen = project(self.homography, corners)
        return bool((seen >= 1).all() and (seen <= (self.size[1] - 2, self.size[0] - 2)).all())


class PageCanvas:
    """Background with a separate ink layer, so that ink can fade and spread before both are joined."""

    def __init__(self, ground: np.ndarray, ink_color: np.ndarray, view: CanvasView):
        """Start a page on `ground` (h, w, 3), values 0..255, with the default `ink_color` (3,)."""
        from PIL import Image, ImageDraw

        self.view = view
        self.height, self.width = ground.shape[:2]
        self.lines: list[PageLine] = []
        self._boxes: list[Box] = []
        color = tuple(int(v) for v in ink_color)
        self._ground = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
        self._ink = Image.new("L", self._ground.size)
        self._tint = Image.new("RGB", self._ground.size, color)
        self._draw_ground = ImageDraw.Draw(self._ground)
        self._draw_ink = ImageDraw.Draw(self._ink)
        self._draw_tint = ImageDraw.Draw(self._tint)

    def text(
        self,
        x: float,
        baseline: float,
        text: str,
        lettering: Lettering,
        *,
        anchor: str = "l",
        color: tuple | None = None,
    ) -> Box | None:
        """Draw a line of text and record its quad if all of it is visible and does not touch other text.

        Args:
            x: Start (anchor "l"), end ("r") or middle ("m") of the text.
            baseline: y of the baseline.
            text: The line.
            lettering: Font and spacing; tracking and space_scale are not used.
            anchor: "l", "r" or "m".
            color: RGB; None for the canvas's ink color.

        Returns:
            The box of the line on the canvas, or None if nothing was drawn.
        """
        if not text.strip() or not lettering.face.covers(text):
            return None
        font = lettering.face.at(lettering.size)
        x, baseline = round(x), round(baseline)
        ink = font.getbbox(text, anchor=f"{anchor}s", stroke_width=lettering.stroke)
        box = line_box((x + ink[0], baseline + ink[1], x + ink[2], baseline + ink[3]), baseline, lettering)
        if not self.is_free(box):
            return None
        if color is not None:
            self._draw_tint.rectangle(box, fill=color)
        self._draw_ink.fontmode = "1" if lettering.pixelated else "L"
        self._draw_ink.text((x, baseline), text, 255, font, f"{anchor}s", stroke_width=lettering.stroke)
        start = x + ink[0] - font.getbbox(text, anchor="ls", stroke_width=lettering.stroke)[0]
        plain = replace(lettering, tracking=0.0, space_scale=1.0)
        self._record(box, text, LineSetting(plain, start, baseline, box, self.view.homography))
        return box

    def tilted_text(
        self,
        x: float,
        y: float,
        text: str,
        lettering: Lettering,
        tilt: Tilt,
        *,
        color: tuple,
        outline: tuple | None = None,
        column: bool = False,
    ) -> Box | None:
        """Draw a tilted line around (x, y) if all of it is visible; with an edge of color `outline`, if given.

        A `column` consists of upright characters one below the other if the tilt's angle is 90 degrees, pi / 2.

        The caller must check for other text, because upright boxes of tilted neighbors overlap.

        Returns:
            The upright box that contains it, or None if nothing was drawn.
        """
        import cv2
        from PIL import Image

        ink = (draw_column if column else draw_text)(text, lettering, margin=lettering.size // 2 + 2)
        tight = line_box(ink.box, ink.baseline, lettering)
        move = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]) @ shape_matrix(ink.box, tilt)
        wave = wave_of(ink.box, tilt)
        tight = (tight[0], tight[1] - abs(wave[0]), tight[2], tight[3] + abs(wave[0]))
        quad = project(move, corners_of(tight))
        if not self.view.sees(quad):
            return None
        (x0, y0), (x1, y1) = quad.min(axis=0), quad.max(axis=0)
        box = (float(x0), float(y0), float(x1), float(y1))
        layer = LineWarp(move, wave, (self.height, self.width)).mask(ink.mask)
        if outline is not None:
            thick = max(2, lettering.size // 12)
            self._ground.paste(outline, mask=Image.fromarray(cv2.dilate(layer, np.ones((thick, thick), np.uint8))))
        self._draw_tint.rectangle(box, fill=color)
        self._ink.paste(255, mask=Image.fromarray(layer))
        starts, ends = (column_advances if column else advances)(text, lettering)
        start = float(ink.centers[0]) - (starts[0] + ends[0]) / 2
        to_image = self.view.homography @ move
        self._record(box, text, LineSetting(lettering, start, ink.baseline, tight, to_image, wave, column))
        return box

    def segments(
        self, x: float, baseline: float, text: str, size: int, *, color: Color, thickness: float
    ) -> Box | None:
        """Draw a seven-segment display of `text`, starting at `x`, if all of it is visible and touches no other text.

        Returns:
            The box of the line on the canvas, or None if nothing was drawn.
        """
        from PIL import Image

        ink = draw_segments(text, size, thickness=thickness, ghost=0, margin=1)
        left, top = round(x), round(baseline - ink.baseline)
        height, width = ink.mask.shape
        box = (left + ink.box[0] - 1, top + ink.box[1] - 1, left + ink.box[2] + 1, top + ink.box[3] + 1)
        if not self.is_free(box):
            return None
        self.tint(box, color)
        self._ink.paste(255, (left, top, left + width, top + height), Image.fromarray(ink.mask))
        self._record(box, text, LineSetting(None, x, baseline, box, self.view.homography))
        return box

    def tint(self, box: Box, color: Color) -> None:
        """Change the color of the ink in `box`."""
        self._draw_tint.rectangle(box, fill=color)

    def is_free(self, box: Box) -> bool:
        """Return whether `box` is visible and overlaps no other text line."""
        x0, y0, x1, y1 = box
        if x0 < 0 or y0 < 0 or x1 > self.width or y1 > self.height or not self.view.sees(corners_of(box)):
            return False
        return not any(x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in self._boxes)

    def reserve(self, box: Box) -> None:
        """Keep further text out of `box`."""
        self._boxes.append(box)

    def mark(self, shape: str, xy: list, *, width: int = 1, level: int = 255, color: tuple | None = None) -> None:
        """Draw ink that is not text, or background if `color` is given; shapes are filled if `width` is 0.

        `shape` is "line", "rectangle", "rounded" (a rectangle with round corners), "ellipse" or "polygon".
        """
        draw = self._draw_ink if color is None else self._draw_ground
        fill = level if color is None else color
        if shape == "line":
            draw.line(xy, fill=fill, width=max(1, width), joint="curve")
        elif shape == "polygon":
            draw.polygon(xy, fill=fill)
        else:
            look: dict[str, Any] = {"fill": fill} if width == 0 else {"outline": fill, "width": width}
            if shape == "rounded":
                draw.rounded_rectangle(xy, radius=0.35 * (xy[3] - xy[1]), **look)
            else:
                (draw.rectangle if shape == "rectangle" else draw.ellipse)(xy, **look)

    def dashes(self, x0: float, x1: float, baseline: float, character: str, lettering: Lettering) -> None:
        """Draw a row of one repeated character. It is no text line: labels of receipts leave such rows out."""
        font = lettering.face.at(lettering.size)
        count = int((x1 - x0) / max(1.0, font.getlength(character)))
        if count > 4 and lettering.face.covers(character):
            self._draw_ink.text((round(x0), round(baseline)), character * count, 255, font, "ls")

    def background_color(self, box: Box) -> tuple[np.ndarray, float]:
        """Return ((3,) mean color, standard deviation of the gray level) of the background in `box`."""
        x0, y0, x1, y1 = (int(v) for v in box)
        pixels = np.asarray(self._ground)[y0 : y1 + 1 : 2, x0 : x1 + 1 : 2].reshape(-1, 3)
        return pixels.mean(axis=0), float(pixels.mean(axis=1).std())

    def ink(self) -> np.ndarray:
        """Return the (h, w) uint8 opacity of the ink."""
        return np.asarray(self._ink)

    def joined(self, ink: np.ndarray, opacity: float) -> np.ndarray:
        """Return (h, w, 3) uint8: the background with `ink` on it, which is `ink()` or a degraded version of it."""
        ground = np.asarray(self._ground)
        ys, xs = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(ys):
            return ground
        area = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        image = ground.copy()
        alpha = ink[area][..., None].astype(np.float32) * (opacity / 255)
        below = image[area].astype(np.float32)
        image[area] = (below + alpha * (np.asarray(self._tint)[area] - below)).astype(np.uint8)
        return image

    def _record(self, box: Box, text: str, setting: LineSetting) -> None:
        """Record a line; `box` is its upright box on the canvas."""
        self._boxes.append(box)
        self.lines.append(PageLine(setting.quad(setting.box), text, setting))


def fitting(text: str, lettering: Lettering, width: float) -> str:
    """Return as many of the first words of `text` as fit into `width` pixels, or else as many characters."""
    font = lettering.face.at(lettering.size)
    # Characters of ordinary text are at least a fifth of an em wide on average: do not measure more than can fit.
    most = max(1, int(5 * width / lettering.size))
    if len(text) > most:
        text = text[:most].rpartition(" ")[0] or text[:most]
    while text and font.getlength(text) > width:
        shorter = text[: int(len(text) * max(0.3, width / font.getlength(text))) + 1]
        text = (shorter if len(shorter) < len(text) else text[:-1]).rpartition(" ")[0] or text[: len(text) * 2 // 3]
    return text.rstrip()


def scaled(lettering: Lettering, factor: float) -> Lettering:
    """Return the lettering enlarged by `factor`."""
    return replace(lettering, size=max(6, round(lettering.size * factor)), stroke=lettering.stroke * factor)
