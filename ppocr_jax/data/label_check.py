"""Check of labels before training: texts, outlines and images."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.images import has_image, load_record_image
from ppocr_jax.data.labels import DetectionRecord, LabelSet, RecognitionRecord, Record
from ppocr_jax.geometry import bounding_box, convex_hull, is_valid_polygon, polygon_area, signed_area
from ppocr_jax.images import ImageError

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

_MIN_SIDE = 1.0
_SLACK = 1.0  # pixels that an outline may exceed its image by: rounding, or corners given as pixel edges
# Problems that make a recognizer skip a line, see `data.crops`; lines with other problems are used in training.
_LEFT_OUT = frozenset({"degenerate", "unknown-characters", "too-long"})
_IMAGES_AT_ONCE = 256


def outline_problems(points: np.ndarray, size: Size | None) -> list[str]:
    """Return the kinds of problems of an outline (n, 2), n >= 4.

    Args:
        points: In pixels.
        size: (height, width) of the image; None if unknown.
    """
    shape, place = _shape_problem(points), None if size is None else _place_problem(points, size)
    return [kind for kind in (shape, place) if kind is not None]


def _shape_problem(points: np.ndarray) -> str | None:
    if polygon_area(convex_hull(points)) < _MIN_SIDE or _is_thin(points):
        return "degenerate"
    if not is_valid_polygon(points):
        return "self-intersecting"
    if signed_area(points) < 0:
        return "counter-clockwise"
    return "rotated" if len(points) == 4 and _is_rotated(points) else None


def _is_thin(points: np.ndarray) -> bool:
    """Return whether no crop at least one pixel wide and high can be cut along a quad."""
    sides = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)
    return len(points) == 4 and min(max(sides[0], sides[2]), max(sides[1], sides[3])) < _MIN_SIDE


def _is_rotated(quad: np.ndarray) -> bool:
    """Return whether a quad's text, by the order of its corners, runs more than 45 degrees off the horizontal."""
    x, y = (quad[1] - quad[0]) + (quad[2] - quad[3])
    return bool(x < abs(y))


def _place_problem(points: np.ndarray, size: Size) -> str | None:
    height, width = size
    left, top, right, bottom = bounding_box(points)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "outside"
    inside = min(left, top) >= -_SLACK and right <= width + _SLACK and bottom <= height + _SLACK
    return None if inside else "partly-outside"


Severity: TypeAlias = Literal["error", "warning", "note"]

PROBLEMS: Mapping[str, tuple[Severity, str]] = {
    "bad-entry": ("error", "entries that cannot be used"),
    "missing-image": ("error", "missing images"),
    "unreadable-image": ("error", "images that cannot be read"),
    "contradiction": ("error", "images listed again with a different label"),
    "empty-text": ("error", "lines without text"),
    "degenerate": ("error", "regions thinner than a pixel"),
    "self-intersecting": ("error", "regions whose outline crosses itself"),
    "counter-clockwise": ("error", "regions that run counter-clockwise, so that crops are mirrored"),
    "outside": ("error", "regions that are outside of their image"),
    "partly-outside": ("warning", "regions that extend beyond their image"),
    "duplicate": ("warning", "images listed again with the same label"),
    "unknown-characters": ("warning", "texts with characters outside the charset, which training skips"),
    "too-long": ("warning", "texts that are too long to train on"),
    "decomposed": ("warning", "texts with accents as characters of their own (not Unicode NFC)"),
    "rotated": ("note", "quads that do not start at their top-left corner: rotated text, or corners in another order"),
}
"""Kind of problem -> severity and description. Errors spoil training or make it skip data; warnings cost some of the
data; a note is correct for rotated text and wrong for upright text."""


@dataclass(frozen=True)
class LabelProblem:
    """One problem of the labels.

    Attributes:
        kind: Key of `PROBLEMS`.
        where: Image and region, or the line of the label file.
        detail: Details that the kind does not tell.
        record: Index of the record; None if the problem belongs to no record.
    """

    kind: str
    where: str
    detail: str = ""
    record: int | None = None

    @property
    def severity(self) -> Severity:
        """Severity of the problem's kind."""
        return PROBLEMS[self.kind][0]

    def __str__(self) -> str:
        return f"{self.where}: {self.detail}" if self.detail else self.where


@dataclass(frozen=True, eq=False)
class LabelReport:
    """Result of `check_labels`.

    Attributes:
        images: Number of images; those listed twice count twice.
        regions: Number of regions, or of lines for recognition labels.
        ignored: Number of regions marked as "do not care".
        empty: Number of regions that are neither ignored nor transcribed.
        texts: Number of regions with a text that are not ignored.
        trainable: Number of these texts that a recognizer can be trained on.
        characters: Characters of the texts that are not ignored, with counts.
        unknown: Those of these characters that are outside the charset.
        problems: In the order of the labels; problems of reading come first.
    """

    images: int
    regions: int
    ignored: int
    empty: int
    texts: int = 0
    trainable: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    problems: tuple[LabelProblem, ...] = ()

    def of_kind(self, kind: str) -> list[LabelProblem]:
        """Return all problems of one kind."""
        return [problem for problem in self.problems if problem.kind == kind]

    def count(self, severity: Severity) -> int:
        """Return the number of problems of one severity."""
        return sum(problem.severity == severity for problem in self.problems)


def check_labels(labels: LabelSet, charset: Charset, *, max_length: int = 25, workers: int = 4) -> LabelReport:
    """Check labels for all kinds of `PROBLEMS`; every image is decoded.

    Args:
        labels: Read with `strict=False`, so that bad entries are reported and not raised.
        charset: Characters that texts may contain.
        max_length: Longest text in characters; PP-OCRv2 trains on up to 25.
        workers: Threads that decode images.

    Raises:
        LabelError: A database cannot be opened.
    """
    problems = [LabelProblem("bad-entry", str(entry)) for entry in labels.bad_entries]
    problems += _listed_twice(labels.records)
    trainable = 0
    for index, (record, size) in enumerate(_with_sizes(labels.records, workers)):
        found = [*_image_problems(record.image_path, size), *_record_problems(record, size, charset, max_length)]
        problems += [LabelProblem(kind, where, detail, index) for kind, where, detail in found]
        if not isinstance(size, ImageError):
            left_out = {where for kind, where, _ in found if kind in _LEFT_OUT}
            trainable += sum(bool(text.strip()) and where not in left_out for where, text in _named_texts(record))
    texts = [charset.fold(text) for record in labels.records for _, text in _named_texts(record)]
    characters = Counter("".join(texts))
    regions = [region for record in labels.records if isinstance(record, DetectionRecord) for region in record.regions]
    return LabelReport(
        images=len(labels.records),
        regions=len(regions) if labels.task == "det" else len(labels.records),
        ignored=sum(region.ignore for region in regions),
        empty=sum(not text.strip() for text in texts),
        texts=sum(bool(text.strip()) for text in texts),
        trainable=trainable,
        characters=characters,
        unknown=Counter({c: n for c, n in characters.items() if c not in charset}),
        problems=tuple(problems),
    )


def _listed_twice(records: Sequence[Record]) -> Iterator[LabelProblem]:
    seen: dict[Path, int] = {}
    for index, record in enumerate(records):
        label, path = _label_hash(record), record.image_path
        if path in seen:
            yield LabelProblem("duplicate" if seen[path] == label else "contradiction", str(path), record=index)
        seen.setdefault(path, label)


def _label_hash(record: Record) -> int:
    if isinstance(record, RecognitionRecord):
        return hash(record.text)
    return hash(tuple((region.text, region.ignore, region.points.tobytes()) for region in record.regions))


def _with_sizes(records: Iterable[Record], workers: int) -> Iterator[tuple[Record, Size | ImageError]]:
    """Yield each record with the size of its image, or with the error of reading it."""
    rest = iter(records)
    with ThreadPoolExecutor(workers) as pool:
        while chunk := list(islice(rest, _IMAGES_AT_ONCE)):
            sizes = pool.map(_image_size, [record.image_path for record in chunk])
            yield from zip(chunk, sizes, strict=True)


def _image_size(path: Path) -> Size | ImageError:
    try:
        height, width = load_record_image(path).shape[:2]
    except ImageError as error:
        return error
    return height, width


_Found: TypeAlias = tuple[str, str, str]
"""Kind, where, and detail of a problem."""


def _image_problems(path: Path, size: Size | ImageError) -> Iterator[_Found]:
    if isinstance(size, ImageError):
        yield ("unreadable-image", str(size), "") if has_image(path) else ("missing-image", str(path), "")


def _record_problems(record: Record, size: Size | ImageError, charset: Charset, max_length: int) -> Iterator[_Found]:
    if isinstance(record, RecognitionRecord):
        where = str(record.image_path)
        if not record.text.strip():
            yield "empty-text", where, ""
        yield from _text_problems(record.text, where, charset, max_length)
        return
    for number, region in enumerate(record.regions, start=1):
        where = _place(record, number)
        for kind in outline_problems(region.points, None if isinstance(size, ImageError) else size):
            yield kind, where, str(np.round(region.points).astype(int).tolist())
        if not region.ignore:
            yield from _text_problems(region.text, where, charset, max_length)


def _text_problems(text: str, where: str, charset: Charset, max_length: int) -> Iterator[_Found]:
    unknown = sorted(set(charset.fold(text)) - charset.ids.keys())
    if unknown:
        yield "unknown-characters", where, f"{''.join(unknown)!r} in {text!r}"
    if len(text) > max_length:
        yield "too-long", where, f"{len(text)} characters: {text!r}"
    if not unicodedata.is_normalized("NFC", text):
        yield "decomposed", where, repr(text)


def _place(record: DetectionRecord, number: int) -> str:
    return f"{record.image_path} region {number}"


def _named_texts(record: Record) -> list[tuple[str, str]]:
    """Return (where, text) of the texts that are not ignored."""
    if isinstance(record, RecognitionRecord):
        return [(str(record.image_path), record.text)]
    regions = enumerate(record.regions, start=1)
    return [(_place(record, number), region.text) for number, region in regions if not region.ignore]
