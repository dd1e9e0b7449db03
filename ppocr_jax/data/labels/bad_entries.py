"""Handling of unusable entries in label files, and reading of numbered lines."""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ppocr_jax.data.labels.records import LabelError

logger = logging.getLogger("ppocr_jax")


@dataclass(frozen=True)
class BadEntry:
    """Entry of a label file that cannot be used.

    Attributes:
        path: The label file or database.
        line: Line number, from 1; None if the format has no lines.
        message: Description of the error.
    """

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}" if self.line else f"{self.path}: {self.message}"


class BadEntries:
    """Bad entries of one reading: raise at the first one, or warn, skip and collect them.

    Attributes:
        strict: Whether to raise.
        found: Entries skipped so far.
    """

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.found: list[BadEntry] = []

    def add(self, path: Path, line: int | None, message: object, *, skipped: str = "line") -> None:
        """Raise, or warn that `skipped` is left out because of `message`.

        Raises:
            LabelError: When strict.
        """
        entry = BadEntry(path, line, str(message))
        if self.strict:
            raise LabelError(str(entry)) from (message if isinstance(message, BaseException) else None)
        logger.warning("%s; %s skipped", entry, skipped)
        self.found.append(entry)

    @contextmanager
    def guard(self, path: Path, line: int | None, *, skipped: str = "line") -> Iterator[None]:
        """Turn a ValueError in the block into a bad entry."""
        try:
            yield
        except ValueError as error:
            self.add(path, line, error, skipped=skipped)


def warn_of_skipped(path: Path, skipped: int, kept: int, *, unit: str) -> None:
    """Warn of the total number of skipped entries, if there are any."""
    if skipped:
        logger.warning("%s: %d of %d %s skipped", path, skipped, skipped + kept, unit)


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, without line ends (LF, CRLF or CR), numbered from 1.

    Lines are returned undecoded, so that a line in another encoding spoils only itself. They are split as bytes,
    because `str.splitlines` would also split at U+2028 within a text.

    Raises:
        LabelError: The file is UTF-16 or UTF-32.
        OSError: The file cannot be read.
    """
    number = 0
    with path.open("rb") as file:
        for chunk in file:
            if number == 0:
                _refuse_utf16(path, chunk)
                chunk = chunk.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
            for line in chunk.splitlines():
                number += 1
                if line.strip():
                    yield number, line


def decode_line(line: bytes) -> str:
    """Return the text of a line.

    Raises:
        ValueError: The line is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not UTF-8: byte 0x{line[error.start]:02x} at column {error.start + 1}; save the file as UTF-8"
        ) from error


def read_text(path: Path) -> str:
    """Return the contents of a UTF-8 file, without a byte order mark.

    Raises:
        LabelError: The file is in another encoding.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    _refuse_utf16(path, data)
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LabelError(f"{path}:{line}: not UTF-8: byte 0x{data[error.start]:02x}; save the file as UTF-8") from error


def _refuse_utf16(path: Path, data: bytes) -> None:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise LabelError(f"{path}: the file is UTF-16 or UTF-32; save it as UTF-8")
