"""Images of single text lines, as a detector cuts them out of receipts, forms, photographs and screens."""

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

# From the top of a capital or ascender to the bottom of a descender, about, in most faces.
INK_HEIGHT_EM = 0.78
# Longer lines are not in the data; a recognizer cuts them.
_MAX_CHARACTERS = 80
# Texts tried until one is about as long as wanted.
_ATTEMPTS = 3
# Wanted to planned width; letters are stretched by what is left.
_GOOD_RATIO = (0.75, 1.36)
# Few sizes, so that few fonts are loaded; the placement scales what lies between.
_FONT_SIZES = (13, 17, 22, 29, 39, 52, 70, 88)
# Printers of fewer dots per em do not print ideographs.
_MIN_IDEOGRAPH_DOTS = 20
# Of lines on screens, those that are of a program, a command or a path.
_CODE_ON_SCREENS = 0.5
# Signs that print has, for a charset that has only ASCII's for them: (before a word, elsewhere).
_TYPESET = (
    *(("*", mark, mark) for mark in "•●▪■◦"),
    *(("'", "‘", "’"), ('"', "“", "”"), ('"', "„", "“"), ("-", "–", "–"), ("-", "—", "—")),
)
_TYPESET_SHARE = 0.4
# Higher crops than this, relative to their width, are read as columns of text.
COLUMN_ASPECT = 1.5
# An image's width is whole pixels, at least 16 of them to its height.
_ROUNDING = 0.04
# Ideographs have strokes about that much finer than letters of their height.
_IDEOGRAPH_DETAIL = 0.6
# From one end of a turned line to the other, relative to the image's height.
_MOST_RISE = 0.3
_GROUNDS = {
    "gradient": background.gradient,
    "paper": background.paper,
    "pattern": background.print_pattern,
    "plaster": background.plaster,
}


class LineTexts:
    """Texts of a corpus in the characters of a charset, with faces that draw them. Immutable and picklable."""

    def __init__(self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus):
        """Raise ValueError if no font is given, or the charset has nothing that the fonts can draw."""
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self.ideographs = any(is_wide(c) for c in charset.characters)
        self.displays = all(c in charset for c in SEGMENT_CHARACTERS)

    def choose(self, rng: np.random.Generator, style: LineStyle, wanted: float) -> tuple[str, Lettering]:
        """Return a text and its lettering whose natural width / height comes near `wanted`."""
        code = style.kind == "screen" and rng.random() < _CODE_ON_SCREENS
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
        """Return what a display of seven segments shows, in about the `wanted` width / height, and the drawn line."""
        size = _font_size(style)
        texts = [display_text(rng) for _ in range(6)]
        # A digit is about .7 of its height wide, see `draw_segments`.
        text = min(texts, key=lambda t: abs(0.7 * sum(c.isdigit() for c in t) - wanted))
        ghost = int(rng.uniform(8, 40)) if rng.random() < 0.3 else 0
        thickness = float(rng.uniform(0.1, 0.17))
        return text, draw_segments(text, size, thickness=thickness, ghost=ghost, margin=size // 2)

    def typeset(self, rng: np.random.Generator, text: str, face: FontFace) -> str:
        """Return `text`, at times with the signs that print has where the charset has only ASCII's for them."""
        if rng.random() >= _TYPESET_SHARE:
            return text
        for index in rng.permutation(len(_TYPESET)).tolist():
            sign, opening, closing = _TYPESET[index]
            if sign not in text or opening in self._charset or not face.covers(opening + closing):
                continue
            text = f" {text}".replace(f" {sign}", f" {opening}")[1:].replace(sign, closing)
        return text

    def face(self, rng: np.random.Generator) -> FontFace:
        """Return any face, for what is not text."""
        return self._fonts.pick(rng, "document")

    def neighbor(self, rng: np.random.Generator, text: str, face: FontFace) -> str:
        """Return a line beside one of `text`, about as long; "" when the face lacks one of its characters."""
        other = self._corpus.sample(rng, self._charset, (min(3, len(text)), max(3, len(text))))
        return other if face.covers(other) else ""


def _font_size(style: LineStyle) -> int:
    """Return the smallest of few sizes at which nothing has to be enlarged."""
    needed = style.fill * style.height / INK_HEIGHT_EM
    size = next((s for s in _FONT_SIZES if s >= needed), _FONT_SIZES[-1])
    return min(size, style.dots) if style.dots else size


def _for_script(text: str, lettering: Lettering) -> Lettering:
    """Return more dots per em where ideographs are printed in dots: they need more than letters do."""
    if lettering.pixelated and lettering.size < _MIN_IDEOGRAPH_DOTS and any(map(is_wide, text)):
        return replace(lettering, size=_MIN_IDEOGRAPH_DOTS)
    return lettering


def _shortened(text: str, lettering: Lettering, wanted: float) -> tuple[str, float]:
    """Return `text`, or a beginning of it, and the ratio of the wanted to its planned width / height.

    It is cut where it is far too long, between ideographs or between words; never to less than one word.
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
    """A drawn text line.

    Attributes:
        image_rgb: (h, w, 3) uint8.
        text: what it says.
        char_centers: (len(text),) float32, x of the middle of every character, spaces too, in pixels of `image_rgb`.
    """

    image_rgb: np.ndarray
    text: str
    char_centers: np.ndarray


class LineGenerator:
    """Draws text lines; a line is a pure function of (seed, index). Immutable and picklable."""

    def __init__(
        self,
        *,
        charset: Charset,
        fonts: Sequence[FontFace],
        corpus: Corpus,
        backgrounds: Sequence[str | Path] = (),
        vertical: float = 0.0,
    ):
        """Draw lines of `corpus` in the characters of `charset`.

        Args:
            charset: the characters that may occur.
            fonts: faces to draw with, see `find_fonts`.
            corpus: the texts.
            backgrounds: photographs without text, or folders of them.
            vertical: share of columns, from top to bottom, among the lines of ideographs that are long enough; their
                images are turned by 90 degrees counter-clockwise, as the recognizer gets a crop 1.5 times as high as
                wide, or higher.

        Raises:
            ValueError: no font is given, the charset has nothing that the fonts can draw, or `vertical` is no share.
        """
        if not 0 <= vertical <= 1:
            raise ValueError(f"vertical must be a share from 0 to 1, not {vertical}")
        self._texts = LineTexts(charset=charset, fonts=fonts, corpus=corpus)
        self._photos = background.photo_paths(backgrounds)
        self._vertical = vertical

    def __call__(self, seed: int, index: int, *, aspect: tuple[float, float] | None = None) -> LineSample:
        """Draw line number `index` of `seed`.

        Args:
            seed: number of the series.
            index: number in the series.
            aspect: wanted (least, greatest) width / height of the image, kept as well as the text allows; None for
                the spread of receipts and forms: the median near 4, one in ten below 1.4.
        """
        return self.drawn(seed, index, aspect=aspect)[0]

    def drawn(
        self, seed: int, index: int, *, aspect: tuple[float, float] | None = None
    ) -> tuple[LineSample, np.ndarray]:
        """Return the line of a call and its ink: (h, w) uint8, how opaque the lettering lies on each pixel."""
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
        """Return (h, w, 3) uint8: ground with ink on it."""
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
        """Return (height, width, 3) float32."""
        if style.ground == "photo" and self._photos:
            photo = background.photo_crop(rng, self._photos, height, width)
            # The paper color was drawn for contrast with the ink: move the photograph toward it.
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
    """Return the style with long lines turned less: a turned line's corners take height that its letters lack."""
    most = _MOST_RISE / target
    if abs(style.tilt.angle) <= most:
        return style
    return replace(style, tilt=replace(style.tilt, angle=math.copysign(most, style.tilt.angle)))


def _text_aspect(style: LineStyle, target: float) -> float:
    """Return the width / height that upright text needs, so that the tilted text's image gets `target`."""
    wanted = max(0.25, target - sum(style.margins)) / style.fill
    low, high = extent((0.0, 0.0, wanted, 1.0), style.tilt)
    tilted = (high[0] - low[0]) / (high[1] - low[1])
    return wanted * min(wanted * style.tilt.stretch / tilted, 2.0)


def _fitted(style: LineStyle, ink: InkedText, target: float, *, least: float) -> tuple[Tilt, tuple[float, float]]:
    """Return (tilt, margins): letters stretched, and margins widened a little, toward the target aspect.

    Margins become as wide as it takes to get to an aspect of `least`.
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
