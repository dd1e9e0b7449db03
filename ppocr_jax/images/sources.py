"""Where a picture's bytes come from, and how its name and errors are said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 2**30
"""Larger files are refused: no picture is that large, but a film or /dev/zero given by mistake is."""

_CHUNK_BYTES = 2**20

ImageSource: TypeAlias = "str | Path | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Image.Image"


class ImageError(UserError, ValueError):
    """The source is missing, is not a picture, is damaged, or is too large."""


def describe_source(source: Any) -> str:
    """The path of a source that has one, else ""."""
    return str(source) if isinstance(source, str | Path) else ""


def printable(name: object) -> str:
    """`name` for a message: line breaks, control characters and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def first_line(error: BaseException) -> str:
    """The first line of an error's own message."""
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return printable(text.strip().splitlines()[0]) if text.strip() else type(error).__name__


def is_url(source: object) -> bool:
    """Whether the source is a string that starts with http:// or https://."""
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


def read_bytes(source: Any) -> tuple[bytes, str]:
    """The bytes of a source and its name for messages.

    Args:
        source: a path, the bytes of a file, or an open binary file.

    Raises:
        ImageError: the file is missing, is a folder, is empty, cannot be read, or is larger than `MAX_FILE_BYTES`.
        TypeError: a source of another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the picture"
    elif isinstance(source, str | Path):
        data, name = _read_file(source), printable(source)
    elif callable(getattr(source, "read", None)):
        name = printable(getattr(source, "name", "the picture"))
        data = read_stream(source, name)
    else:
        kinds = "a path, bytes, a binary file, a NumPy array or a Pillow image"
        raise TypeError(f"a picture must be {kinds}, not {type(source).__name__}")
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    return data, name


def read_stream(file: BinaryIO, name: str) -> bytes:
    """Everything that is left in an open file, which may be a pipe.

    Raises:
        ImageError: it has more than `MAX_FILE_BYTES`, or cannot be read.
        TypeError: it was opened in text mode.
    """
    chunks, size = [], 0
    try:
        while chunk := file.read(_CHUNK_BYTES):
            if not isinstance(chunk, bytes):
                raise TypeError("a picture's file must be opened in binary mode")
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise ImageError(f"{name} is too large: more than {MAX_FILE_BYTES / 2**20:.0f} MiB")
    except OSError as error:
        raise ImageError(f"cannot read {name}: {first_line(error)}") from error
    return b"".join(chunks)


def _read_file(source: str | Path) -> bytes:
    name = printable(source)
    if is_url(source):
        raise ImageError(f"{name} is a URL; URLs are fetched only with --allow-url, by read_pages(..., allow_url=True)")
    try:
        with Path(source).open("rb") as file:
            return read_stream(file, name)
    except FileNotFoundError as error:
        raise ImageError(f"no such file: {name}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name} is a folder, not a picture") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"cannot read {name}: {first_line(error)}") from error
