"""What is reported of a text line drawn on a page: its quad, and those of its words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ppocr_jax.synth.column import column_advances
from ppocr_jax.synth.glyphs import Lettering, advances, extent_of
from ppocr_jax.synth.warp import project

Box = tuple[float, float, float, float]
# Room between the ink and the quad, relative to the text's height: hand-drawn boxes hug the text like that.
_QUAD_MARGIN = 0.06
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class PageWord:
    """A word of a line: what stands between two spaces, so a phrase of ideographs is one.

    Attributes:
        quad: (4, 2) float32, as that of `PageLine`; as high as this word's letters ask for.
        text: what it says.
    """

    quad: np.ndarray
    text: str


@dataclass(frozen=True)
class LineSetting:
    """How a line was drawn, in pixels of the layer that it was drawn on.

    Attributes:
        lettering: how it is set.
        x: where the advance of its first character begins.
        baseline: y of the base line.
        box: what holds the whole line; no word's box leaves it.
        to_picture: (3, 3) homography from the layer to the picture.
        wave: (amplitude, angular frequency, phase) of what it is bent by.
        column: whether it is a column of upright characters, which lies on its side in the layer; see `draw_column`.
    """

    lettering: Lettering
    x: float
    baseline: float
    box: Box
    to_picture: np.ndarray
    wave: tuple[float, float, float] = (0.0, 0.0, 0.0)
    column: bool = False

    def quad(self, box: Box) -> np.ndarray:
        """(4, 2) float32, in the picture, of a box in the layer."""
        corners = project(self.to_picture, corners_of(box)).astype(np.float32)
        # The layer has a column's top at the left: its upper left corner is where the column ends at the right.
        return np.roll(corners, 1, axis=0) if self.column else corners


@dataclass(frozen=True)
class PageLine:
    """A text line of a page.

    Attributes:
        quad: (4, 2) float32, corners (x, y) in pixels, clockwise from where reading starts: from the upper left corner
            of the first character, also in a column of upright characters.
        text: what it says.
        setting: how it was drawn.
    """

    quad: np.ndarray
    text: str
    setting: LineSetting = field(repr=False, compare=False)

    @cached_property
    def words(self) -> tuple[PageWord, ...]:
        """Its words in reading order; measured when first asked for, as detectors of lines never do."""
        placed = _word_boxes(self.text, self.setting)
        return tuple(PageWord(self.setting.quad(box), word) for box, word in placed)


def line_box(ink: Box, baseline: float, lettering: Lettering) -> Box:
    """The ink's box, at least as tall as a capital, with a narrow margin."""
    top = min(ink[1], baseline + extent_of(lettering.face, lettering.size, "H")[0])
    bottom = max(ink[3], baseline)
    margin = max(1.0, _QUAD_MARGIN * (bottom - top))
    return ink[0] - margin, top - margin, ink[2] + margin, bottom + margin


def corners_of(box: Box) -> np.ndarray:
    """(4, 2) corners of an upright box, clockwise from the top left."""
    x0, y0, x1, y1 = box
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64)


def _word_boxes(text: str, setting: LineSetting) -> list[tuple[Box, str]]:
    """(box, text) of every word, on the layer; a bent word's box holds its crests."""
    lettering, baseline, line = setting.lettering, setting.baseline, setting.box
    if setting.column:
        return _column_word_boxes(text, setting)
    font = lettering.face.at(lettering.size)
    starts, _ = advances(text, lettering)
    boxes = []
    for match in _WORD.finditer(text):
        word, begin = match.group(), setting.x + float(starts[match.start()])
        left, top, right, bottom = font.getbbox(word, anchor="ls", stroke_width=lettering.stroke)
        right += lettering.tracking * lettering.size * (len(word) - 1)
        x0, y0, x1, y1 = line_box((begin + left, baseline + top, begin + right, baseline + bottom), baseline, lettering)
        up, down = _wave_range(setting.wave, x0, x1)
        # The font's box of a word holds its advance, so it is a little wider than the ink that `line` was made of.
        boxes.append(((max(x0, line[0]), max(y0 + up, line[1]), min(x1, line[2]), min(y1 + down, line[3])), word))
    return boxes


def _column_word_boxes(text: str, setting: LineSetting) -> list[tuple[Box, str]]:
    left, top, right, bottom = setting.box
    starts, ends = column_advances(text, setting.lettering)
    boxes = []
    for match in _WORD.finditer(text):
        begin, end = setting.x + float(starts[match.start()]), setting.x + float(ends[match.end() - 1])
        boxes.append(((max(left, begin), top, min(right, end), bottom), match.group()))
    return boxes


def _wave_range(wave: tuple[float, float, float], x0: float, x1: float) -> tuple[float, float]:
    """(least, greatest) shift in y between two x."""
    amplitude, frequency, phase = wave
    if not amplitude:
        return 0.0, 0.0
    shifts = amplitude * np.sin(frequency * np.linspace(x0, x1, 9) + phase)
    return float(shifts.min()), float(shifts.max())
