"""Characters and their class ids.

Class 0 is the CTC blank. Characters are numbered from 1 in file order. The space, if there is one, is last
(PaddleOCR's convention for `use_space_char`).
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ppocr_jax.errors import UserError

BLANK = 0

# The order of these characters determines class ids: nothing may be inserted, moved or removed.
_EN_CURRENCY = "€£¥¢₹"
_SOFT_HYPHEN = 0xAD
_LATIN_LETTERS = "ȘșȚțẞẀẁẂẃẄẅỲỳƒ"  # Romanian, German, Welsh: beyond Latin Extended-A
_LATIN_PUNCTUATION = "–—‘’‚“”„†‡•…‰′″‹›⁄−№™℗ℓ℮←↑→↓≈≠≤≥√∞Ω◊"
_LATIN_CURRENCY = "₺₽₴₩₪₫₱₦₡₲₵₸₾₼₿"
_PINYIN_LETTERS = 26  # number of letters before Bopomofo in the row
_CH_UNITS = "㎡㎥㎜㎝㎞㎎㎏㏄㎖㏕℉Ω㎾㏒㏑㎐㎑㎒㎓㎈㎉㎅㎆㎇℅"
_CH_SIGNS = "〇©®™•–²³¹½¼¾⅓⅔√✓✔✕✖☑☐♪♡♥♠♣♦⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳❶❷❸❹❺❻❼❽❾❿℡㊣▪►▶◀▼▽"


class UnknownCharacterError(ValueError):
    """Error for a text with characters outside the charset."""


class LettersError(UserError, ValueError):
    """Error for an option `letters` that is neither a charset, nor a file of characters, nor a set of characters."""


@dataclass(frozen=True)
class Charset:
    """Characters in order: `characters[i]` has class id `i + 1`.

    A recognizer may have several classes for one character: PaddleOCR's English and Japanese ones have two spaces. All
    of them are decoded to the character, and labels are encoded with the last one.
    """

    characters: tuple[str, ...]

    def __post_init__(self) -> None:
        bad = [c for c in self.characters if not c or c in "\r\n"]
        if bad:
            raise ValueError(f"charset contains empty entries or line breaks: {bad[:10]!r}")

    @property
    def num_classes(self) -> int:
        """Number of classes K of the recognizer's head: every character and the blank."""
        return len(self.characters) + 1

    @cached_property
    def ids(self) -> dict[str, int]:
        """Character -> class id."""
        return {c: i for i, c in enumerate(self.characters, start=1)}

    @cached_property
    def spaces(self) -> tuple[int, ...]:
        """Class ids of the space. There may be several."""
        return tuple(i for i, c in enumerate(self.characters, start=1) if c == " ")

    @cached_property
    def lowercase_only(self) -> bool:
        """Whether no character is a capital letter, as in the 36 characters of the scene text benchmarks."""
        return not any(c.isupper() for c in self.characters)

    def fold(self, text: str) -> str:
        """Return a label as it is encoded: in lower case if the charset has no capital letters."""
        return text.lower() if self.lowercase_only else text

    def __contains__(self, character: object) -> bool:
        return character in self.ids

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str, *, unknown: str = "raise") -> list[int]:
        """Return the class ids of `text`.

        Args:
            text: A label.
            unknown: How to handle characters outside the charset: "raise", or "skip" as PaddleOCR does.

        Raises:
            UnknownCharacterError: If `unknown` is "raise" and the text has a character outside the charset.
            ValueError: If `unknown` is neither "raise" nor "skip".
        """
        if unknown not in ("raise", "skip"):
            raise ValueError(f'unknown must be "raise" or "skip", not {unknown!r}')
        missing = [c for c in text if c not in self.ids]
        if missing and unknown == "raise":
            raise UnknownCharacterError(f"{text!r} contains characters outside the charset: {sorted(set(missing))}")
        return [self.ids[c] for c in text if c in self.ids]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of class ids, without blanks and with repetitions (CTC collapsing is done elsewhere)."""
        return "".join(self.characters[i - 1] for i in ids if i != BLANK)

    def classes_of(self, letters: Container[str]) -> tuple[int, ...]:
        """Return the class ids of the blank and of the characters in `letters`, ascending."""
        return (BLANK, *(i for i, c in enumerate(self.characters, start=1) if c in letters))

    def save(self, path: str | Path) -> None:
        """Write the charset to a file with one character per line, in UTF-8."""
        Path(path).write_text("".join(c + "\n" for c in self.characters), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path, *, space: bool = False) -> Charset:
        """Read a file with one character per line, for training (for a trained recognizer, use `read_dictionary`).

        Args:
            path: The file.
            space: Append a space, as PaddleOCR's `use_space_char` does. No effect if the file contains one.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If the file is not UTF-8, is empty, contains a character twice, or several on one line.
        """
        characters = [_character(path, n, line) for n, line in enumerate(read_dictionary(path), start=1) if line]
        twice = sorted(c for c, count in Counter(characters).items() if count > 1)
        if twice:
            raise ValueError(f"charset file {path}: charset lists characters more than once: {twice[:10]}")
        try:
            return cls(_with_space(characters) if space else tuple(characters))
        except ValueError as error:
            raise ValueError(f"charset file {path}: {error}") from error


def _character(path: str | Path, number: int, line: str) -> str:
    """Return the character on a line of a charset file, without the white space that some dictionaries have after it.

    Raises:
        ValueError: The line has several characters.
    """
    character = line[0] + line[1:].rstrip()
    if len(character) == 1:
        return character
    composed = unicodedata.normalize("NFC", character)
    wanted = f"write it as the one character {composed!r}" if len(composed) == 1 else "write one character per line"
    raise ValueError(f"charset file {path}:{number}: {line[:20]!r} is more than one character: {wanted}")


def read_dictionary(path: str | Path) -> list[str]:
    """Return the lines of a file with one character per line, including empty and repeated lines, as PaddleOCR does.

    From a model folder's `model.json`, return the characters of its recognizer.

    Lines end with line feeds only, because U+2028 and U+0085 are characters in some dictionaries. A byte order mark and
    carriage returns, which editors add, are removed.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is not UTF-8 or is empty, or a JSON file without the characters of a recognizer.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"no charset {str(path)!r}: neither a file nor one of the built-in sets {sorted(BUILTIN_CHARSETS)}"
        )
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"charset file {path} is not UTF-8: {error}; save it as UTF-8") from error
    if not text.strip("\r\n"):
        raise ValueError(f"charset file {path} is empty")
    if Path(path).suffix == ".json":
        return _characters_of_model(path, text)
    return [line.strip("\r") for line in text.removesuffix("\n").split("\n")]


def _characters_of_model(path: str | Path, text: str) -> list[str]:
    try:
        characters = json.loads(text)["charset"]
    except (ValueError, KeyError, TypeError):
        characters = None
    if not isinstance(characters, list) or not all(isinstance(c, str) for c in characters):
        raise ValueError(f"charset file {path} is not the model.json of a model with a recognizer")
    return characters


def fit_dictionary(lines: Sequence[str], num_classes: int, source: str | Path) -> tuple[Charset, tuple[str, ...]]:
    """Return the charset of a trained recognizer from its dictionary, and messages about repairs.

    PaddleOCR counts the blank, every line, and another space if `use_space_char` is set, even if the file ends with a
    space: `en_dict.txt` has 95 lines, its recognizer 97 classes. Editors often remove that last line.

    Args:
        lines: Lines of the dictionary, from `read_dictionary`.
        num_classes: Number of classes of the recognizer, including the blank.
        source: Origin of the lines, for messages.

    Raises:
        ValueError: If the dictionary belongs to another recognizer.
    """
    repairs = []
    while lines and not lines[-1] and len(lines) + 1 > num_classes:
        lines = lines[:-1]  # empty lines at the end that are not classes
    missing = num_classes - 1 - len(lines)
    if missing == 2 and " " not in lines:
        repairs.append(f"{source} lacks its last line, a space: added")
    elif missing not in (0, 1):
        raise ValueError(
            f"{source} has {len(lines)} characters for {num_classes} classes (the blank, the characters and possibly a "
            "space): it belongs to another model; pass the right dictionary with --charset"
        )
    empty = [number for number, line in enumerate(lines, start=1) if not line]
    if empty:
        repairs.append(f"{source} has empty lines ({', '.join(map(str, empty[:5]))}): treated as spaces")
    return Charset((*(line or " " for line in lines), *[" "] * missing)), tuple(repairs)


def _with_space(characters: Sequence[str]) -> tuple[str, ...]:
    return tuple(characters) if " " in characters else (*characters, " ")


def english_charset() -> Charset:
    """Return printable ASCII and common currency signs: 94 + 5 characters and the space, 101 classes."""
    return _builtin(())


def latin_charset() -> Charset:
    """Return `english_charset` with the accented letters of Europe's Latin scripts, typographic signs and currencies.

    It contains all of Latin-1 and Latin Extended-A except the soft hyphen, and some letters, signs and currencies of
    other blocks. Accented letters are single characters (Unicode's NFC form).
    """
    latin_1 = (chr(code) for code in range(0xA1, 0x100) if code != _SOFT_HYPHEN)
    extended_a = (chr(code) for code in range(0x100, 0x180))
    return _builtin((*latin_1, *extended_a, *_LATIN_LETTERS, *_LATIN_PUNCTUATION, *_LATIN_CURRENCY))


def chinese_charset() -> Charset:
    """Return Simplified Chinese and English: `english_charset`, the 6,763 hanzi of GB2312, punctuation and signs.

    In this order: ASCII and currencies; the hanzi of level 1 (by sound) and level 2 (by radical); full-width
    punctuation, mathematical signs, circled and Roman numbers, the Greek alphabet and the accented letters of pinyin,
    all from GB2312; units and signs of everyday print. Full-width letters, digits and the full-width space are left
    out, because they look like those of ASCII.
    """
    symbols = [c for c in _gb2312(1, "gbk") if not c.isspace()]  # GBK's row 1 has the dash and dot in common use
    full_width = [c for c in _gb2312(3) if not c.isalnum()]
    hanzi = [c for row in range(16, 88) for c in _gb2312(row)]
    signs = (*symbols, *full_width, *_gb2312(2), *_gb2312(6), *_gb2312(8)[:_PINYIN_LETTERS])
    return _builtin((*hanzi, *signs, *_CH_UNITS, *_CH_SIGNS))


def _builtin(more: Iterable[str]) -> Charset:
    """Return ASCII, the common currencies, `more` without repetitions, and the space."""
    ascii_characters = (chr(code) for code in range(0x21, 0x7F))
    return Charset(_with_space(tuple(dict.fromkeys((*ascii_characters, *_EN_CURRENCY, *more)))))


def _gb2312(row: int, codec: str = "gb2312") -> list[str]:
    """Return the characters of one of the 94 rows of GB2312. Some of the 94 cells of a row are empty."""
    cells = (bytes((0xA0 + row, 0xA0 + cell)).decode(codec, errors="ignore") for cell in range(1, 95))
    return [character for character in cells if character]


def alphanumeric_charset() -> Charset:
    """Return 0-9 and a-z, 37 classes: the charset of scene text benchmarks, and PaddleOCR's without a dictionary."""
    return Charset((*string.digits, *string.ascii_lowercase))


BUILTIN_CHARSETS = {
    "en": english_charset,
    "alphanumeric": alphanumeric_charset,
    "latin": latin_charset,
    "ch": chinese_charset,
}


def load_charset(name_or_path: str | Path, *, space: bool = False) -> Charset:
    """Return a built-in charset by name ("en"), or read a charset from a file or a `model.json`.

    Raises:
        FileNotFoundError: If it is neither a built-in name nor an existing file.
    """
    builder = BUILTIN_CHARSETS.get(str(name_or_path))
    if builder is not None:
        return builder()
    return Charset.load(name_or_path, space=space)


def load_letters(letters: str | Path | Iterable[str]) -> tuple[str, ...]:
    """Return unique characters: those of a built-in charset ("latin"), of a file with one per line, or the given ones.

    A string that is neither a charset nor a file is a set of characters: "0123456789.,".

    Raises:
        LettersError: If a `Path` or a string that ends with ".txt" is not a readable file, or the characters are none,
            not single characters, or not unique, as in a misspelled name.
    """
    if isinstance(letters, str) and letters in BUILTIN_CHARSETS:
        return BUILTIN_CHARSETS[letters]().characters
    if isinstance(letters, Path) or (isinstance(letters, str) and _is_file_name(letters)):
        try:
            return tuple(dict.fromkeys(line for line in read_dictionary(letters) if line))
        except (OSError, ValueError) as error:
            raise LettersError(f"letters: {error}") from error
    given = tuple(letters)
    twice = sorted(letter for letter, count in Counter(given).items() if count > 1)
    if not given or twice or any(len(letter) != 1 for letter in given):
        wrong = f"and as a set of characters it has {twice[0]!r} twice" if twice else "nor a set of single characters"
        raise LettersError(
            f"letters {letters!r}: neither a charset ({', '.join(BUILTIN_CHARSETS)}) nor a file, {wrong}"
        )
    return given


def _is_file_name(text: str) -> bool:
    try:
        return text.endswith(".txt") or Path(text).is_file()
    except (OSError, ValueError):  # too long for a file name, or with a null character
        return False
