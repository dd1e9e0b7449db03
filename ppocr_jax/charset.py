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

_EN_CURRENCY = "€£¥¢₹"


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
        """Number of classes K of the recogniser's head: every character and the blank."""
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
            ValueError: the file is empty or lists a character twice.
        """
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
        characters = [line.rstrip("\r") for line in lines]
        characters = [c for c in characters if c]
        if not characters:
            raise ValueError(f"charset file {path} is empty")
        return cls(_with_space(characters) if space else tuple(characters))


def _with_space(characters: Sequence[str]) -> tuple[str, ...]:
    return tuple(characters) if " " in characters else (*characters, " ")


def english_charset() -> Charset:
    """Printable ASCII and the common currency signs: 94 + 5 characters and the space, 101 classes."""
    ascii_characters = [chr(code) for code in range(0x21, 0x7F)]
    return Charset(_with_space([*ascii_characters, *_EN_CURRENCY]))


def alphanumeric_charset() -> Charset:
    """0-9 and a-z, 37 classes: the case-blind set of scene text benchmarks, PaddleOCR's when given no dictionary."""
    return Charset((*string.digits, *string.ascii_lowercase))


BUILTIN_CHARSETS = {"en": english_charset, "alphanumeric": alphanumeric_charset}


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
