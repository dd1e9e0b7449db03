"""Widths and heights of single characters, measured once and kept."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from ppocr_jax.synth.fonts import FontFace

# A charset has up to 20 000 ideographs; a process keeps the newest of each face.
_MOST_KEPT = 1024
# Pairs that fonts with a kerning table move; where it moves only others, they move by a tenth of a pixel.
_KERNED_PAIRS = "AVAToTyVaWeYPA.LTLYr.11"
_KERNING_SIZE = 29
REFERENCE_IDEOGRAPH = "国"


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
    if REFERENCE_IDEOGRAPH in face.characters and any(map(is_wide, text)):
        return REFERENCE_IDEOGRAPH
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


@lru_cache(maxsize=1024)
def spacing(face: FontFace, size: int) -> Spacing:
    """The advances of `face` at `size`; one object per process."""
    return Spacing(face, size)


@lru_cache(maxsize=8192)
def extent_of(face: FontFace, size: int, character: str) -> tuple[float, float]:
    """(top, bottom) of a character's ink relative to the base line; y points down."""
    _, top, _, bottom = face.at(size).getbbox(character, anchor="ls")
    return top, bottom


def planned_extent(text: str, face: FontFace, size: int) -> tuple[float, float]:
    """About the (top, bottom) of the ink of `text` relative to the base line, without looking at all its characters.

    An ideograph, "x", "p", "H" and "(" stand for the others.
    """
    shapes = {_shape(c) for c in text} | {reference_character(text, face)}
    extents = [extent_of(face, size, shape if shape in face.characters else "H") for shape in shapes]
    return min([top for top, _ in extents]), max([bottom for _, bottom in extents])


@lru_cache(maxsize=65536)
def _shape(character: str) -> str:
    """The reference character that is about as high and as deep as `character`."""
    if is_wide(character):
        return REFERENCE_IDEOGRAPH
    if character in " .-+~:=<>*acemnorsuvwxz":
        return "x"
    if character in "gpqy,;":
        return "p"
    return "(" if character in "j()[]{}|@$Q/\\_" else "H"


@lru_cache(maxsize=2048)
def _has_kerning(face: FontFace) -> bool:
    """Whether the layout kerns common pairs; most fonts have no `kern` table, and nothing else counts for it."""
    font = face.at(_KERNING_SIZE)
    pairs = "".join([c for c in _KERNED_PAIRS if c in face.characters])
    widths = {c: font.getlength(c) for c in set(pairs)}
    return abs(font.getlength(pairs) - sum([widths[c] for c in pairs])) > 0.01
