"""Label files of PPOCRLabel and PaddleOCR: one image per line, `path<TAB>label`, UTF-8.

A detection label is a JSON list of `{"transcription": str, "points": [[x, y], ...]}`, with points clockwise from the
corner where reading starts. A recognition label is the text itself. Instead of one path there may be a JSON list of
paths of images with the same label: each becomes a record (PaddleOCR trains on a random one of them in every epoch).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from ppocr_jax.data.labels.bad_entries import BadEntries, decode_line, numbered_lines, warn_of_skipped
from ppocr_jax.data.labels.records import (
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Region,
    parse_points,
    parse_text,
    plain_numbers,
    text_region,
    written_text,
)

SomeRecord = TypeVar("SomeRecord", DetectionRecord, RecognitionRecord)


def read_detection_labels(
    path: str | os.PathLike[str], *, image_root: str | os.PathLike[str] | None = None, strict: bool = True
) -> list[DetectionRecord]:
    """Read a PPOCRLabel / PaddleOCR detection label file.

    Images without regions are kept, because they teach the detector the background (PaddleOCR's loader drops them).
    The images themselves are not opened.

    Args:
        path: The label file.
        image_root: Folder that the image paths are relative to. Default: the label file's folder, or its parent if the
            paths start with the folder's name, as PPOCRLabel writes them.
        strict: Raise at the first bad line. Otherwise skip it with a warning. The whole image is skipped, because an
            image that lost some of its regions would teach that text is background.

    Raises:
        LabelError: A bad line, when `strict`.
        OSError: The label file cannot be read.
    """
    return read_detection(Path(path), _as_path(image_root), BadEntries(strict=strict))


def read_recognition_labels(
    path: str | os.PathLike[str], *, image_root: str | os.PathLike[str] | None = None, strict: bool = True
) -> list[RecognitionRecord]:
    """Read a PaddleOCR recognition label file, `path<TAB>text` per line. Arguments as in `read_detection_labels`.

    The text is everything after the first tab, including spaces.

    Raises:
        LabelError: A line without a tab, a path or a text, when `strict`.
        OSError: The label file cannot be read.
    """
    return read_recognition(Path(path), _as_path(image_root), BadEntries(strict=strict))


def write_detection_labels(
    path: str | os.PathLike[str],
    records: Iterable[DetectionRecord],
    *,
    image_root: str | os.PathLike[str] | None = None,
) -> None:
    """Write records in the format that `read_detection_labels`, PPOCRLabel and PaddleOCR read.

    Image paths are written relative to `image_root` (default: the label file's folder). The text of an ignored
    region is written as `###`.

    Raises:
        LabelError: An image path contains a tab or a line break, or starts or ends with a space.
        OSError: The file cannot be written.
    """

    _write_lines(Path(path), records, _as_path(image_root), _regions_to_json)


def detection_line(record: DetectionRecord, folder: Path) -> str:
    """Return an image's line, including the line feed, of a label file in `folder`.

    Raises:
        LabelError: See `write_detection_labels`.
    """
    return f"{_relative(record.image_path, folder)}\t{_regions_to_json(record)}\n"


def write_recognition_labels(
    path: str | os.PathLike[str],
    records: Iterable[RecognitionRecord],
    *,
    image_root: str | os.PathLike[str] | None = None,
) -> None:
    """Write records in the format that `read_recognition_labels` and PaddleOCR read. Arguments as for detection.

    Raises:
        LabelError: A text is empty or has a line break, which the format does not support; or a path as for detection.
        OSError: The file cannot be written.
    """

    def label(record: RecognitionRecord) -> str:
        if "\n" in record.text or "\r" in record.text:
            raise LabelError(f"{record.image_path}: the text has a line break: {record.text!r}")
        if not record.text:
            raise LabelError(f"{record.image_path}: the text is empty")
        return record.text

    _write_lines(Path(path), records, _as_path(image_root), label)


def read_detection(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read like `read_detection_labels`, and add bad lines to `bad`."""

    def parse(images: list[Path], label: str) -> list[DetectionRecord]:
        regions = _parse_regions(label)
        return [DetectionRecord(image, regions) for image in images]

    return _read_lines(path, image_root, bad, parse)


def read_recognition(path: Path, image_root: Path | None, bad: BadEntries) -> list[RecognitionRecord]:
    """Read like `read_recognition_labels`, and add bad lines to `bad`."""

    def parse(images: list[Path], label: str) -> list[RecognitionRecord]:
        if not label:
            raise ValueError("the text is empty")
        return [RecognitionRecord(image, label) for image in images]

    return _read_lines(path, image_root, bad, parse)


def _as_path(path: str | os.PathLike[str] | None) -> Path | None:
    return None if path is None else Path(path)


def _read_lines(
    path: Path, image_root: Path | None, bad: BadEntries, parse: Callable[[list[Path], str], list[SomeRecord]]
) -> list[SomeRecord]:
    locate = _image_locator(path, image_root)
    records: list[SomeRecord] = []
    for number, raw in numbered_lines(path):
        with bad.guard(path, number):
            name, tab, label = decode_line(raw).partition("\t")
            if not tab:
                raise ValueError("no tab between image path and label")
            images = [locate(image) for image in _image_names(name.strip())]
            records += parse(images, label)
    warn_of_skipped(path, len(bad.found), len(records), unit="lines")
    return records


def _image_names(name: str) -> list[str]:
    """Return the image path, or the paths of a JSON list. A file may also be called `[1].jpg`."""
    if not name:
        raise ValueError("the image path is empty")
    if not name.startswith("["):
        return [name]
    try:
        names = json.loads(name)
    except json.JSONDecodeError:
        return [name]
    if not names or not all(isinstance(n, str) and n.strip() for n in names):
        raise ValueError(f"a list of images must contain paths, not {name}")
    return names


def _image_locator(label_path: Path, image_root: Path | None) -> Callable[[str], Path]:
    """Return a function from the name of an image in a label file to its path."""
    folder = label_path.parent
    prefix = f"{folder.resolve().name}/"
    above = folder.resolve().parent if folder.name in ("", "..") else folder.parent

    def locate(name: str) -> Path:
        if "\\" in name and not ((image_root or folder) / name).exists():
            name = name.replace("\\", "/")  # a path written on Windows
        if image_root is not None:
            return image_root / name
        # PPOCRLabel writes "folder/image.jpg" into folder/Label.txt.
        if name.startswith(prefix) and not (folder / name).exists():
            return above / name
        return folder / name

    return locate


def _parse_regions(label: str) -> tuple[Region, ...]:
    try:
        items = json.loads(label)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the label is not JSON ({error})") from error
    if not isinstance(items, list):
        raise ValueError(f"the label must be a JSON list of regions, not {type(items).__name__}")
    return tuple(_parse_region(item, index) for index, item in enumerate(items))


def _parse_region(item: Any, index: int) -> Region:
    if not isinstance(item, dict) or "transcription" not in item or "points" not in item:
        raise ValueError(f'region {index} needs "transcription" and "points"')
    text = parse_text(item["transcription"], f'region {index}: "transcription"')
    return text_region(parse_points(item["points"], f'region {index}: "points"'), text)


def _regions_to_json(record: DetectionRecord) -> str:
    entries = [{"transcription": written_text(r), "points": plain_numbers(r.points)} for r in record.regions]
    return json.dumps(entries, ensure_ascii=False)


def _write_lines(
    path: Path, records: Iterable[SomeRecord], image_root: Path | None, label: Callable[[SomeRecord], str]
) -> None:
    root = path.parent if image_root is None else image_root
    # Make all lines before opening the file, so that a record that cannot be written leaves an older file unchanged.
    lines = [f"{_relative(record.image_path, root)}\t{label(record)}\n" for record in records]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)


def _relative(image_path: Path, root: Path) -> str:
    name = Path(os.path.relpath(image_path, root)).as_posix()
    if name != name.strip() or not set(name).isdisjoint("\t\r\n"):
        raise LabelError(
            f"{name!r} cannot be written as a path: it contains a tab or line break, or starts or ends with a space"
        )
    # "./" keeps the name of a file that starts with "[" from being read as a list.
    return f"./{name}" if name.startswith("[") else name
