"""Registry of label formats: detection of the format, reading and writing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ppocr_jax.data.labels import coco_text, curved, doctr, icdar, lmdb, ppocr
from ppocr_jax.data.labels.bad_entries import BadEntries, BadEntry, decode_line, numbered_lines
from ppocr_jax.data.labels.folders import IMAGE_SUFFIXES, label_files
from ppocr_jax.data.labels.json_members import JsonFile
from ppocr_jax.data.labels.lmdb import DATA_FILE, find_databases
from ppocr_jax.data.labels.records import LabelError, Record

_LINES_LOOKED_AT = 20
_FILES_LOOKED_AT = 20
_NO_LABELS = frozenset({"fileState.txt"})  # PPOCRLabel's list of viewed images

_LINE_PARSERS: dict[str, Callable[[str], Any]] = {
    "total-text": curved.parse_total_text_entry,
    "ctw1500": curved.parse_ctw_line,
    "icdar-mlt": icdar.parse_script_line,
    "icdar2015": icdar.parse_quad_line,
    "icdar2013": icdar.parse_box_line,
    "icdar-words": icdar.parse_word_line,
}
"""Stricter formats first, because their lines may also be valid in a later format."""
logger = logging.getLogger("ppocr_jax")


def detect_format(path: Path) -> str:
    """Return the name of the format of a label file, of a folder of label files, or of databases.

    Raises:
        LabelError: The file is empty, or its format cannot be detected; the message says what to do.
        OSError: A file cannot be read.
    """
    path = labels_in(path)
    found = _format_of_folder(path) if path.is_dir() else _format_of_file(path)
    if found is None:
        raise LabelError(f"{path}: cannot detect the label format; set it (`format`; --format)")
    return found


def labels_in(path: Path) -> Path:
    """Return the label file in a folder, or the path itself if it is a file or a folder with one label file per image.

    The folder of a data set contains images and one file that names all of them, such as `label.txt` or
    `rec_label.txt`.

    Raises:
        LabelError: There are several such files, and one must be chosen.
        OSError: A file cannot be read.
    """
    if not path.is_dir():
        return path
    files = [file for file in sorted(path.glob("*.txt")) if file.is_file() and file.name not in _NO_LABELS]
    whole = [file for file in files[:_FILES_LOOKED_AT] if _names_images(_head(file))]
    if len(whole) > 1:
        raise LabelError(f"{path} contains several label files; choose one of {', '.join(file.name for file in whole)}")
    return whole[0] if whole else path


def _names_images(lines: list[str]) -> bool:
    """Return whether most lines consist of an image path, a tab and a label."""
    named = [Path(line.partition("\t")[0].strip()).suffix.lower() in IMAGE_SUFFIXES for line in lines if "\t" in line]
    return 2 * sum(named) > len(lines)


def _format_of_folder(path: Path) -> str | None:
    if any(path.glob("*.xml")):
        return "ctw1500"
    files = label_files(path, ".txt")[:_FILES_LOOKED_AT] if any(path.glob("*.txt")) else []
    lines = [line for file in files for line in _head(file)]
    if not lines and any(any(numbered_lines(file)) for file in files):
        raise LabelError(f"{path}: no line of its label files is UTF-8; save them as UTF-8")
    found = _format_of_lines(lines)
    return "lmdb" if found is None and find_databases(path) else found


def _format_of_file(path: Path) -> str | None:
    if path.name == DATA_FILE:
        return "lmdb"
    if not any(numbered_lines(path)):
        raise LabelError(f"{path} is empty")
    lines = _head(path)
    if not lines:
        raise LabelError(f"{path}: none of its first lines is UTF-8; save the file as UTF-8")
    if lines[0].lstrip().startswith("{"):
        return _format_of_json(JsonFile(path))
    with_tab = [line for line in lines if "\t" in line]
    if 2 * len(with_tab) > len(lines):
        return _format_of_tab_lines(with_tab)
    return _format_of_lines(lines)


def _head(path: Path) -> list[str]:
    """Return those of the first lines that are UTF-8."""
    lines: list[str] = []
    for _, raw in islice(numbered_lines(path), _LINES_LOOKED_AT):
        try:
            lines.append(decode_line(raw))
        except ValueError:
            continue
    return lines


def _format_of_tab_lines(lines: list[str]) -> str:
    """Return detection if most labels are lists of objects; a text may also be "[3]", and some labels be damaged."""
    listed = [line.partition("\t")[2].strip() for line in lines]
    regions = [label for label in listed if label.startswith("[{") or label == "[]"]
    return "ppocr-det" if 2 * len(regions) > len(lines) else "ppocr-rec"


def _format_of_lines(lines: list[str]) -> str | None:
    """Return the format of most lines; of two formats with equal counts, the stricter one."""

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
    if not keys.isdisjoint(coco_text.IMAGES) and not keys.isdisjoint(coco_text.ANNOTATIONS):
        return "coco-text"
    if isinstance(first, dict) and "polygons" in first:
        return "doctr-det"
    return "doctr-rec" if isinstance(first, str) else None


Task: TypeAlias = Literal["det", "rec"]


@dataclass(frozen=True)
class LabelFormat:
    """Format of label files.

    Attributes:
        task: "det" for images with regions, "rec" for images of lines.
        description: Short description.
        read: (path, image_root, bad) -> records.
        write: (path, records, image_root); None if the format can only be read.
    """

    task: Task
    description: str
    read: Callable[[Path, Path | None, BadEntries], list[Any]]
    write: Callable[[Path, Iterable[Any], Path | None], Any] | None = None


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels that were read.

    Attributes:
        path: The file, folder or database.
        format: Key of `FORMATS`.
        records: `DetectionRecord`s or `RecognitionRecord`s, depending on `task`.
        bad_entries: Entries that could not be used.
    """

    path: Path
    format: str
    records: tuple[Record, ...]
    bad_entries: tuple[BadEntry, ...] = ()

    @property
    def task(self) -> Task:
        """ "det" or "rec"."""
        return FORMATS[self.format].task


def _write_ppocr_det(path: Path, records: Iterable[Any], image_root: Path | None) -> None:
    ppocr.write_detection_labels(path, records, image_root=image_root)


def _write_ppocr_rec(path: Path, records: Iterable[Any], image_root: Path | None) -> None:
    ppocr.write_recognition_labels(path, records, image_root=image_root)


FORMATS: dict[str, LabelFormat] = {
    "ppocr-det": LabelFormat("det", "PPOCRLabel or PaddleOCR, regions", ppocr.read_detection, _write_ppocr_det),
    "ppocr-rec": LabelFormat("rec", "PaddleOCR, a line and its text", ppocr.read_recognition, _write_ppocr_rec),
    "icdar2013": LabelFormat("det", "ICDAR 2013 folder, upright boxes", icdar.read_2013),
    "icdar2015": LabelFormat("det", "ICDAR 2015 folder, quads", icdar.read_2015, icdar.write_2015),
    "icdar-mlt": LabelFormat("det", "ICDAR 2017/2019 folder, quads and scripts", icdar.read_multilingual),
    "icdar-words": LabelFormat("rec", "ICDAR cropped words", icdar.read_words),
    "total-text": LabelFormat("det", "Total-Text folder, polygons", curved.read_total_text),
    "ctw1500": LabelFormat("det", "SCUT-CTW1500 folder, polygons", curved.read_ctw1500),
    "coco-text": LabelFormat("det", "COCO-Text or TextOCR JSON", coco_text.read),
    "doctr-det": LabelFormat("det", "docTR JSON, polygons", doctr.read_detection, doctr.write_detection),
    "doctr-rec": LabelFormat("rec", "docTR JSON, texts", doctr.read_recognition, doctr.write_recognition),
    "lmdb": LabelFormat("rec", "LMDB databases of lines", lmdb.read, lmdb.write),
}
"""Name -> format."""


def read_labels(
    path: str | os.PathLike[str],
    format: str = "auto",
    *,
    image_root: str | os.PathLike[str] | None = None,
    strict: bool = True,
) -> LabelSet:
    """Read labels of any format. The images are not opened.

    Args:
        path: A label file, a folder that contains one or one per image, or an LMDB database (or a folder of databases).
        format: Key of `FORMATS`, or "auto" to detect it; the detected format is logged and returned in the result.
        image_root: Folder of the images; default: the usual place of the format.
        strict: Raise at the first bad entry. Otherwise skip it with a warning. In a detection set, its whole image is
            skipped, because an image that lost some of its regions would teach that text is background.

    Raises:
        LabelError: `path` is missing, empty, or not in that format; an unknown format; a bad entry, when `strict`.
        OSError: A file cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise LabelError(f"{path}: no such file or folder")
    if format in ("auto", "ppocr-det", "ppocr-rec"):
        path = labels_in(path)
    if format == "auto":
        format = detect_format(path)
        logger.info("%s: read as %s (%s)", path, format, FORMATS[format].description)
    bad = BadEntries(strict=strict)
    root = None if image_root is None else Path(image_root)
    records = _format(format).read(path, root, bad)
    return LabelSet(path, format, tuple(records), tuple(bad.found))


def write_labels(
    path: str | os.PathLike[str],
    records: Iterable[Record],
    format: str,
    *,
    image_root: str | os.PathLike[str] | None = None,
    copy_images: bool = False,
) -> None:
    """Write records of the format's task (detection or recognition), so that `read_labels` can read them.

    Args:
        path: The label file; for "icdar2015" and "lmdb", the folder.
        records: Records to write.
        format: Key of `FORMATS` whose format can be written.
        image_root: Folder that the image paths are relative to; default: the usual place of the format.
        copy_images: Copy the images, byte for byte, into the folder `images` next to the label file (for "icdar2015",
            in the folder), so that the data set is self-contained. Files that are there stay as they are. A database
            contains its images anyway.

    Raises:
        ImageError: An image to be copied is not in its database.
        LabelError: There is no such format, or it cannot store a record.
        ValueError: The format can only be read; `copy_images` together with `image_root`.
        OSError: A file cannot be read or written.
    """
    write, path = _format(format).write, Path(path)
    if write is None:
        writable = ", ".join(name for name, found in FORMATS.items() if found.write)
        raise ValueError(f"{format} labels cannot be written; choose from {writable}")
    if copy_images and image_root is not None:
        raise ValueError("copy_images copies into a new folder: omit image_root")
    if copy_images and format != "lmdb":
        records = _with_copies(records, (path if format == "icdar2015" else path.parent) / "images")
    write(path, records, None if image_root is None else Path(image_root))


def _with_copies(records: Iterable[Record], folder: Path) -> list[Record]:
    """Copy the images of records into a folder under unique names, and return the records of the copies."""
    copies: dict[Path, Path] = {}
    taken: set[str] = set()
    for record in (records := list(records)):
        source = record.image_path
        if source in copies:
            continue
        data = lmdb.image_bytes(source)
        # Images from a database have no suffix. All but PNG get .jpg, because readers look at the contents.
        suffix = source.suffix or (".png" if data.startswith(b"\x89PNG") else ".jpg")
        stem, number = source.stem, 1
        while stem in taken or _is_other(folder / f"{stem}{suffix}", data):
            number += 1
            stem = f"{source.stem}_{number}"
        taken.add(stem)
        folder.mkdir(parents=True, exist_ok=True)
        copies[source] = folder / f"{stem}{suffix}"
        if not copies[source].exists():
            copies[source].write_bytes(data)
    return [replace(record, image_path=copies[record.image_path]) for record in records]


def _is_other(path: Path, data: bytes) -> bool:
    """Return whether a file exists that has other contents."""
    return path.exists() and (path.stat().st_size != len(data) or path.read_bytes() != data)


def _format(name: str) -> LabelFormat:
    if name not in FORMATS:
        raise LabelError(f"no label format {name!r}; there are {', '.join(FORMATS)}")
    return FORMATS[name]
