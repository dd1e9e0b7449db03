"""Reading of JSON files member by member, with line numbers for messages and without losing repeated keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppocr_jax.data.labels.bad_entries import read_text
from ppocr_jax.data.labels.records import LabelError

# The standard library decodes the values, as fast as usual. No library was found that also gives line numbers and
# repeated keys: json.loads keeps the last of equal keys, and streaming parsers such as ijson give no positions.
_decoder = json.JSONDecoder()
_space = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Member:
    """Member of a JSON object, or item of an array.

    Attributes:
        key: Key of the member, or index of the item as text.
        value: Decoded value.
        start: Position of the value in the file's text.
        line: Number of the line where the value begins, from 1.
    """

    key: str
    value: Any
    start: int
    line: int


class JsonFile:
    """Text of a JSON file.

    Raises:
        LabelError: The file is not UTF-8.
        OSError: The file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = read_text(path)

    def members(self, start: int = 0) -> Iterator[Member]:
        """Yield the members of the object, or items of the array, that begins at `start`, in the file's order.

        Raises:
            LabelError: The text is not JSON.
        """
        at = self._skip_space(start)
        closing = {"{": "}", "[": "]"}.get(self.text[at : at + 1])
        if closing is None:
            raise self._error("expected an object or an array", at)
        index, line, counted = 0, 1, 0
        at = self._skip_space(at + 1)
        if self.text[at : at + 1] == closing:
            return
        while True:
            key, at = self._key(at) if closing == "}" else (str(index), at)
            value, end = self._value(at)
            line, counted = line + self.text.count("\n", counted, at), at
            yield Member(key, value, at, line)
            index, at = index + 1, self._skip_space(end)
            if self.text[at : at + 1] == closing:
                return
            at = self._skip_space(self._expect(",", at))

    def _key(self, at: int) -> tuple[str, int]:
        """Return a key and the position of its value."""
        self._expect('"', at)
        key, end = self._value(at)
        return key, self._skip_space(self._expect(":", self._skip_space(end)))

    def _value(self, at: int) -> tuple[Any, int]:
        try:
            return _decoder.raw_decode(self.text, at)
        except json.JSONDecodeError as error:
            raise self._error(error.msg, error.pos) from error
        except RecursionError as error:
            raise self._error("nested too deeply", at) from error

    def _expect(self, sign: str, at: int) -> int:
        if self.text[at : at + 1] != sign:
            raise self._error(f"expected {sign!r}", at)
        return at + 1

    def _skip_space(self, at: int) -> int:
        match = _space.match(self.text, at)
        return match.end() if match else at

    def _error(self, message: str, at: int) -> LabelError:
        line = self.text.count("\n", 0, at) + 1
        return LabelError(f"{self.path}:{line}: not JSON: {message}")
