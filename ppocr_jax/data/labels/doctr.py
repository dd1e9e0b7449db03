"""Label files of docTR: one JSON object, image name -> label, with the images in `images/` next to it.

Detection: `{"1.jpg": {"img_dimensions": [height, width], "img_hash": ..., "polygons": [[[x, y], ...], ...]}}`, in
pixels, or `"polygons": {"class": [...]}`. Recognition: `{"1.jpg": "text"}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.data.labels.bad_entries import BadEntries, warn_of_skipped
from ppocr_jax.data.labels.json_members import JsonFile
from ppocr_jax.data.labels.records import (
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Region,
    parse_points,
    parse_text,
    plain_numbers,
)
from ppocr_jax.geometry import is_valid_polygon, order_corners_by_x, signed_area

SomeRecord = TypeVar("SomeRecord", DetectionRecord, RecognitionRecord)


def read_detection(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read detection labels, which have no texts.

    The order of a quad's corners has no meaning in docTR's files, so quads that do not run clockwise are reordered.
    If the polygons are grouped by class, all classes count as text.
    """

    def parse(image: Path, label: Any) -> DetectionRecord:
        return DetectionRecord(image, tuple(Region(_in_order(points), "") for points in _polygons(label)))

    return _read(path, image_root, bad, parse)


def read_recognition(path: Path, image_root: Path | None, bad: BadEntries) -> list[RecognitionRecord]:
    """Read recognition labels."""

    def parse(image: Path, label: Any) -> RecognitionRecord:
        if not parse_text(label, "the text"):
            raise ValueError("the text is empty")
        return RecognitionRecord(image, label)

    return _read(path, image_root, bad, parse)


def write_detection(path: Path, records: Iterable[DetectionRecord], image_root: Path | None) -> None:
    """Write detection labels with the part that docTR reads: the outlines. The format has no texts.

    Raises:
        LabelError: A region is ignored, which the format cannot express, or two images have one name.
        OSError: The file cannot be written.
    """

    def label(record: DetectionRecord) -> Any:
        if any(region.ignore for region in record.regions):
            raise LabelError(
                f"{record.image_path}: has ignored regions, which docTR's format does not support; leave this image out"
            )
        return {"polygons": [plain_numbers(region.points) for region in record.regions]}

    _write(path, records, image_root, label)


def write_recognition(path: Path, records: Iterable[RecognitionRecord], image_root: Path | None) -> None:
    """Write recognition labels.

    Raises:
        LabelError: Two images have one name.
        OSError: The file cannot be written.
    """
    _write(path, records, image_root, lambda record: record.text)


def _read(
    path: Path, image_root: Path | None, bad: BadEntries, parse: Callable[[Path, Any], SomeRecord]
) -> list[SomeRecord]:
    root = _image_folder(path, image_root)
    records: list[SomeRecord] = []
    seen: set[str] = set()
    for member in JsonFile(path).members():
        with bad.guard(path, member.line, skipped="image"):
            if not member.key:
                raise ValueError("the image name is empty")
            if member.key in seen:
                raise ValueError(f"{member.key} is labeled twice, and docTR would use the last label")
            seen.add(member.key)
            records.append(parse(root / member.key, member.value))
    warn_of_skipped(path, len(bad.found), len(records), unit="images")
    return records


def _polygons(label: Any) -> list[np.ndarray]:
    if not isinstance(label, dict) or "polygons" not in label:
        raise ValueError('the label needs "polygons"')
    groups = label["polygons"]
    groups = groups.values() if isinstance(groups, dict) else [groups]
    if not all(isinstance(group, list) for group in groups):
        raise ValueError('"polygons" must be a list, or lists by class')
    found = [values for group in groups for values in group]
    return [parse_points(values, f"polygon {index}") for index, values in enumerate(found)]


def _in_order(points: np.ndarray) -> np.ndarray:
    sound = is_valid_polygon(points) and signed_area(points) > 0
    return points if sound or len(points) != 4 else order_corners_by_x(points)


def _image_folder(path: Path, image_root: Path | None) -> Path:
    if image_root is not None:
        return image_root
    images = path.parent / "images"
    return images if images.is_dir() else path.parent


def _write(
    path: Path, records: Iterable[SomeRecord], image_root: Path | None, label: Callable[[SomeRecord], Any]
) -> None:
    root = _image_folder(path, image_root)
    labels: dict[str, Any] = {}
    for record in records:
        name = Path(os.path.relpath(record.image_path, root)).as_posix()
        if name in labels:
            raise LabelError(f"{record.image_path}: the image occurs twice, but the format has one label per image")
        labels[name] = label(record)
    path.write_text(json.dumps(labels, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
