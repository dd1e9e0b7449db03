"""Lines of known text or direction: scores of a recognizer, and of a direction classifier."""

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
"""An image of one line, `image_rgb` (H, W, 3) uint8, and the angle it is turned by, 0 or 180 degrees."""

LINES_AT_ONCE = 512  # enough for a recognizer to sort lines by width, few enough to stay small in memory
ANGLES = (0, 180)

HELD_OUT_FONTS = ("B612", "Cabin", "Courier Prime", "Karla", "Vollkorn")
"""Families for evaluation alone, to be given to `find_fonts(exclude=...)` when training."""
HELD_OUT_SEED = 900_001  # a series of lines that no training run's seed starts by chance


class TextLike(Protocol):
    """What a recognizer must return for each line."""

    @property
    def text(self) -> str:
        """What it read."""
        ...


Recognize = Callable[[Sequence[np.ndarray]], Sequence[TextLike]]
"""Images of lines, `image_rgb` (H, W, 3) uint8 each -> texts, in the same order."""


def chunks(samples: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield `LINES_AT_ONCE` samples at a time, and what is left."""
    samples = iter(samples)
    while chunk := list(islice(samples, LINES_AT_ONCE)):
        yield chunk


def _in_chunks(
    read: Callable[[Sequence[np.ndarray]], Sequence[Read]], samples: Iterable[tuple[np.ndarray, Item]]
) -> tuple[list[Read], list[Item]]:
    """Return what is read in each image, and what belongs to it."""
    found: list[Read] = []
    targets: list[Item] = []
    for chunk in chunks(samples):
        found += read([image for image, _ in chunk])
        targets += [target for _, target in chunk]
    return found, targets


def evaluate_recognition(
    recognize: Recognize, samples: Iterable[LabeledLine], *, ignore_case: bool = False, ignore_space: bool = False
) -> dict[str, float]:
    """Run a recognizer over labeled lines and score its texts; see `metrics.recognition.recognition_score`."""
    texts, targets = recognize_lines(recognize, samples)
    return recognition_score(texts, targets, ignore_case=ignore_case, ignore_space=ignore_space)


def recognize_lines(recognize: Recognize, samples: Iterable[LabeledLine]) -> tuple[list[str], list[str]]:
    """Return what was read in each line, and what should have been."""
    lines, targets = _in_chunks(recognize, samples)
    return [line.text for line in lines], targets


def line_samples(
    records: Iterable[DetectionRecord | RecognitionRecord], *, growth: CropGrowth = CROP_GROWTH
) -> Iterator[LabeledLine]:
    """Yield lines of known text: those of recognition labels as they are, those of detection labels cut out.

    Ignored regions and regions without a text are left out, and so, with a warning, are regions too thin to cut.

    Args:
        records: what is labeled.
        growth: of regions before they are cut, as reading grows the boxes it finds.

    Raises:
        ImageError: an image that cannot be read.
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
    """Return the rectified image of a grown region; more than four corners are cut along their smallest rectangle.

    Raises:
        ValueError: the region is thinner than one pixel.
    """
    quad = region.points if len(region.points) == 4 else min_area_quad(region.points)[0]
    return perspective_crop(image_rgb, grow_quad(quad, growth))


class DirectionLike(Protocol):
    """What a classifier must return for each line."""

    @property
    def angle(self) -> int:
        """0 or 180, degrees."""
        ...


Classify = Callable[[Sequence[np.ndarray]], Sequence[DirectionLike]]
"""Images of lines, `image_rgb` (H, W, 3) uint8 each -> directions, in the same order."""


def evaluate_direction(classify: Classify, samples: Iterable[DirectionSample]) -> dict[str, float]:
    """Run a classifier over lines and score its directions; see `score_directions`."""
    return score_directions(*classify_lines(classify, samples))


def classify_lines(classify: Classify, samples: Iterable[DirectionSample]) -> tuple[list[int], list[int]]:
    """Return the angle found for each line, and the true one, in degrees."""
    directions, targets = _in_chunks(classify, samples)
    return [direction.angle for direction in directions], targets


def score_directions(found: Sequence[int], targets: Sequence[int]) -> dict[str, float]:
    """Return the scores of angles in degrees, before any threshold on the classifier's probability.

    Returns:
        `accuracy`; `accuracy_0` and `accuracy_180`, over the lines that stand so; 0 where there are none; `lines`.
    """
    right = [a == b for a, b in zip(found, targets, strict=True)]
    score = {"accuracy": _mean(right)}
    for angle in ANGLES:
        score[f"accuracy_{angle}"] = _mean([r for r, target in zip(right, targets, strict=True) if target == angle])
    return {**score, "lines": float(len(right))}


def turn_every_second(images: Iterable[np.ndarray]) -> Iterator[DirectionSample]:
    """Yield upright lines as samples: the first, third, ... as they are, the others turned by 180 degrees."""
    for index, image_rgb in enumerate(images):
        turned = index % 2 == 1
        yield (np.ascontiguousarray(np.rot90(image_rgb, 2)), 180) if turned else (image_rgb, 0)


def held_out_lines(
    count: int,
    *,
    charset: Charset,
    corpus: Corpus,
    fonts: Sequence[str | Path] | None = None,
    directed: bool = True,
) -> Iterator[LineSample]:
    """Yield drawn upright lines, the same at each call, from a seed and in fonts that training does not use.

    Args:
        count: number of lines.
        charset: the characters that may occur.
        corpus: the texts.
        fonts: font files' folders, all of which are used; default: the `HELD_OUT_FONTS` among the system's.
        directed: pass over lines without a direction ("0.00", "HIS", "96", see `has_direction`).

    Raises:
        NoFontsError: no such font.
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
