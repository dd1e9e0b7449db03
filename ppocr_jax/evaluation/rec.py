"""A text recognizer on labeled lines: accuracy, 1 - NED, character error rate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from ppocr_jax.data.labels import DetectionRecord, RecognitionRecord, Region
from ppocr_jax.data.pictures import load_picture
from ppocr_jax.geometry import CROP_GROWTH, CropGrowth, grow_quad, min_area_quad, perspective_crop
from ppocr_jax.metrics.recognition import recognition_score

logger = logging.getLogger("ppocr_jax")

LineSample = tuple[np.ndarray, str]
"""A picture of one line, `image_rgb` (H, W, 3) uint8, and its text."""

LINES_AT_ONCE = 512  # enough for a recognizer to sort lines by width, few enough to stay small in memory


class TextLike(Protocol):
    """What a recognizer must return for each line."""

    @property
    def text(self) -> str:
        """What it read."""
        ...


Recognize = Callable[[Sequence[np.ndarray]], Sequence[TextLike]]
"""Pictures of lines, `image_rgb` (H, W, 3) uint8 each -> texts, in the same order."""


def evaluate_recognition(
    recognize: Recognize, samples: Iterable[LineSample], *, ignore_case: bool = False, ignore_space: bool = False
) -> dict[str, float]:
    """Run a recognizer over labeled lines and score its texts; see `metrics.recognition.recognition_score`."""
    texts, targets = recognize_lines(recognize, samples)
    return recognition_score(texts, targets, ignore_case=ignore_case, ignore_space=ignore_space)


def recognize_lines(recognize: Recognize, samples: Iterable[LineSample]) -> tuple[list[str], list[str]]:
    """What was read in each line, and what should have been."""
    texts: list[str] = []
    targets: list[str] = []
    samples = iter(samples)
    while chunk := list(islice(samples, LINES_AT_ONCE)):
        texts += [line.text for line in recognize([image for image, _ in chunk])]
        targets += [text for _, text in chunk]
    return texts, targets


def line_samples(
    records: Iterable[DetectionRecord | RecognitionRecord], *, growth: CropGrowth = CROP_GROWTH
) -> Iterator[LineSample]:
    """Yield lines of known text: those of recognition labels as they are, those of detection labels cut out.

    Ignored regions and regions without a text are left out, and so, with a warning, are regions too thin to cut.

    Args:
        records: what is labeled.
        growth: of regions before they are cut, as reading grows the boxes it finds.

    Raises:
        ImageError: a picture that cannot be read.
    """
    for record in records:
        image_rgb = load_picture(record.image_path)
        if isinstance(record, RecognitionRecord):
            yield image_rgb, record.text
            continue
        for region in record.regions:
            if region.ignore or not region.text:
                continue
            try:
                crop = cut_line(image_rgb, region, growth)
            except ValueError as error:
                logger.warning("%s: %r left out: %s", record.image_path, region.text, error)
                continue
            yield crop, region.text


def cut_line(image_rgb: np.ndarray, region: Region, growth: CropGrowth = CROP_GROWTH) -> np.ndarray:
    """Return the rectified picture of a grown region; more than four corners are cut along their smallest rectangle.

    Raises:
        ValueError: the region is thinner than one pixel.
    """
    quad = region.points if len(region.points) == 4 else min_area_quad(region.points)[0]
    return perspective_crop(image_rgb, grow_quad(quad, growth))
