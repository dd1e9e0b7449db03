"""Label folders of the curved-text sets, one file per image: Total-Text and SCUT-CTW1500.

Total-Text: `x: [[206 251 386 ...]], y: [[633 811 931 ...]], ornt: [u'c'], transcriptions: [u'TEXT']` in
`poly_gt_NAME.txt`, with long coordinate lists split over several lines; `#` as orientation or text means "do not care".

CTW1500, 14 corners: `x1,y1,...,x14,y14,####text` (test set, the text `###` means "do not care"); or 32 numbers, the
outline's box `left,top,right,bottom` and the corners relative to its top-left (first release, no texts); or XML with
the corners in <segs> and the text in <label> (training set).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ppocr_jax.data.labels.bad_entries import BadEntries, decode_line, numbered_lines
from ppocr_jax.data.labels.folders import image_stem, read_by_line, read_label_folder
from ppocr_jax.data.labels.records import (
    DetectionRecord,
    Region,
    ignore_region,
    parse_flat_points,
    parse_points,
    parse_text,
    text_region,
)

_TOTAL_TEXT = re.compile(
    r"x:\s*\[\[(?P<x>[^\]]*)\]\],\s*y:\s*\[\[(?P<y>[^\]]*)\]\](?:,\s*ornt:\s*\[(?P<orientation>.*?)\])?"
    r",\s*transcriptions:\s*(?P<texts>\[.*\])\s*"
)
_DO_NOT_CARE = "#"
_CTW_CORNERS = 14
_CTW_TEXT_MARK = "####"
_CTW_PADDED = re.compile(r"000(\d{4})")  # in the test set, the label file 0001001.txt belongs to 1001.jpg


def read_total_text(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read a folder of Total-Text's text files; see `folders.read_label_folder`."""
    return read_label_folder(path, image_root, bad, _read_total_text_file)


def read_ctw1500(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read a folder of CTW1500's text or XML files; see `folders.read_label_folder`."""
    if path.suffix == ".xml" or (path.is_dir() and any(path.glob("*.xml"))):
        return read_label_folder(path, image_root, bad, _read_ctw_xml, suffix=".xml")
    return read_label_folder(path, image_root, bad, read_by_line(parse_ctw_line), stem_of=_ctw_stem)


def parse_total_text_entry(entry: str) -> Region:
    """Return the region of an entry of Total-Text.

    Raises:
        ValueError: The entry is not in that format.
    """
    match = _TOTAL_TEXT.fullmatch(entry)
    if match is None:
        raise ValueError("not an entry like `x: [[...]], y: [[...]], ornt: [u'c'], transcriptions: [u'TEXT']`")
    x, y = ([float(v) for v in re.split(r"[\s,]+", match[axis].strip())] for axis in ("x", "y"))
    if len(x) != len(y):
        raise ValueError(f"{len(x)} x coordinates, but {len(y)} y coordinates")
    points = parse_points(list(zip(x, y, strict=True)), "the outline")
    text = _python_texts(match["texts"])
    if _DO_NOT_CARE in (text, (match["orientation"] or "").strip("u'\"")):
        return ignore_region(points)
    return text_region(points, text)


def parse_ctw_line(line: str) -> Region:
    """Return the region of a line of CTW1500's text files.

    Raises:
        ValueError: The line is not in that format.
    """
    numbers, mark, text = line.partition(f",{_CTW_TEXT_MARK}")
    values = [float(v) for v in numbers.split(",")]
    if not mark and len(values) == 4 + 2 * _CTW_CORNERS:
        absolute = [offset + values[i % 2] for i, offset in enumerate(values[4:])]
        return Region(parse_flat_points(absolute, "the outline"), "")
    if not mark or len(values) != 2 * _CTW_CORNERS:
        raise ValueError("neither 28 numbers and ####text nor 32 numbers")
    return text_region(parse_flat_points(values, "the outline"), text)


def _ctw_stem(label_path: Path) -> str:
    stem = image_stem(label_path)
    padded = _CTW_PADDED.fullmatch(stem)
    return padded[1] if padded else stem


def _read_total_text_file(path: Path, bad: BadEntries) -> list[Region]:
    regions: list[Region] = []
    for number, entry in _total_text_entries(path, bad):
        with bad.guard(path, number, skipped="image"):
            regions.append(parse_total_text_entry(entry))
    return regions


def _total_text_entries(path: Path, bad: BadEntries) -> Iterator[tuple[int, str]]:
    """Yield entries with their first line numbers; a line without "x:" at its start continues the previous entry."""
    start, parts = 0, list[str]()
    for number, raw in numbered_lines(path):
        line = ""
        with bad.guard(path, number, skipped="image"):
            line = decode_line(raw).strip()
        if line.startswith("x:") and parts:
            yield start, " ".join(parts)
            parts = []
        start = start if parts else number
        parts.append(line)
    if parts:
        yield start, " ".join(parts)


def _python_texts(literal: str) -> str:
    """Return the texts of a list such as [u'TEXT'], joined by spaces; an empty list means "do not care"."""
    try:
        texts = ast.literal_eval(literal)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"the transcriptions {literal} are not a list of strings") from error
    return " ".join(parse_text(text, "a transcription") for text in texts) if texts else _DO_NOT_CARE


def _read_ctw_xml(path: Path, bad: BadEntries) -> list[Region]:
    regions: list[Region] = []
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        bad.add(path, error.position[0], f"not XML ({error})", skipped="image")
        return []
    for index, box in enumerate(root.iter("box")):
        with bad.guard(path, None, skipped="image"):
            name = f"box {index}"
            corners = [float(v) for v in (box.findtext("segs") or "").split(",") if v.strip()]
            regions.append(text_region(parse_flat_points(corners, name), box.findtext("label") or ""))
    return regions
