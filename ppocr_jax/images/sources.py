"""Sources of images: paths, open files, bytes, URLs and folders.

This module works on bytes and names and decodes nothing. Messages fit on one line, whatever the name of a file.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias
from urllib.parse import urlsplit

import numpy as np

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_FILE_BYTES = 2**30
"""Larger files are refused: no image is that large, but a video or /dev/zero given by mistake is."""
MAX_URL_BYTES = 100 * 2**20
TIMEOUT_SECONDS = 30.0

_FILE_CHUNK, _URL_CHUNK = 2**20, 2**16  # bytes read at a time

_IMAGES = (
    "apng avif avifs bmp dib gif heic heif hif j2k jfif jp2 jpe jpeg jpf jpg jpx mpo pbm pgm png pnm ppm tif tiff webp"
)
SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_IMAGES} pdf".split(" "))
"""Lower-case suffixes of the files used from folders. A file named directly may have any suffix."""

PathInput: TypeAlias = "str | os.PathLike[str]"
ImageSource: TypeAlias = "PathInput | bytes | bytearray | memoryview | BinaryIO | np.ndarray | Image.Image"
Input: TypeAlias = "Path | str"
"""A file, or one of the strings "-" (standard input) and "http..."."""


class ImageError(UserError, ValueError):
    """Error for a source that is missing, is not an image, is damaged, or is too large.

    Attributes:
        number: Number of the page in its document, from 1. It is also 1 if the document cannot be opened.
    """

    number = 1


class TooLargeError(ImageError):
    """Error for a source with too many bytes, pixels or pages."""


class UnknownFormatError(ImageError):
    """Error for a source that is not an image or document of a known format."""


class PasswordError(ImageError):
    """Error for an encrypted document whose password is missing or wrong."""


def describe_source(source: Any) -> str:
    """Return the path of a source, or "" if it has none."""
    return os.fsdecode(source) if isinstance(source, str | os.PathLike) else ""


def printable(name: object) -> str:
    """Return `name` for a message, with escaped line breaks, control characters and undecodable bytes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's own message."""
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return printable(text.strip().splitlines()[0]) if text.strip() else type(error).__name__


def is_url(source: object) -> bool:
    """Return whether the source is a string that begins with http:// or https://."""
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


def check_url_allowed(url: str, allow_url: bool) -> None:
    """Raise an error if URLs are not allowed.

    Raises:
        UserError: If URLs are not allowed.
    """
    if not allow_url:
        raise UserError(f"{printable(url)}: URLs are fetched only with --allow-url (allow_url=True)")


# Reading bytes


def read_bytes(source: Any) -> tuple[bytes, str]:
    """Return the bytes of a source and its name for messages.

    Args:
        source: A path (`str` or anything `os.fspath` accepts), the bytes of a file, or an open file. For a file opened
            in text mode, the underlying bytes are read.

    Raises:
        ImageError: If the file is missing, is a folder, is empty, cannot be read, or is larger than `MAX_FILE_BYTES`.
        TypeError: If the source has another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the image"
    elif isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        data, name = _read_file(path), printable(path)
    elif callable(getattr(source, "read", None)):
        name = printable(getattr(source, "name", "the image"))
        data = read_stream(source, name)
    else:
        kinds = "a path, bytes, a binary file, a NumPy array or a Pillow image"
        raise TypeError(f"an image must be {kinds}, not {type(source).__name__}")
    if not data:
        raise ImageError(f"{name} is empty (0 bytes)")
    return data, name


def read_stdin() -> tuple[bytes, str]:
    """Return the contents of standard input, and its name for messages.

    Raises:
        ImageError: If it is closed, empty, too large, or cannot be read.
    """
    if sys.stdin is None:
        raise ImageError("standard input is closed")
    data = read_stream(sys.stdin.buffer, "standard input")
    if not data:
        raise ImageError("standard input is empty (0 bytes)")
    return data, "standard input"


def read_stream(file: Any, name: str) -> bytes:
    """Return the remaining contents of an open file, which may be a pipe.

    Raises:
        ImageError: If it has more than `MAX_FILE_BYTES`, or cannot be read.
        TypeError: If it contains text without underlying bytes, such as `io.StringIO`.
    """
    if isinstance(file, io.TextIOBase):
        file = getattr(file, "buffer", file)  # opened in text mode: the underlying binary file
    chunks, size = [], 0
    try:
        while chunk := file.read(_FILE_CHUNK):
            if not isinstance(chunk, bytes):
                raise TypeError("an image file must be opened in binary mode")
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_FILE_BYTES:
                raise TooLargeError(f"{name} is too large: more than {MAX_FILE_BYTES / 2**20:.0f} MiB")
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: the file is closed
        raise ImageError(f"cannot read {name}: {first_line(error)}") from error
    return b"".join(chunks)


def _read_file(path: str) -> bytes:
    name = printable(path)
    if is_url(path):
        raise ImageError(f"{name} is a URL; URLs are fetched only with --allow-url, by read_pages(..., allow_url=True)")
    try:
        with open(path, "rb") as file:
            return read_stream(file, name)
    except FileNotFoundError as error:
        raise ImageError(f"no such file: {name}") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name} is a folder, not an image") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise ImageError(f"cannot read {name}: {first_line(error)}") from error


# Folders


def find_inputs(paths: Iterable[PathInput], *, recursive: bool = False, allow_url: bool = False) -> list[Input]:
    """Return the files of `paths`.

    A folder stands for its files with a known suffix, without hidden ones, in natural order: page2 before page10.
    Symbolic links are followed. A folder that is reached twice is read once. Patterns such as *.png are not expanded.

    Args:
        paths: Files, folders, "-" for standard input, and URLs.
        recursive: Include subfolders.
        allow_url: Accept URLs. Nothing is fetched here.

    Returns:
        Paths of files, and the strings "-" and URLs, in the order of `paths`.

    Raises:
        UserError: If a path does not exist, a folder has no images or cannot be read, or a URL is not allowed.
    """
    found: list[Input] = []
    for path in paths:
        if path == "":  # pathlib takes it for the current folder
            raise UserError("no such file or folder: the path is empty")
        if isinstance(path, str) and path == "-":
            found.append("-")
        elif is_url(path):
            check_url_allowed(str(path), allow_url)
            found.append(str(path))
        else:
            found.extend(_files_of(Path(path), recursive))
    return found


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts "page2" before "page10" and ignores case."""
    parts = [part for part in re.split(r"([0-9]+)", name) if part]
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part.casefold()) for part in parts], name


def _files_of(path: Path, recursive: bool) -> list[Path]:
    name = printable(path)
    try:
        if not path.is_dir():
            path.stat()
            return [path]
    except FileNotFoundError as error:
        raise UserError(f"no such file or folder: {name}") from error
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise UserError(f"cannot read {name}: {first_line(error)}") from error
    subfolders: list[Path] = []
    files = list(_walk(path, recursive, set(), subfolders))
    if not files:
        hint = "; its subfolders are searched only with --recursive" if subfolders and not recursive else ""
        raise UserError(f"{name} contains no images or PDF files{hint}")
    return files


def _walk(folder: Path, recursive: bool, seen: set[tuple[int, int]], subfolders: list[Path]) -> Iterator[Path]:
    """Yield the files of a folder, then those of its subfolders. All subfolders are appended to `subfolders`."""
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        raise UserError(f"cannot read the folder {printable(folder)}: {first_line(error)}") from error
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    visible = [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
    for path in visible:
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
    for path in visible:
        if path.is_dir():
            subfolders.append(path)
            if recursive:
                yield from _walk(path, recursive, seen, subfolders)


# URLs. The caller decides which servers are contacted: a program that accepts URLs from strangers must not pass them to
# this function, because they may name machines of its own network.


def fetch(url: str, *, max_bytes: int = MAX_URL_BYTES, timeout_seconds: float = TIMEOUT_SECONDS) -> bytes:
    """Return the contents of an http or https URL. Redirections are followed to such URLs only.

    Args:
        url: URL that begins with http:// or https://.
        max_bytes: Largest accepted size. It is checked before reading if the server sends the size.
        timeout_seconds: Limit for the start of the response, and again for all of it.

    Raises:
        ImageError: If the URL has another scheme, the server does not respond or responds with an error, or a limit is
            exceeded.
    """
    name = printable(url)
    if not is_url(url):
        raise ImageError(f"{name} is not an http or https address")
    request_headers = {"User-Agent": "ppocr_jax", "Accept": "image/*, application/pdf"}
    try:
        request = urllib.request.Request(url, headers=request_headers)
        with _opener().open(request, timeout=timeout_seconds) as response:
            return _read_response(response, name, max_bytes, timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        reason = printable(str(error.reason).partition("\n")[0])
        raise ImageError(f"{name}: the server answered {error.code} {reason}") from error
    except ImageError:
        raise
    except TimeoutError as error:
        raise ImageError(f"{name}: no answer within {timeout_seconds:g} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: not a well-formed address
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise ImageError(f"{name}: no answer within {timeout_seconds:g} seconds") from error
        what = first_line(reason) if isinstance(reason, BaseException) else printable(reason)
        raise ImageError(f"{name} cannot be fetched: {what}") from error


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Redirect handler for http and https only. The standard library's handler also follows redirections to ftp."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise ImageError(
                f"{printable(req.full_url)} redirects to {printable(newurl)}, which is not an HTTP address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http, https and the user's proxy. Unlike `urlopen`, it opens neither files nor ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _WebOnly,
    ):
        opener.add_handler(handler())
    return opener


def _read_response(response: http.client.HTTPResponse, name: str, max_bytes: int, timeout_seconds: float) -> bytes:
    too_large = TooLargeError(f"{name} is too large: more than {max_bytes / 2**20:g} MiB")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise too_large
    end, chunks, size = time.monotonic() + timeout_seconds, [], 0
    while chunk := response.read1(_URL_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        if time.monotonic() > end:
            raise TimeoutError
    if length.isdecimal() and size < int(length[:20]):
        raise ImageError(f"{name}: the connection was closed after {size} of {length} bytes")
    if not size:
        raise ImageError(f"{name} is empty (0 bytes)")
    return b"".join(chunks)
