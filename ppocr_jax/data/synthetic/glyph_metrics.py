"""Widths and heights of single characters, measured once and kept."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from ppocr_jax.data.synthetic.fonts import FontFace

# Planning needs no hinting: one large size stands for all.
_REFERENCE_SIZE = 64
# A charset has up to 20 000 ideographs; a process keeps the newest of each face.
_MOST_KEPT = 1024
# Pairs that fonts with a kerning table move; where it moves only others, they move by a tenth of a pixel.
_KERNED_PAIRS = "AVATAWAYTaTeToTrTyVaVeVoWaWeYaYePAP.r.r,LTLVLYT.V.Y.F.fo11"
_REFERENCE_IDEOGRAPH = "国"


@lru_cache(maxsize=65536)
def is_wide(character: str) -> bool:
    """Whether a character is as wide as an ideograph: CJK, kana, Hangul, full-width forms and punctuation."""
    return unicodedata.east_asian_width(character) in "WF"


def wide_share(text: str) -> float:
    """Share of wide characters among the visible ones of `text`; 0 for a blank text."""
    visible = [is_wide(c) for c in text if c != " "]
    return sum(visible) / len(visible) if visible else 0.0


def reference_character(text: str, face: FontFace) -> str:
    """The character over whose height a line of `text` reaches at least: an ideograph in wide text, else "x"."""
    if _REFERENCE_IDEOGRAPH in face.characters and any(map(is_wide, text)):
        return _REFERENCE_IDEOGRAPH
    return "x"


class Spacing:
    """Advances and kerning of a face at one size, as it is drawn at that size."""

    def __init__(self, face: FontFace, size: int):
        self._font = face.at(size)
        self._kerned = _has_kerning(face)
        self._widths: dict[str, float] = {}
        self._kerning: dict[str, float] = {}

    def width(self, character: str) -> float:
        """Advance of a character, in pixels."""
        width = self._widths.get(character)
        if width is None:
            if len(self._widths) >= _MOST_KEPT:
                self._widths.clear()
            width = self._widths[character] = self._font.getlength(character)
        return width

    def kerning(self, pair: str) -> float:
        """By how much the second of two characters moves, in pixels."""
        if not self._kerned:
            return 0.0
        shift = self._kerning.get(pair)
        if shift is None:
            if len(self._kerning) >= _MOST_KEPT:
                self._kerning.clear()
            shift = self._font.getlength(pair) - self.width(pair[0]) - self.width(pair[1])
            self._kerning[pair] = shift
        return shift


class FaceMetrics:
    """Sizes of a face's characters in em, for planning a line before its size is known. Kerning is left out."""

    def __init__(self, face: FontFace):
        self._font = face.at(_REFERENCE_SIZE)
        self._sizes: dict[str, tuple[float, float, float]] = {}

    def of(self, character: str) -> tuple[float, float, float]:
        """(advance, top, bottom) of a character; top and bottom of its ink from the base line, y pointing down."""
        found = self._sizes.get(character)
        if found is None:
            if len(self._sizes) >= _MOST_KEPT:
                self._sizes.clear()
            _, top, _, bottom = self._font.getbbox(character, anchor="ls")
            width = self._font.getlength(character)
            found = (width / _REFERENCE_SIZE, top / _REFERENCE_SIZE, bottom / _REFERENCE_SIZE)
            self._sizes[character] = found
        return found

    def vertical_extent(self, text: str) -> tuple[float, float]:
        """(top, bottom) of the ink of `text` and of the reference character of its script."""
        extents = [self.of(c) for c in {*text.replace(" ", "")}]
        return min(e[1] for e in extents), max(e[2] for e in extents)


@lru_cache(maxsize=1024)
def spacing(face: FontFace, size: int) -> Spacing:
    """The advances of `face` at `size`; one object per process."""
    return Spacing(face, size)


@lru_cache(maxsize=1024)
def face_metrics(face: FontFace) -> FaceMetrics:
    """The sizes of the characters of `face`; one object per process."""
    return FaceMetrics(face)


@lru_cache(maxsize=2048)
def _has_kerning(face: FontFace) -> bool:
    """Whether the layout kerns common pairs; most fonts have no `kern` table, and nothing else counts for it."""
    font = face.at(_REFERENCE_SIZE)
    text = "".join([c for c in _KERNED_PAIRS if c in face.characters])
    return abs(font.getlength(text) - sum(font.getlength(c) for c in text)) > 0.01


@lru_cache(maxsize=2048)
def mean_advance_em(face: FontFace, wide: bool) -> float:
    """Mean advance in em of ordinary text of the face: of ideographs, or of letters and figures."""
    sample = "国中的一是" if wide else "Total 1.50 AMOUNT name"
    metrics = face_metrics(face)
    widths = [metrics.of(c)[0] for c in sample if c in face.characters]
    if not widths:
        widths = [metrics.of(min(face.characters - {" "}))[0]]
    return sum(widths) / len(widths)
