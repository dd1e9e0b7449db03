"""Evaluation on single lines: of a recognizer by text, and of a direction classifier by angle."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.direction import has_direction
from ppocr_jax.data.images import load_record_image
from ppocr_jax.data.labels import DetectionRecord, RecognitionRecord, Region
from ppocr_jax.geometry import CROP_GROWTH, CropGrowth, grow_quad, min_area_quad, perspective_crop
from ppocr_jax.metrics.recognition import recognition_score
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts, split_fonts
from ppocr_jax.synth.line import LineGenerator, LineSample

Item = TypeVar("Item")
Read = TypeVar("Read")
logger = logging.getLogger("ppocr_jax")

LabeledLine = tuple[np.ndarray, str]
"""An image of one line, `image_rgb` (H, W, 3) uint8, and its text."""
DirectionSample = tuple[np.ndarray, int]
"""An image of one line, `image_rgb` (H, W, 3) uint8, and its rotation, 0 or 180 degrees."""

LINES_AT_ONCE = 512  # enough for a recognizer to sort lines by width; few enough to save memory
ANGLES = (0, 180)

HELD_OUT_FONTS = ("B612", "Cabin", "Courier Prime", "Karla", "Vollkorn")
"""Font families only for evaluation; training excludes them with `find_fonts(exclude=...)`."""
HELD_OUT_SEED = 900_001  # unlikely to be the seed of a training run


class TextLike(Protocol):
    """Result of a recognizer for one line."""

    @property
    def text(self) -> str:
        """The recognized text."""
        ...


Recognize = Callable[[Sequence[np.ndarray]], Sequence[TextLike]]
"""Line images, `image_rgb` (H, W, 3) uint8 each -> texts, in the same order."""


def chunks(samples: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield lists of `LINES_AT_ONCE` samples; the last one may be shorter."""
    samples = iter(samples)
    while chunk := list(islice(samples, LINES_AT_ONCE)):
        yield chunk


def _run_in_chunks(
    read: Callable[[Sequence[np.ndarray]], Sequence[Read]], samples: Iterable[tuple[np.ndarray, Item]]
) -> tuple[list[Read], list[Item]]:
    """Return the result for each image, and its target."""
    found: list[Read] = []
    targets: list[Item] = []
    for chunk in chunks(samples):
        found += read([image for image, _ in chunk])
        targets += [target for _, target in chunk]
    return found, targets


def evaluate_recognition(
    recognize: Recognize, samples: Iterable[LabeledLine], *, ignore_case: bool = False, ignore_space: bool = False
) -> dict[str, float]:
    """Run a recognizer on labeled lines and score its texts; see `metrics.recognition.recognition_score`."""
    texts, targets = recognize_lines(recognize, samples)
    return recognition_score(texts, targets, ignore_case=ignore_case, ignore_space=ignore_space)


def recognize_lines(recognize: Recognize, samples: Iterable[LabeledLine]) -> tuple[list[str], list[str]]:
    """Return the recognized text and the true text of each line."""
    lines, targets = _run_in_chunks(recognize, samples)
    return [line.text for line in lines], targets


def line_samples(
    records: Iterable[DetectionRecord | RecognitionRecord], *, growth: CropGrowth = CROP_GROWTH
) -> Iterator[LabeledLine]:
    """Yield labeled lines: those of recognition labels unchanged, those of detection labels cropped.

    Ignored regions and regions without text are skipped, and so are, with a warning, regions too thin to crop.

    Args:
        records: Labeled images.
        growth: Growth of regions before cropping; inference grows detected boxes in the same way.

    Raises:
        ImageError: If an image cannot be read.
    """
    for record in records:
        image_rgb = load_record_image(record.image_path)
        if isinstance(record, RecognitionRecord):
            yield image_rgb, record.text
            continue
        for region in record.regions:
            if region.ignore or not region.text:
                continue
            try:
                crop = cut_line(image_rgb, region, growth)
            except ValueError as error:
                logger.warning("%s: %r skipped: %s", record.image_path, region.text, error)
                continue
            yield crop, region.text


def cut_line(image_rgb: np.ndarray, region: Region, growth: CropGrowth = CROP_GROWTH) -> np.ndarray:
    """Return the rectified crop of a grown region; a region of more than four corners gives its smallest rectangle.

    Raises:
        ValueError: If the region is thinner than one pixel.
    """
    quad = region.points if len(region.points) == 4 else min_area_quad(region.points)[0]
    return perspective_crop(image_rgb, grow_quad(quad, growth))


class DirectionLike(Protocol):
    """Result of a direction classifier for one line."""

    @property
    def angle(self) -> int:
        """0 or 180 degrees."""
        ...


Classify = Callable[[Sequence[np.ndarray]], Sequence[DirectionLike]]
"""Line images, `image_rgb` (H, W, 3) uint8 each -> directions, in the same order."""


def evaluate_direction(classify: Classify, samples: Iterable[DirectionSample]) -> dict[str, float]:
    """Run a classifier on lines and score its directions; see `score_directions`."""
    return score_directions(*classify_lines(classify, samples))


def classify_lines(classify: Classify, samples: Iterable[DirectionSample]) -> tuple[list[int], list[int]]:
    """Return the predicted and the true angle of each line, in degrees."""
    directions, targets = _run_in_chunks(classify, samples)
    return [direction.angle for direction in directions], targets


def score_directions(found: Sequence[int], targets: Sequence[int]) -> dict[str, float]:
    """Return the scores of angles in degrees, before any threshold on the classifier's probability.

    Returns:
        `accuracy`; `accuracy_0` and `accuracy_180`, over the lines of that angle, 0 if there are none; `lines`, their
        number.
    """
    right = [a == b for a, b in zip(found, targets, strict=True)]
    score = {"accuracy": _mean(right)}
    for angle in ANGLES:
        score[f"accuracy_{angle}"] = _mean([r for r, target in zip(right, targets, strict=True) if target == angle])
    return {**score, "lines": float(len(right))}


def rotate_every_second(images: Iterable[np.ndarray]) -> Iterator[DirectionSample]:
    """Yield upright lines as samples: the first, third, ... unchanged, the others rotated by 180 degrees."""
    for index, image_rgb in enumerate(images):
        rotated = index % 2 == 1
        yield (np.ascontiguousarray(np.rot90(image_rgb, 2)), 180) if rotated else (image_rgb, 0)


def held_out_lines(
    count: int,
    *,
    charset: Charset,
    corpus: Corpus,
    fonts: Sequence[str | Path] | None = None,
    directed: bool = True,
) -> Iterator[LineSample]:
    """Yield synthetic upright lines, the same at each call, with a seed and fonts that training does not use.

    Args:
        count: Number of lines.
        charset: Characters that may occur.
        corpus: The texts.
        fonts: Folders, all of whose fonts are used; by default the installed `HELD_OUT_FONTS`.
        directed: Skip lines without a direction ("0.00", "HIS", "96", see `has_direction`).

    Raises:
        NoFontsError: If there is no such font.
    """
    faces = find_fonts(fonts)
    if fonts is None:
        _, faces = split_fonts(faces, HELD_OUT_FONTS)
    if not faces:
        raise NoFontsError(f"none of the fonts held out for evaluation is installed: {', '.join(HELD_OUT_FONTS)}")
    draw = LineGenerator(charset=charset, fonts=faces, corpus=corpus)
    lines = (draw(HELD_OUT_SEED, index) for index in itertools.count())
    return islice((line for line in lines if not directed or has_direction(line.text)), count)


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0
