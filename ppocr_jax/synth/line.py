"""Synthetic images of single text lines, as a detector cuts them out of receipts, forms, photographs and screens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth import background
from ppocr_jax.synth.corpus import Corpus, in_charset
from ppocr_jax.synth.degrade import degrade, degrade_ink
from ppocr_jax.synth.effects import LUMINANCE, draw_rules, finished, two_color_ink, watermark_mask
from ppocr_jax.synth.fonts import FontFace, FontPicker, is_wide
from ppocr_jax.synth.glyphs import (
    SEGMENT_CHARACTERS,
    InkedText,
    Lettering,
    can_be_column,
    draw_column,
    draw_segments,
    draw_text,
    enlarge_dots,
    mean_advance,
    planned_size,
    wide_share,
)
from ppocr_jax.synth.phrases import display_text, source_code
from ppocr_jax.synth.style import KINDS, LineStyle, random_style
from ppocr_jax.synth.warp import Tilt, extent, place

# Approximate distance from the top of a capital or ascender to the bottom of a descender in most faces, in em.
INK_HEIGHT_EM = 0.78
# Longer lines do not occur in the data; a recognizer cuts them.
_MAX_CHARACTERS = 80
# Texts tried until one has about the wanted length.
_ATTEMPTS = 3
# Accepted ratio of the wanted to the planned width; the letters are stretched by the remainder.
_GOOD_RATIO = (0.75, 1.36)
# Few sizes, so that few fonts are loaded; the placement scales to sizes in between.
_FONT_SIZES = (13, 17, 22, 29, 39, 52, 70, 88)
# Printers with fewer dots per em do not print ideographs.
_MIN_IDEOGRAPH_DOTS = 20
# Fraction of lines on screens that are part of a program, a command or a path.
_CODE_ON_SCREENS = 0.5
# Typographic signs for a charset that has only their ASCII forms: (ASCII, before a word, elsewhere).
_TYPESET = (
    *(("*", mark, mark) for mark in "•●▪■◦"),
    *(("'", "‘", "’"), ('"', "“", "”"), ('"', "„", "“"), ("-", "–", "–"), ("-", "—", "—")),
)
_TYPESET_SHARE = 0.4
# Crops with a larger height / width are read as columns of text.
COLUMN_ASPECT = 1.5
# Relative margin for rounding: the width is in whole pixels, at least 16 of them per height.
_ROUNDING = 0.04
# Strokes of ideographs are finer than those of letters of the same height by about this factor.
_IDEOGRAPH_DETAIL = 0.6
# Maximum height difference between the ends of a rotated line, relative to the image height.
_MOST_RISE = 0.3
_GROUNDS = {
    "gradient": background.gradient,
    "paper": background.paper,
    "pattern": background.print_pattern,
    "plaster": background.plaster,
}


class LineTexts:
    """Texts of a corpus in the characters of a charset, with faces that can draw them. Immutable and picklable."""

    def __init__(self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus):
        """Raise ValueError if no font is given, or the fonts cannot draw any character of the charset."""
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self.ideographs = any(is_wide(c) for c in charset.characters)
        self.displays = corpus.mixed and all(c in charset for c in SEGMENT_CHARACTERS)

    def choose(self, rng: np.random.Generator, style: LineStyle, wanted: float) -> tuple[str, Lettering]:
        """Return a text and a lettering whose natural width / height is close to `wanted`."""
        code = self._corpus.mixed and style.kind == "screen" and rng.random() < _CODE_ON_SCREENS
        face = self._fonts.pick(rng, "code" if code else KINDS[style.kind].fonts)
        lettering = Lettering(face, _font_size(style), style.tracking, style.space_scale, 0.0, bool(style.dots))
        if not style.dots:
            lettering = replace(lettering, stroke=style.stroke * lettering.size)
        pitch = mean_advance(face, lettering.size) + style.tracking * lettering.size
        count = INK_HEIGHT_EM * lettering.size * wanted / pitch
        for _ in range(_ATTEMPTS):
            most = min(max(round(count), 1), _MAX_CHARACTERS)
            text = in_charset(source_code(rng), self._charset) if code else ""
            text = text or self._corpus.sample(rng, self._charset, (round(0.8 * most), round(1.2 * most)))
            text, face = self._fonts.drawable(rng, text, face)
            lettering = _for_script(text, replace(lettering, face=face))
            text, ratio = _shortened(text, lettering, wanted)
            if _GOOD_RATIO[0] < ratio < _GOOD_RATIO[1] or most == 1:
                break
            count = len(text) * ratio
        return text, lettering

    def digits(self, rng: np.random.Generator, style: LineStyle, wanted: float) -> tuple[str, InkedText]:
        """Return the text of a seven-segment display with a width / height near `wanted`, and its drawing."""
        size = _font_size(style)
        texts = [display_text(rng) for _ in range(6)]
        # A digit with its gap is about 0.7 of its height wide, see `draw_segments`.
        text = min(texts, key=lambda t: abs(0.7 * sum(c.isdigit() for c in t) - wanted))
        ghost = int(rng.uniform(8, 40)) if rng.random() < 0.3 else 0
        thickness = float(rng.uniform(0.1, 0.17))
        return text, draw_segments(text, size, thickness=thickness, ghost=ghost, margin=size // 2)

    def typeset(self, rng: np.random.Generator, text: str, face: FontFace) -> str:
        """Return `text`, sometimes with typographic signs of which the charset has only the ASCII forms."""
        if rng.random() >= _TYPESET_SHARE:
            return text
        for index in rng.permutation(len(_TYPESET)).tolist():
            sign, opening, closing = _TYPESET[index]
            if sign not in text or opening in self._charset or not face.covers(opening + closing):
                continue
            text = f" {text}".replace(f" {sign}", f" {opening}")[1:].replace(sign, closing)
        return text

    def face(self, rng: np.random.Generator) -> FontFace:
        """Return a random face, for watermarks."""
        return self._fonts.pick(rng, "document")

    def neighbor(self, rng: np.random.Generator, text: str, face: FontFace) -> str:
        """Return a neighboring line about as long as `text`; "" if the face lacks one of its characters."""
        other = self._corpus.sample(rng, self._charset, (min(3, len(text)), max(3, len(text))))
        return other if face.covers(other) else ""


def _font_size(style: LineStyle) -> int:
    """Return the smallest of a few sizes at which the text need not be enlarged."""
    needed = style.fill * style.height / INK_HEIGHT_EM
    size = next((s for s in _FONT_SIZES if s >= needed), _FONT_SIZES[-1])
    return min(size, style.dots) if style.dots else size


def _for_script(text: str, lettering: Lettering) -> Lettering:
    """Return a lettering with more dots per em if it prints ideographs in dots; they need more than letters."""
    if lettering.pixelated and lettering.size < _MIN_IDEOGRAPH_DOTS and any(map(is_wide, text)):
        return replace(lettering, size=_MIN_IDEOGRAPH_DOTS)
    return lettering


def _shortened(text: str, lettering: Lettering, wanted: float) -> tuple[str, float]:
    """Return `text` or its beginning, and the ratio of the wanted to its planned width / height.

    A text that is far too long is cut between ideographs or words, but never to less than one word.
    """
    width, height = planned_size(text, lettering)
    ratio = wanted * height / width
    if ratio >= _GOOD_RATIO[0]:
        return text, ratio
    kept = text[: max(1, int(len(text) * ratio))]
    if wide_share(text) < 0.5 and text[len(kept) : len(kept) + 1] != " ":
        kept = kept.rpartition(" ")[0]
    kept = kept.rstrip()
    if not kept:
        return text, ratio
    width, height = planned_size(kept, lettering)
    return kept, wanted * height / width


@dataclass(frozen=True)
class LineSample:
    """A synthetic text line.

    Attributes:
        image_rgb: (h, w, 3) uint8.
        text: Text of the line.
        char_centers: (len(text),) float32, x of each character's center, including spaces, in pixels of `image_rgb`.
    """

    image_rgb: np.ndarray
    text: str
    char_centers: np.ndarray


class LineGenerator:
    """Generator of text lines; a line is a pure function of (seed, index). Immutable and picklable."""

    def __init__(
        self,
        *,
        charset: Charset,
        fonts: Sequence[FontFace],
        corpus: Corpus,
        backgrounds: Sequence[str | Path] = (),
        vertical: float = 0.0,
    ):
        """Create a generator of lines with texts of `corpus` in the characters of `charset`.

        Args:
            charset: Characters that may occur.
            fonts: Faces to draw with, see `find_fonts`.
            corpus: Source of the texts.
            backgrounds: Photographs without text, or folders of them.
            vertical: Probability that a line of ideographs, if long enough, is a column from top to bottom. Its image
                is rotated by 90 degrees counter-clockwise, like all crops at least 1.5 times as high as wide that the
                recognizer gets.

        Raises:
            ValueError: No font is given, the fonts cannot draw any character of the charset, or `vertical` is not
                between 0 and 1.
        """
        if not 0 <= vertical <= 1:
            raise ValueError(f"vertical must be a share from 0 to 1, not {vertical}")
        self._texts = LineTexts(charset=charset, fonts=fonts, corpus=corpus)
        self._photos = background.photo_paths(backgrounds)
        self._vertical = vertical

    def __call__(self, seed: int, index: int, *, aspect: tuple[float, float] | None = None) -> LineSample:
        """Draw line number `index` of `seed`.

        Args:
            seed: Seed of the series.
            index: Index in the series.
            aspect: Wanted (minimum, maximum) width / height of the image, approximated as well as the text allows; None
                for the distribution of receipts and forms: the median is near 4, one in ten is below 1.4.
        """
        return self.with_ink(seed, index, aspect=aspect)[0]

    def with_ink(
        self, seed: int, index: int, *, aspect: tuple[float, float] | None = None
    ) -> tuple[LineSample, np.ndarray]:
        """Return the line that a call returns, and its ink: (h, w) uint8, the opacity of the lettering."""
        rng = np.random.default_rng((seed, index))
        style = random_style(rng, ideographs=self._texts.ideographs)
        if style.kind == "display" and not self._texts.displays:
            style = replace(style, kind="screen")
        target = min(max(math.exp(rng.normal(1.4, 0.85)), 0.5), 25.0) if aspect is None else _log_uniform(rng, aspect)
        style = _leveled(style, target)
        column = False
        if style.kind == "display":
            text, ink = self._texts.digits(rng, style, _text_aspect(style, target))
        else:
            text, lettering = self._texts.choose(rng, style, _text_aspect(style, target))
            column = self._vertical > 0 and _is_column(rng, self._vertical, style, text, target)
            ink = self._ink(rng, style, self._texts.typeset(rng, text, lettering.face), lettering, column=column)
        tilt, margins = _fitted(style, ink, target, least=COLUMN_ASPECT + _ROUNDING if column else 0.0)
        placement = place(ink, tilt, height=style.height, fill=style.fill, margins=margins, lift=style.lift)
        text_height = style.fill * style.height
        detail = text_height * (1 - (1 - _IDEOGRAPH_DETAIL) * wide_share(text))
        opacity = degrade_ink(rng, placement.mask(ink.mask), detail, kind=KINDS[style.kind].seen_as)
        image = self._paint(rng, style, opacity)
        middle = (ink.box[1] + ink.box[3]) / 2
        centers = placement.points(np.stack([ink.centers, np.full(len(text), middle)], axis=1))[:, 0]
        centers = np.clip(centers, 0, image.shape[1] - 1).astype(np.float32)
        return LineSample(degrade(rng, image, detail, kind=KINDS[style.kind].seen_as), text, centers), opacity

    def _ink(
        self, rng: np.random.Generator, style: LineStyle, text: str, lettering: Lettering, *, column: bool
    ) -> InkedText:
        above, below = (self._texts.neighbor(rng, text, lettering.face) if wanted else "" for wanted in style.neighbors)
        margin = int(0.9 * lettering.size) + 2
        ink = (draw_column if column else draw_text)(text, lettering, margin=margin, above=above, below=below)
        if style.dots:
            factor = math.ceil(style.fill * style.height / (INK_HEIGHT_EM * lettering.size)) + style.round_dots
            ink = enlarge_dots(ink, factor, round_dots=style.round_dots)
        return replace(ink, mask=draw_rules(rng, style.rules, ink)) if style.rules else ink

    def _paint(self, rng: np.random.Generator, style: LineStyle, opacity: np.ndarray) -> np.ndarray:
        """Return (h, w, 3) uint8: the background with ink on it."""
        height, width = opacity.shape
        ink = style.ink_color
        if style.two_colors:
            ink = two_color_ink(rng, ink, style.paper_color, height, width)
        alpha = opacity * np.float32(style.opacity / 255)
        text_height = style.fill * style.height
        ground = self._ground(rng, style, height, width)
        if style.watermark:
            gap = float((style.ink_color - style.paper_color) @ LUMINANCE)
            mark = watermark_mask(rng, self._texts.face(rng), height, width, float(rng.uniform(1.2, 4)) * text_height)
            ground += (mark * np.float32(rng.uniform(0.06, 0.25) * gap / 255))[..., None]
        return finished(rng, style.finish, ground, alpha, ink, text_height)

    def _ground(self, rng: np.random.Generator, style: LineStyle, height: int, width: int) -> np.ndarray:
        """Return the background, (height, width, 3) float32."""
        if style.ground == "photo" and self._photos:
            photo = background.photo_crop(rng, self._photos, height, width)
            # The paper color was chosen for its contrast with the ink, so shift the photograph toward it.
            return np.float32(0.45) * (photo - photo.mean(dtype=np.float32)) + style.paper_color
        if style.ground == "flat":
            return background.flat(style.paper_color, height, width)
        draw = _GROUNDS.get(style.ground, background.plaster)
        return draw(rng, style.paper_color, height, width)


def _is_column(rng: np.random.Generator, share: float, style: LineStyle, text: str, target: float) -> bool:
    return target > COLUMN_ASPECT and not style.dots and can_be_column(text) and rng.random() < share


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    if not 0 < low <= high:
        raise ValueError(f"aspect must be (least, greatest) with 0 < least <= greatest, not {limits}")
    return float(np.exp(rng.uniform(np.log(low * 1.02), np.log(max(low * 1.02, high * 0.98)))))


def _leveled(style: LineStyle, target: float) -> LineStyle:
    """Return the style with less rotation for long lines, because a rotated line leaves less height to its letters."""
    most = _MOST_RISE / target
    if abs(style.tilt.angle) <= most:
        return style
    return replace(style, tilt=replace(style.tilt, angle=math.copysign(most, style.tilt.angle)))


def _text_aspect(style: LineStyle, target: float) -> float:
    """Return the width / height of the upright text for which the image of the tilted text gets `target`."""
    wanted = max(0.25, target - sum(style.margins)) / style.fill
    low, high = extent((0.0, 0.0, wanted, 1.0), style.tilt)
    tilted = (high[0] - low[0]) / (high[1] - low[1])
    return wanted * min(wanted * style.tilt.stretch / tilted, 2.0)


def _fitted(style: LineStyle, ink: InkedText, target: float, *, least: float) -> tuple[Tilt, tuple[float, float]]:
    """Return (tilt, margins): stretch the letters and slightly widen the margins toward the target aspect.

    Margins become wide enough for an aspect of at least `least`.
    """
    low, high = extent(ink.box, style.tilt)
    natural = (high[0] - low[0]) / (high[1] - low[1])
    left, right = style.margins
    wanted = max(0.25, target - left - right) / style.fill
    tilt = replace(style.tilt, stretch=min(max(wanted / natural, 0.72), 1.4) * style.tilt.stretch)
    low, high = extent(ink.box, tilt)
    missing = target - left - right - style.fill * (high[0] - low[0]) / (high[1] - low[1])
    extra = max(min(missing / 2, 0.3), (least - target + missing) / 2, 0)
    return tilt, (left + extra, right + extra)
