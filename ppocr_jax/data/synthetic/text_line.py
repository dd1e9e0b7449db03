"""Pictures of single text lines, as a detector cuts them out of receipts, forms and photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.synthetic import background
from ppocr_jax.data.synthetic.corpus import Corpus
from ppocr_jax.data.synthetic.degrade import degrade, degrade_ink
from ppocr_jax.data.synthetic.fonts import FontFace
from ppocr_jax.data.synthetic.glyphs import InkedText, Lettering, draw_text, enlarge_dots, mean_advance, measure
from ppocr_jax.data.synthetic.line_style import FontPicker, LineStyle, draw_rules, random_style
from ppocr_jax.data.synthetic.warp import Tilt, extent, place

_INK_HEIGHT_EM = 0.78
_MAX_CHARACTERS = 80
# Few sizes, so that few fonts are loaded; the placement scales what lies between.
_FONT_SIZES = (12, 14, 17, 20, 24, 29, 35, 42, 50, 60, 72, 88)


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
        self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus, backgrounds: Sequence[str | Path] = ()
    ):
        """Lines of `corpus` in the characters of `charset`.

        Args:
            charset: the characters that may occur.
            fonts: faces to draw with, see `find_fonts`.
            corpus: the texts.
            backgrounds: photographs without text, or folders of them.

        Raises:
            ValueError: no font is given, or the charset has nothing that the fonts can draw.
        """
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self._photos = background.photo_paths(backgrounds)

    def __call__(self, seed: int, index: int, *, aspect: tuple[float, float] | None = None) -> LineSample:
        """Line number `index` of `seed`.

        Args:
            seed: number of the series.
            index: number in the series.
            aspect: wanted (least, greatest) width / height of the picture, kept as well as the text allows; None for
                the spread of receipts and forms: the median near 4, one in ten below 1.4.
        """
        rng = np.random.default_rng((seed, index))
        style = random_style(rng)
        target = float(np.clip(np.exp(rng.normal(1.4, 0.85)), 0.5, 25)) if aspect is None else _log_uniform(rng, aspect)
        text, lettering = self._text(rng, style, target)
        ink = self._ink(rng, style, text, lettering)
        style = _fitted(style, ink, target)
        placement = place(ink, style.tilt, height=style.height, fill=style.fill, margins=style.margins, lift=style.lift)
        mask = placement.mask(ink.mask)
        text_height = style.fill * style.height
        opacity = degrade_ink(rng, mask, text_height)
        picture = self._paint(rng, style, opacity)
        middle = (ink.box[1] + ink.box[3]) / 2
        centers = placement.points(np.stack([ink.centers, np.full(len(text), middle)], axis=1))[:, 0]
        centers = np.clip(centers, 0, picture.shape[1] - 1).astype(np.float32)
        return LineSample(degrade(rng, picture, text_height), text, centers)

    def _text(self, rng: np.random.Generator, style: LineStyle, target: float) -> tuple[str, Lettering]:
        """A text and its lettering whose natural width comes near the target aspect."""
        face = self._fonts.pick(rng, style.kind)
        needed = style.fill * style.height / _INK_HEIGHT_EM
        size = next((s for s in _FONT_SIZES if s >= needed), _FONT_SIZES[-1])
        if style.dots:
            size = min(size, style.dots)
        stroke = 0.0 if style.dots else style.stroke * size
        lettering = Lettering(face, size, style.tracking, style.space_scale, stroke, bool(style.dots))
        wanted = max(0.25, target - sum(style.margins)) / style.fill
        count = _INK_HEIGHT_EM * size * wanted / (mean_advance(face, size) + style.tracking * size)
        for _ in range(3):
            most = int(np.clip(round(count), 1, _MAX_CHARACTERS))
            text = self._corpus.sample(rng, self._charset, (round(0.8 * most), round(1.2 * most)))
            text, face = self._fonts.drawable(rng, text, face)
            lettering = replace(lettering, face=face)
            width, height = measure(text, lettering)
            ratio = wanted * height / width
            if 0.78 < ratio < 1.33:
                break
            count = len(text) * ratio
        return text, lettering

    def _ink(self, rng: np.random.Generator, style: LineStyle, text: str, lettering: Lettering) -> InkedText:
        above, below = (self._neighbour(rng, lettering.face) if wanted else "" for wanted in style.neighbours)
        margin = int(0.9 * lettering.size) + 2
        ink = draw_text(text, lettering, margin=margin, above=above, below=below)
        if style.dots:
            ink = enlarge_dots(ink, ceil(1.2 * style.height / lettering.size) + 1, round_dots=style.round_dots)
        return replace(ink, mask=draw_rules(rng, style, ink)) if style.rules else ink

    def _neighbour(self, rng: np.random.Generator, face: FontFace) -> str:
        text = self._corpus.sample(rng, self._charset, (3, 40))
        return text if face.covers(text) else ""

    def _paint(self, rng: np.random.Generator, style: LineStyle, opacity: np.ndarray) -> np.ndarray:
        height, width = opacity.shape
        if style.ground == "photo" and self._photos:
            ground = background.photo_crop(rng, self._photos, height, width)
            luminance = float(ground.mean())
            # The paper colour was drawn for contrast with the ink: move the photograph towards it.
            ground = 0.45 * (ground - luminance) + style.paper_color
        elif style.ground == "gradient":
            ground = background.gradient(rng, style.paper_color, height, width)
        elif style.ground == "flat":
            ground = background.flat(style.paper_color, height, width)
        else:
            ground = background.paper(rng, style.paper_color, height, width)
        alpha = opacity[..., None].astype(np.float32) * (style.opacity / 255)
        return np.clip(ground + alpha * (style.ink_color - ground), 0, 255).astype(np.uint8)


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    if not 0 < low <= high:
        raise ValueError(f"aspect must be (least, greatest) with 0 < least <= greatest, not {limits}")
    return float(np.exp(rng.uniform(np.log(low * 1.02), np.log(max(low * 1.02, high * 0.98)))))


def _fitted(style: LineStyle, ink: InkedText, target: float) -> LineStyle:
    """Stretch the letters, and widen the margins a little, towards the target aspect."""
    low, high = extent(ink.box, style.tilt)
    natural = (high[0] - low[0]) / (high[1] - low[1])
    wanted = max(0.25, target - sum(style.margins)) / style.fill
    stretch = float(np.clip(wanted / natural, 0.72, 1.4)) * style.tilt.stretch
    tilt: Tilt = replace(style.tilt, stretch=stretch)
    low, high = extent(ink.box, tilt)
    missing = target - sum(style.margins) - style.fill * (high[0] - low[0]) / (high[1] - low[1])
    extra = float(np.clip(missing / 2, 0, 0.3))
    return replace(style, tilt=tilt, margins=(style.margins[0] + extra, style.margins[1] + extra))
