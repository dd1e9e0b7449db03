"""Characters and their class ids.

Class 0 is the CTC blank; characters are numbered from 1 in file order, and a space, where the set has one,
comes last (PaddleOCR's convention for `use_space_char`).
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

BLANK = 0

# The order of what follows makes class ids: nothing may be inserted, moved or taken out.
_EN_CURRENCY = "€£¥¢₹"
_SOFT_HYPHEN = 0xAD
_LATIN_LETTERS = "ȘșȚțẞẀẁẂẃẄẅỲỳƒ"  # Romanian, German, Welsh: beyond Latin Extended-A
_LATIN_PUNCTUATION = "–—‘’‚“”„†‡•…‰′″‹›⁄−№™℗ℓ℮←↑→↓≈≠≤≥√∞Ω◊"
_LATIN_CURRENCY = "₺₽₴₩₪₫₱₦₡₲₵₸₾₼₿"
_PINYIN_LETTERS = 26  # at the beginning of a row that goes on with Bopomofo
_CH_UNITS = "㎡㎥㎜㎝㎞㎎㎏㏄㎖㏕℉Ω㎾㏒㏑㎐㎑㎒㎓㎈㎉㎅㎆㎇℅"
_CH_SIGNS = "〇©®™•–²³¹½¼¾⅓⅔√✓✔✕✖☑☐♪♡♥♠♣♦⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳❶❷❸❹❺❻❼❽❾❿℡㊣▪►▶◀▼▽"


class UnknownCharacterError(ValueError):
    """A text holds a character that the charset does not."""


@dataclass(frozen=True)
class Charset:
    """An ordered set of characters: `characters[i]` has class id `i + 1`."""

    characters: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.characters)) != len(self.characters):
            twice = sorted({c for c in self.characters if self.characters.count(c) > 1})
            raise ValueError(f"charset lists characters more than once: {twice[:10]}")
        bad = [c for c in self.characters if not c or c in "\r\n"]
        if bad:
            raise ValueError(f"charset holds empty entries or line breaks: {bad[:10]!r}")

    @property
    def num_classes(self) -> int:
        """Number of classes K of the recognizer's head: every character and the blank."""
        return len(self.characters) + 1

    @cached_property
    def ids(self) -> dict[str, int]:
        """Character -> class id."""
        return {c: i for i, c in enumerate(self.characters, start=1)}

    @cached_property
    def lowercase_only(self) -> bool:
        """Whether no character is a capital letter, as in the 36 characters of the scene text benchmarks."""
        return not any(c.isupper() for c in self.characters)

    def __contains__(self, character: object) -> bool:
        return character in self.ids

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str, *, unknown: str = "raise") -> list[int]:
        """Class ids of `text`.

        Args:
            text: a label.
            unknown: "raise" or "skip" (what PaddleOCR does) for characters that are not in the set.

        Raises:
            UnknownCharacterError: with `unknown="raise"`, for a character outside the set.
            ValueError: `unknown` is neither "raise" nor "skip".
        """
        if unknown not in ("raise", "skip"):
            raise ValueError(f'unknown must be "raise" or "skip", not {unknown!r}')
        missing = [c for c in text if c not in self.ids]
        if missing and unknown == "raise":
            raise UnknownCharacterError(f"{text!r} holds characters outside the charset: {sorted(set(missing))}")
        return [self.ids[c] for c in text if c in self.ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of class ids; blanks are left out, repetitions are kept (CTC collapsing is `ctc_decode`'s work)."""
        return "".join(self.characters[i - 1] for i in ids if i != BLANK)

    def save(self, path: str | Path) -> None:
        """Write one character per line, UTF-8."""
        Path(path).write_text("".join(c + "\n" for c in self.characters), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, space: bool = False) -> Charset:
        """Read a file with one character per line (PaddleOCR's dictionary format).

        Args:
            path: the file.
            space: append a space at the end, as PaddleOCR's `use_space_char` does; no effect if the file lists one.

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file is not UTF-8, is empty, or lists a character twice.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise ValueError(f"charset file {path} is not UTF-8: {error}") from error
        characters = [line.rstrip("\r") for line in lines]
        characters = [c for c in characters if c]
        if not characters:
            raise ValueError(f"charset file {path} is empty")
        try:
            return cls(_with_space(characters) if space else tuple(characters))
        except ValueError as error:
            raise ValueError(f"charset file {path}: {error}") from error


def _with_space(characters: Sequence[str]) -> tuple[str, ...]:
    return tuple(characters) if " " in characters else (*characters, " ")


def english_charset() -> Charset:
    """Printable ASCII and the common currency signs: 94 + 5 characters and the space, 101 classes."""
    return _builtin(())


def latin_charset() -> Charset:
    """What `english_charset` has, with the accents of Europe's Latin scripts, typographic punctuation and currencies.

    All of Latin-1 and Latin Extended-A but the soft hyphen, and some letters, signs and currencies from elsewhere.
    Accented letters are single characters (Unicode's NFC form).
    """
    latin_1 = (chr(code) for code in range(0xA1, 0x100) if code != _SOFT_HYPHEN)
    extended_a = (chr(code) for code in range(0x100, 0x180))
    return _builtin((*latin_1, *extended_a, *_LATIN_LETTERS, *_LATIN_PUNCTUATION, *_LATIN_CURRENCY))


def chinese_charset() -> Charset:
    """Simplified Chinese and English: what `english_charset` has, the 6,763 hanzi of GB2312, punctuation and signs.

    In this order: ASCII and currencies; the hanzi of level 1 (by sound) and level 2 (by radical); full-width
    punctuation, mathematical signs, circled and Roman numbers, the Greek alphabet and the accented letters of pinyin,
    all from GB2312; units and signs of everyday print. Full-width letters, digits and the full-width space are left
    out: they look like those of ASCII.
    """
    symbols = [c for c in _gb2312(1, "gbk") if not c.isspace()]  # GBK's row 1 has the dash and dot that are in use
    full_width = [c for c in _gb2312(3) if not c.isalnum()]
    hanzi = [c for row in range(16, 88) for c in _gb2312(row)]
    signs = (*symbols, *full_width, *_gb2312(2), *_gb2312(6), *_gb2312(8)[:_PINYIN_LETTERS])
    return _builtin((*hanzi, *signs, *_CH_UNITS, *_CH_SIGNS))


def _builtin(more: Iterable[str]) -> Charset:
    """ASCII, the common currencies, `more` without repetitions, and the space."""
    ascii_characters = (chr(code) for code in range(0x21, 0x7F))
    return Charset(_with_space(tuple(dict.fromkeys((*ascii_characters, *_EN_CURRENCY, *more)))))


def _gb2312(row: int, codec: str = "gb2312") -> list[str]:
    """Characters of one of the 94 rows of GB2312, whose 94 cells are not all taken."""
    cells = (bytes((0xA0 + row, 0xA0 + cell)).decode(codec, errors="ignore") for cell in range(1, 95))
    return [character for character in cells if character]


def alphanumeric_charset() -> Charset:
    """0-9 and a-z, 37 classes: the case-blind set of scene text benchmarks, PaddleOCR's when given no dictionary."""
    return Charset((*string.digits, *string.ascii_lowercase))


BUILTIN_CHARSETS = {
    "en": english_charset,
    "alphanumeric": alphanumeric_charset,
    "latin": latin_charset,
    "ch": chinese_charset,
}


def encode_label(text: str, charset: Charset, max_length: int = 25) -> list[int] | None:
    """Class ids of a training label, or None for one that cannot be trained on.

    Characters outside the set are skipped, and a set without capitals gets the label in lower case. A label is refused
    if it has more than `max_length` characters, the skipped ones included, or if nothing of it is left (PaddleOCR's
    rules).
    """
    if len(text) > max_length:
        return None
    return charset.encode(text.lower() if charset.lowercase_only else text, unknown="skip") or None


def load_charset(name_or_path: str | Path, *, space: bool = False) -> Charset:
    """A built-in charset by name ("en"), or one read from a file.

    Raises:
        FileNotFoundError: neither a built-in name nor an existing file.
    """
    builder = BUILTIN_CHARSETS.get(str(name_or_path))
    if builder is not None:
        return builder()
    if not Path(name_or_path).is_file():
        raise FileNotFoundError(
            f"no charset {str(name_or_path)!r}: neither a file nor one of the built-in sets {sorted(BUILTIN_CHARSETS)}"
        )
    return Charset.load(name_or_path, space=space)
