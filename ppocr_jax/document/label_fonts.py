"""Fonts of the system to write texts of any language with, for pictures that people look at."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL import ImageFont

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
"""Names that Pillow looks up in the system's font folders, in order of preference."""

_NO_CHARACTER = "\uffff"
_TRIAL_SIZE = 16  # in which it is looked whether a font has a character: the answer is the same in every size


def font_for(text: str, size: int) -> Font:
    """The first font that has all characters of a text, else the one that has most of them, of a size in pixels."""
    return _font(_face(text), size)


def drawable(text: str) -> str:
    """A text as `font_for(text, ...)` can draw it, in one row: characters that it cannot become U+XXXX."""
    face = _face(text)
    return "".join(c if _has(face, c) else f"U+{ord(c):04X} " for c in text)


@lru_cache(maxsize=1000)
def _face(text: str) -> str:
    """The name of a font; "" for Pillow's own, where the system has none."""
    best, fewest = "", len(text) + 1
    for name in filter(_is_there, FONTS):
        lacking = sum(not _has(name, character) for character in text)
        if lacking < fewest:
            best, fewest = name, lacking
        if not lacking:
            break
    return best


@lru_cache
def _is_there(name: str) -> bool:
    try:
        return bool(_font(name, _TRIAL_SIZE))
    except OSError:
        return False


@lru_cache(maxsize=256)
def _font(name: str, size: int) -> Font:
    from PIL import ImageFont

    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@lru_cache(maxsize=20_000)
def _has(name: str, character: str) -> bool:
    """Whether a font has a character, and not just the box that stands for missing ones."""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Cs", "Zl", "Zp"):  # control characters, halves of surrogate pairs, line breaks
        return False
    return kind == "Zs" or _mask(name, character) != _mask(name, _NO_CHARACTER)


def _mask(name: str, character: str) -> bytes:
    return bytes(_font(name, _TRIAL_SIZE).getmask(character))  # type: ignore[arg-type]
