"""Choosing a text and its lettering so that the line gets about the wanted width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.font_picker import FontPicker
from ppocr_jax.synth.fonts import FontFace
from ppocr_jax.synth.glyph_metrics import is_wide, wide_share
from ppocr_jax.synth.glyphs import Lettering, mean_advance, planned_size
from ppocr_jax.synth.line_style import LineStyle

INK_HEIGHT_EM = 0.78
_MAX_CHARACTERS = 80
_ATTEMPTS = 3
# Wanted to planned width; letters are stretched by what is left.
_GOOD_RATIO = (0.75, 1.36)
# Few sizes, so that few fonts are loaded; the placement scales what lies between.
_FONT_SIZES = (13, 17, 22, 29, 39, 52, 70, 88)
_MIN_IDEOGRAPH_DOTS = 20


class LineTexts:
    """Texts of a corpus in the characters of a charset, with faces that draw them. Immutable and picklable."""

    def __init__(self, *, charset: Charset, fonts: Sequence[FontFace], corpus: Corpus):
        """Raises ValueError: no font is given, or the charset has nothing that the fonts can draw."""
        self._charset = charset
        self._corpus = corpus
        self._fonts = FontPicker(fonts, charset)
        self.ideographs = any(is_wide(c) for c in charset.characters)

    def choose(self, rng: np.random.Generator, style: LineStyle, wanted: float) -> tuple[str, Lettering]:
        """A text and its lettering whose natural width / height comes near `wanted`."""
        face = self._fonts.pick(rng, style.kind)
        lettering = Lettering(face, _font_size(style), style.tracking, style.space_scale, 0.0, bool(style.dots))
        if not style.dots:
            lettering = replace(lettering, stroke=style.stroke * lettering.size)
        pitch = mean_advance(face, lettering.size) + style.tracking * lettering.size
        count = INK_HEIGHT_EM * lettering.size * wanted / pitch
        for _ in range(_ATTEMPTS):
            most = min(max(round(count), 1), _MAX_CHARACTERS)
            text = self._corpus.sample(rng, self._charset, (round(0.8 * most), round(1.2 * most)))
            text, face = self._fonts.drawable(rng, text, face)
            lettering = _for_script(text, replace(lettering, face=face))
            text, ratio = _shortened(text, lettering, wanted)
            if _GOOD_RATIO[0] < ratio < _GOOD_RATIO[1] or most == 1:
                break
            count = len(text) * ratio
        return text, lettering

    def neighbor(self, rng: np.random.Generator, text: str, face: FontFace) -> str:
        """A line beside one of `text`, about as long; "" when the face lacks one of its characters."""
        other = self._corpus.sample(rng, self._charset, (min(3, len(text)), max(3, len(text))))
        return other if face.covers(other) else ""


def _font_size(style: LineStyle) -> int:
    """The smallest of few sizes at which nothing has to be enlarged."""
    needed = style.fill * style.height / INK_HEIGHT_EM
    size = next((s for s in _FONT_SIZES if s >= needed), _FONT_SIZES[-1])
    return min(size, style.dots) if style.dots else size


def _for_script(text: str, lettering: Lettering) -> Lettering:
    """Ideographs printed in dots need more of them than letters do."""
    if lettering.pixelated and lettering.size < _MIN_IDEOGRAPH_DOTS and any(map(is_wide, text)):
        return replace(lettering, size=_MIN_IDEOGRAPH_DOTS)
    return lettering


def _shortened(text: str, lettering: Lettering, wanted: float) -> tuple[str, float]:
    """`text`, or a beginning of it, and the ratio of the wanted to its planned width / height.

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
