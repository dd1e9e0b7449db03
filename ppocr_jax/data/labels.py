"""Label files of PPOCRLabel and PaddleOCR: one picture per line, `path<TAB>label`, UTF-8.

Detection labels are a JSON list of `{"transcription": str, "points": [[x, y], ...]}`, points clockwise from the corner
where reading starts. Recognition labels are the text itself.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.errors import UserError

logger = logging.getLogger("ppocr_jax")

IGNORE_TEXTS = ("###", "*")
"""Transcriptions of regions that are neither text nor background: left out of the loss and of scoring."""

Record = TypeVar("Record")


class LabelError(UserError, ValueError):
    """A label line that cannot be used; the message names file, line and what is wrong."""


@dataclass(frozen=True, eq=False)
class Region:
    """One labelled region.

    Attributes:
        points: (n, 2) float32, n >= 4, (x, y) in pixels of the upright picture, clockwise.
        text: Transcription; empty where the text is not known (such a region still counts for detection).
        ignore: Illegible or "do not care".
    """

    points: np.ndarray
    text: str
    ignore: bool = False


@dataclass(frozen=True, eq=False)
class DetectionRecord:
    """A picture and its regions; none for a picture without text."""

    image_path: Path
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class RecognitionRecord:
    """A picture of one text line and its text."""

    image_path: Path
    text: str


def read_detection_labels(
    path: str | os.PathLike[str], *, image_root: str | os.PathLike[str] | None = None, strict: bool = True
) -> list[DetectionRecord]:
    """Read a PPOCRLabel / PaddleOCR detection label file.

    Pictures without regions are kept: they teach the detector what is not text (PaddleOCR's loader drops them).
    The pictures themselves are not opened.

    Args:
        path: The label file.
        image_root: Folder the picture paths are relative to. Default: the label file's folder, or its parent where
            the paths repeat the folder's name, as PPOCRLabel writes them.
        strict: Raise at the first bad line. Otherwise skip it with a warning; the whole picture is skipped, because
            one that lost some of its regions would teach that text is background.

    Raises:
        LabelError: A bad line, when `strict`.
        OSError: The label file cannot be read.
    """

    def parse(image_path: Path, label: str) -> DetectionRecord:
        return DetectionRecord(image_path, _parse_regions(label))

    return _read_lines(path, image_root, strict, parse)


def read_recognition_labels(
    path: str | os.PathLike[str], *, image_root: str | os.PathLike[str] | None = None, strict: bool = True
) -> list[RecognitionRecord]:
    """Read a PaddleOCR recognition label file, `path<TAB>text` per line. Arguments as `read_detection_labels`.

    The text is everything after the first tab, spaces included.

    Raises:
        LabelError: A line without a tab, a path or a text, when `strict`.
        OSError: The label file cannot be read.
    """

    def parse(image_path: Path, label: str) -> RecognitionRecord:
        if not label:
            raise ValueError("the text is empty")
        return RecognitionRecord(image_path, label)

    return _read_lines(path, image_root, strict, parse)


def write_detection_labels(
    path: str | os.PathLike[str],
    records: Iterable[DetectionRecord],
    *,
    image_root: str | os.PathLike[str] | None = None,
) -> None:
    """Write records in the form that `read_detection_labels`, PPOCRLabel and PaddleOCR read.

    Picture paths are written relative to `image_root` (default: the label file's folder).
    """
    root = Path(image_root) if image_root is not None else Path(path).parent
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            regions = json.dumps([_region_to_json(region) for region in record.regions], ensure_ascii=False)
            file.write(f"{_relative(record.image_path, root)}\t{regions}\n")


def write_recognition_labels(
    path: str | os.PathLike[str],
    records: Iterable[RecognitionRecord],
    *,
    image_root: str | os.PathLike[str] | None = None,
) -> None:
    """Write records in the form that `read_recognition_labels` and PaddleOCR read. Arguments as for detection.

    Raises:
        LabelError: A text with a line break, which the format cannot hold.
    """
    root = Path(image_root) if image_root is not None else Path(path).parent
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            if "\n" in record.text or "\r" in record.text:
                raise LabelError(f"{record.image_path}: the text has a line break: {record.text!r}")
            file.write(f"{_relative(record.image_path, root)}\t{record.text}\n")


def _read_lines(
    path: str | os.PathLike[str],
    image_root: str | os.PathLike[str] | None,
    strict: bool,
    parse: Callable[[Path, str], Record],
) -> list[Record]:
    path = Path(path)
    records: list[Record] = []
    skipped = 0
    # Iterating over the file splits at line feeds only; str.splitlines would also split at U+2028 inside a text.
    with path.open(encoding="utf-8-sig") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.rstrip("\r\n")
            if not line.strip():
                continue
            try:
                name, label = _split(line)
                records.append(parse(_image_path(path, image_root, name), label))
            except ValueError as error:
                message = f"{path}:{number}: {error}"
                if strict:
                    raise LabelError(message) from error
                logger.warning("%s; line skipped", message)
                skipped += 1
    if skipped:
        logger.warning("%s: %d of %d lines skipped", path, skipped, skipped + len(records))
    return records


def _split(line: str) -> tuple[str, str]:
    name, tab, label = line.partition("\t")
    if not tab:
        raise ValueError("no tab between the picture's path and its label")
    if not name.strip():
        raise ValueError("the picture's path is empty")
    return name.strip(), label


def _image_path(label_path: Path, image_root: str | os.PathLike[str] | None, name: str) -> Path:
    if image_root is not None:
        return Path(image_root) / name
    folder = label_path.parent
    direct = folder / name
    # PPOCRLabel writes "folder/picture.jpg" into folder/Label.txt.
    if Path(name).parts[0] == folder.resolve().name and not direct.exists():
        return folder.parent / name
    return direct


def _parse_regions(label: str) -> tuple[Region, ...]:
    try:
        items = json.loads(label)
    except json.JSONDecodeError as error:
        raise ValueError(f"the label is not JSON ({error})") from error
    if not isinstance(items, list):
        raise ValueError(f"the label must be a JSON list of regions, not {type(items).__name__}")
    return tuple(_parse_region(item, index) for index, item in enumerate(items))


def _parse_region(item: Any, index: int) -> Region:
    if not isinstance(item, dict) or "transcription" not in item or "points" not in item:
        raise ValueError(f'region {index} needs "transcription" and "points"')
    text = item["transcription"]
    if not isinstance(text, str):
        raise ValueError(f'region {index}: "transcription" must be a string, not {text!r}')
    return Region(_parse_points(item["points"], index), text, text in IGNORE_TEXTS)


def _parse_points(values: Any, index: int) -> np.ndarray:
    try:
        points = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f'region {index}: "points" must be a list of [x, y] numbers') from error
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4:
        raise ValueError(f'region {index}: "points" must be 4 or more [x, y] pairs, not {values!r}')
    if not np.isfinite(points).all():
        raise ValueError(f'region {index}: "points" must be finite, not {values!r}')
    return points


def _region_to_json(region: Region) -> dict[str, Any]:
    text = IGNORE_TEXTS[0] if region.ignore and region.text not in IGNORE_TEXTS else region.text
    return {"transcription": text, "points": _plain_numbers(region.points)}


def _plain_numbers(points: np.ndarray) -> list[Sequence[float]]:
    """Whole numbers as integers, which PPOCRLabel writes and some readers expect."""
    return [[int(v) if v == int(v) else round(v, 3) for v in pair] for pair in np.asarray(points, float).tolist()]


def _relative(image_path: Path, root: Path) -> str:
    return Path(os.path.relpath(image_path, root)).as_posix()
