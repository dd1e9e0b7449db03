"""Label files of the ICDAR Robust Reading competitions.

* 2013, focused scene text: `left, top, right, bottom, "text"`; the training set has spaces instead of commas.
* 2015, incidental scene text: `x1,y1,x2,y2,x3,y3,x4,y4,text`, clockwise from the corner where reading starts; the text
  is everything after the eighth comma, including commas.
* 2017 and 2019, multi-lingual: as 2015, with the name of the script before the text.

There is one file `gt_NAME.txt` per image `NAME.*`. Cropped words share one file with lines `NAME.png, "text"`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ppocr_jax.data.labels.bad_entries import BadEntries, decode_line, numbered_lines, warn_of_skipped
from ppocr_jax.data.labels.folders import find_images, read_by_line, read_label_folder
from ppocr_jax.data.labels.records import (
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Region,
    box_points,
    parse_flat_points,
    plain_numbers,
    text_region,
    written_text,
)

SCRIPTS = frozenset({"Arabic", "Bangla", "Chinese", "Hindi", "Japanese", "Korean", "Latin", "Mixed", "None", "Symbols"})
"""Script names in the multi-lingual sets."""

_NUMBER = r"([-+]?\d+(?:\.\d*)?)"
_BOX_LINE = re.compile(r"\s*" + r"(?:\s*,\s*|\s+)".join([_NUMBER] * 4) + r'[\s,]+"(.*)"\s*')
_WORD_LINE = re.compile(r'\s*([^,]+?)\s*,\s*"(.*)"\s*')
_ESCAPED = re.compile(r'\\(["\\])')


def parse_box_line(line: str) -> Region:
    """Return a region from a line of the 2013 format.

    Raises:
        ValueError: The line is not in that format.
    """
    match = _BOX_LINE.fullmatch(line)
    if match is None:
        raise ValueError('not a line like `left, top, right, bottom, "text"`')
    return text_region(box_points(*map(float, match.groups()[:4])), _unescape(match[5]))


def parse_quad_line(line: str) -> Region:
    """Return a region from a line of the 2015 format.

    Raises:
        ValueError: The line is not in that format.
    """
    *numbers, text = _split(line, 8)
    return text_region(parse_flat_points(_floats(numbers), "the quad"), text)


def parse_script_line(line: str) -> Region:
    """Return a region from a line of the multi-lingual format; the name of the script is dropped.

    Raises:
        ValueError: The line is not in that format.
    """
    *numbers, script, text = _split(line, 9)
    if script.strip() not in SCRIPTS:
        raise ValueError(f"{script!r} is none of the scripts {', '.join(sorted(SCRIPTS))}")
    return text_region(parse_flat_points(_floats(numbers), "the quad"), text)


def read_2013(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read a folder of the 2013 format; see `folders.read_label_folder`."""
    return read_label_folder(path, image_root, bad, read_by_line(parse_box_line))


def read_2015(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read a folder of the 2015 format; see `folders.read_label_folder`."""
    return read_label_folder(path, image_root, bad, read_by_line(parse_quad_line))


def read_multilingual(path: Path, image_root: Path | None, bad: BadEntries) -> list[DetectionRecord]:
    """Read a folder of the multi-lingual format; see `folders.read_label_folder`."""
    return read_label_folder(path, image_root, bad, read_by_line(parse_script_line))


def read_words(path: Path, image_root: Path | None, bad: BadEntries) -> list[RecognitionRecord]:
    """Read the label file of cropped words; the images are searched like those of a label folder."""
    found: list[tuple[str, str]] = []
    for number, raw in numbered_lines(path):
        with bad.guard(path, number):
            found.append(parse_word_line(decode_line(raw)))
    warn_of_skipped(path, len(bad.found), len(found), unit="lines")
    images = find_images(path.parent, (Path(name).stem for name, _ in found), image_root)
    return [RecognitionRecord(images.folder / name, text) for name, text in found]


def parse_word_line(line: str) -> tuple[str, str]:
    """Return the image name and the text of a cropped word.

    Raises:
        ValueError: The line is not in that format, or the text is empty.
    """
    match = _WORD_LINE.fullmatch(line)
    if match is None:
        raise ValueError('not a line like `word_1.png, "text"`')
    if not match[2]:
        raise ValueError("the text is empty")
    return match[1], _unescape(match[2])


def write_2015(path: Path, records: Iterable[DetectionRecord], image_root: Path | None) -> None:
    """Write one file `gt_NAME.txt` per image into the folder `path`; the images are not copied.

    Raises:
        LabelError: A region is not a quad, a text has a line break, two images have one name, or the folder contains
            label files of other images.
        OSError: A file cannot be written.
    """
    del image_root  # the files contain no paths
    files: dict[Path, str] = {}
    for record in records:
        file = path / f"gt_{record.image_path.stem}.txt"
        if file in files:
            raise LabelError(
                f"{record.image_path}: there is another image of this name, but {file.name} can label only one"
            )
        files[file] = "".join(_quad_line(record.image_path, region) for region in record.regions)
    path.mkdir(parents=True, exist_ok=True)
    others = sorted(set(path.glob("gt_*.txt")) - files.keys())
    if others:
        raise LabelError(
            f"{path} contains label files of other images, such as {others[0].name}; choose an empty folder"
        )
    for file, lines in files.items():
        file.write_text(lines, encoding="utf-8", newline="\n")


def _split(line: str, commas: int) -> list[str]:
    fields = line.split(",", commas)
    if len(fields) <= commas:
        raise ValueError(f"the line has {len(fields) - 1} commas, where at least {commas} are expected")
    return fields


def _floats(fields: Iterable[str]) -> list[float]:
    return [float(field) for field in fields]


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _quad_line(image_path: Path, region: Region) -> str:
    if len(region.points) != 4:
        raise LabelError(f"{image_path}: {region.text!r} has {len(region.points)} corners; this format holds quads")
    text = written_text(region)
    if not set(text).isdisjoint("\r\n"):
        raise LabelError(f"{image_path}: the text has a line break: {text!r}")
    numbers = ",".join(str(v) for point in plain_numbers(region.points) for v in point)
    return f"{numbers},{text}\n"
