"""What a user names on a command line -> the files to read, in order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from ppocr_jax.errors import UserError
from ppocr_jax.images.sources import first_line, is_url, printable

_PICTURES = (
    "apng avif avifs bmp dib gif heic heif hif j2k jfif jp2 jpe jpeg jpf jpg jpx mpo pbm pgm png pnm ppm tif tiff webp"
)
SUFFIXES = frozenset(f".{suffix}" for suffix in f"{_PICTURES} pdf".split(" "))
"""Lower-case suffixes of the files that are taken from folders. A file that is named itself may have any."""

Input: TypeAlias = "Path | str"
"""A file; or one of the strings "-", standard input, and "http..."."""


def find_inputs(paths: Iterable[str | Path], *, recursive: bool = False, allow_url: bool = False) -> list[Input]:
    """The files that `paths` stand for.

    Of a folder, these are the files with a known suffix, hidden ones left out, sorted as people count: page2 before
    page10. Symbolic links are followed; a folder that is reached twice is read once. Patterns such as *.png are the
    shell's business.

    Args:
        paths: files, folders, "-" for standard input, and URLs.
        recursive: go into subfolders too.
        allow_url: accept URLs; nothing is fetched here.

    Returns:
        files and what stays a string, in the order of `paths`.

    Raises:
        UserError: a path does not exist, a folder holds no pictures or cannot be read, or a URL is not allowed.
    """
    found: list[Input] = []
    for path in paths:
        if path == "-":
            found.append("-")
        elif is_url(path):
            check_url_allowed(str(path), allow_url)
            found.append(str(path))
        else:
            found.extend(_files_of(Path(path), recursive))
    return found


def check_url_allowed(url: str, allow_url: bool) -> None:
    """Refuse a URL unless it was asked for.

    Raises:
        UserError: it was not.
    """
    if not allow_url:
        raise UserError(f"{printable(url)}: URLs are fetched only with --allow-url (allow_url=True)")


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts "page2" before "page10", and upper and lower case together."""
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
        raise UserError(f"{name} holds no pictures or PDF files{hint}")
    return files


def _walk(folder: Path, recursive: bool, seen: set[tuple[int, int]], subfolders: list[Path]) -> Iterator[Path]:
    """Files of a folder, then of its subfolders; the latter are noted in `subfolders` even if not entered."""
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
