"""Label files in the style of COCO-Text: one JSON object with images and annotations that refer to them.

`imgs` (or `images`) and `anns` (or `annotations`) are objects with ids as keys, or arrays. An image has `id`,
`file_name` and optionally `set`. An annotation has `image_id`, an outline (`mask`, `polygon`, `points` or
`segmentation`) or else a `bbox` (left, top, width, height), and `utf8_string`. Text is ignored if `legibility` is
"illegible" or if `utf8_string` is "." (TextOCR's mark for illegible text).
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from ppocr_jax.data.labels.bad_entries import BadEntries, warn_of_skipped
from ppocr_jax.data.labels.json_members import JsonFile, Member
from ppocr_jax.data.labels.records import (
    DetectionRecord,
    LabelError,
    Region,
    box_points,
    ignore_region,
    parse_flat_points,
    parse_text,
    text_region,
)

IMAGES = ("imgs", "images")
ANNOTATIONS = ("anns", "annotations")
_OUTLINES = ("mask", "polygon", "points", "segmentation")
_ILLEGIBLE_TEXT = "."


def read_coco_text_labels(
    path: str | os.PathLike[str],
    *,
    image_root: str | os.PathLike[str] | None = None,
    subset: str | None = None,
    strict: bool = True,
) -> list[DetectionRecord]:
    """Read one subset of a COCO-Text file.

    Args:
        path: The JSON file.
        image_root: Folder of the images; default: the JSON file's folder.
        subset: Value of the images' `set` ("train", "val", "test"); default: all images.
        strict: Raise at the first bad annotation. Otherwise leave out its image with a warning.

    Raises:
        LabelError: The file is not in this format; a bad annotation, when `strict`.
        OSError: The file cannot be read.
    """
    root = None if image_root is None else Path(image_root)
    return read(Path(path), root, BadEntries(strict=strict), subset=subset)


def read(path: Path, image_root: Path | None, bad: BadEntries, *, subset: str | None = None) -> list[DetectionRecord]:
    """Read like `read_coco_text_labels`, and add bad annotations to `bad`."""
    file = JsonFile(path)
    sections = {member.key: member for member in file.members()}
    images = _images(file, _section(file, sections, IMAGES), bad)
    wanted = {key for key, image in images.items() if subset is None or image.get("set") == subset}
    regions: defaultdict[str, list[Region]] = defaultdict(list)
    spoiled: set[str] = set()
    for member in file.members(_section(file, sections, ANNOTATIONS).start):
        key = str(member.value.get("image_id")) if isinstance(member.value, dict) else ""
        if key in images and key not in wanted:
            continue
        before = len(bad.found)
        with bad.guard(path, member.line, skipped="image"):
            if key not in images:
                raise ValueError(f"annotation {member.key} refers to no image of this file")
            regions[key].append(_region(member))
        if len(bad.found) > before:
            spoiled.add(key)
    root = path.parent if image_root is None else image_root
    kept = wanted - spoiled
    records = [DetectionRecord(root / images[k]["file_name"], tuple(regions[k])) for k in images if k in kept]
    warn_of_skipped(path, len(wanted) - len(records), len(records), unit="images")
    return records


def _section(file: JsonFile, sections: dict[str, Member], names: tuple[str, ...]) -> Member:
    for name in names:
        if name in sections:
            return sections[name]
    raise LabelError(f"{file.path}: not a COCO-Text file: it has neither {' nor '.join(map(repr, names))}")


def _images(file: JsonFile, section: Member, bad: BadEntries) -> dict[str, dict[str, Any]]:
    """Return the images by id."""
    images: dict[str, dict[str, Any]] = {}
    for member in file.members(section.start):
        with bad.guard(file.path, member.line, skipped="image"):
            image = member.value
            if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
                raise ValueError(f'image {member.key} needs "file_name"')
            if images.setdefault(str(image.get("id", member.key)), image) is not image:
                raise ValueError(f"image {member.key} has the id of another one")
    return images


def _region(member: Member) -> Region:
    annotation, name = member.value, f"annotation {member.key}"
    points = _outline(annotation, name)
    text = annotation.get("utf8_string")
    if annotation.get("legibility") == "illegible" or text == _ILLEGIBLE_TEXT:
        return ignore_region(points)
    return text_region(points, parse_text(text or "", f'{name}: "utf8_string"'))


def _outline(annotation: dict[str, Any], name: str) -> np.ndarray:
    for key in _OUTLINES:
        values = annotation.get(key)
        if not values:
            continue
        if key == "segmentation":  # is a list of outlines
            if not isinstance(values, list) or len(values) != 1:
                raise ValueError(f'{name}: "segmentation" must be a list of one outline')
            values = values[0]
        if not isinstance(values, list):
            raise ValueError(f'{name}: "{key}" must be a list of numbers')
        return parse_flat_points(values, f'{name}: "{key}"')
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
        raise ValueError(f'{name} needs one of {", ".join(_OUTLINES)}, or "bbox": [left, top, width, height]')
    left, top, width, height = box
    return box_points(left, top, left + width, top + height)
