"""Which format labels are in, told from the first of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from ppocr_jax.data.labels import coco_text, curved, icdar
from ppocr_jax.data.labels.bad_entries import decode_line, numbered_lines
from ppocr_jax.data.labels.folders import label_files
from ppocr_jax.data.labels.json_members import JsonFile
from ppocr_jax.data.labels.lmdb import DATA_FILE, find_databases
from ppocr_jax.data.labels.records import LabelError

_LINES_LOOKED_AT = 20
_FILES_LOOKED_AT = 20

_LINE_PARSERS: dict[str, Callable[[str], Any]] = {
    "total-text": curved.parse_total_text_entry,
    "ctw1500": curved.parse_ctw_line,
    "icdar-mlt": icdar.parse_script_line,
    "icdar2015": icdar.parse_quad_line,
    "icdar2013": icdar.parse_box_line,
    "icdar-words": icdar.parse_word_line,
}
"""Stricter formats first: what is a line of theirs may be one of a later format's as well."""


def detect_format(path: Path) -> str:
    """Name of the format of a label file, of a folder of label files, or of databases.

    Raises:
        LabelError: The file is empty, or it cannot be told; the message says what to do.
        OSError: A file cannot be read.
    """
    found = _format_of_folder(path) if path.is_dir() else _format_of_file(path)
    if found is None:
        raise LabelError(f"{path}: cannot tell the format of these labels; name it (`format`; --format)")
    return found


def _format_of_folder(path: Path) -> str | None:
    if any(path.glob("*.xml")):
        return "ctw1500"
    files = label_files(path, ".txt")[:_FILES_LOOKED_AT] if any(path.glob("*.txt")) else []
    found = _format_of_lines([line for file in files for line in _head(file)])
    return "lmdb" if found is None and find_databases(path) else found


def _format_of_file(path: Path) -> str | None:
    if path.name == DATA_FILE:
        return "lmdb"
    if not any(numbered_lines(path)):
        raise LabelError(f"{path} is empty: it has no labels")
    lines = _head(path)
    if lines and lines[0].lstrip().startswith("{"):
        return _format_of_json(JsonFile(path))
    with_tab = [line for line in lines if "\t" in line]
    if 2 * len(with_tab) > len(lines):
        return _format_of_tab_lines(with_tab)
    return _format_of_lines(lines)


def _head(path: Path) -> list[str]:
    """The first lines that are UTF-8."""
    lines: list[str] = []
    for _, raw in islice(numbered_lines(path), _LINES_LOOKED_AT):
        try:
            lines.append(decode_line(raw))
        except ValueError:
            continue
    return lines


def _format_of_tab_lines(lines: list[str]) -> str:
    """Detection where most labels are lists of objects; a line's text may well be "[3]", and some may be damaged."""
    listed = [line.partition("\t")[2].strip() for line in lines]
    regions = [label for label in listed if label.startswith("[{") or label == "[]"]
    return "ppocr-det" if 2 * len(regions) > len(lines) else "ppocr-rec"


def _format_of_lines(lines: list[str]) -> str | None:
    """The format that most lines are in; the stricter of two that fit alike."""

    def fits(parse: Callable[[str], Any], line: str) -> bool:
        try:
            parse(line)
        except ValueError:
            return False
        return True

    counts = {name: sum(fits(parse, line) for line in lines) for name, parse in _LINE_PARSERS.items()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def _format_of_json(file: JsonFile) -> str | None:
    first, keys = None, set()
    for member in file.members():
        first = member.value if first is None else first
        keys.add(member.key)
    if not keys.isdisjoint(coco_text.PICTURES) and not keys.isdisjoint(coco_text.ANNOTATIONS):
        return "coco-text"
    if isinstance(first, dict) and "polygons" in first:
        return "doctr-det"
    return "doctr-rec" if isinstance(first, str) else None
