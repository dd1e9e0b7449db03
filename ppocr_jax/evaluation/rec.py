"""A text recogniser on labelled lines: accuracy, 1 - NED, character error rate."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from ppocr_jax.data.labels import (
    DetectionRecord,
    RecognitionRecord,
    Region,
    read_detection_labels,
    read_recognition_labels,
)
from ppocr_jax.geometry import min_area_quad, perspective_crop
from ppocr_jax.images import load_image
from ppocr_jax.metrics.recognition import recognition_score

logger = logging.getLogger("ppocr_jax")

LineSample = tuple[np.ndarray, str]
"""A picture of one line, `image_rgb` (H, W, 3) uint8, and its text."""

LINES_AT_ONCE = 512  # enough for a recogniser to sort lines by width, few enough to stay small in memory


class TextLike(Protocol):
    """What a recogniser must return for each line."""

    @property
    def text(self) -> str:
        """What it read."""


Recognize = Callable[[Sequence[np.ndarray]], Sequence[TextLike]]
"""Pictures of lines, `image_rgb` (H, W, 3) uint8 each -> texts, in the same order."""


def evaluate_recognition(
    recognize: Recognize, samples: Iterable[LineSample], *, ignore_case: bool = False, ignore_space: bool = False
) -> dict[str, float]:
    """Run a recogniser over labelled lines and score its texts; see `metrics.recognition.recognition_score`."""
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


def line_samples(records: Iterable[DetectionRecord | RecognitionRecord]) -> Iterator[LineSample]:
    """Lines of known text: those of recognition labels as they are, those of detection labels cut out as in inference.

    Ignored regions and regions without a text are left out, and so, with a warning, are regions too thin to cut.

    Raises:
        ImageError: a picture that cannot be read.
    """
    for record in records:
        image_rgb = load_image(record.image_path)
        if isinstance(record, RecognitionRecord):
            yield image_rgb, record.text
            continue
        for region in record.regions:
            if region.ignore or not region.text:
                continue
            try:
                crop = cut_line(image_rgb, region)
            except ValueError as error:
                logger.warning("%s: %r left out: %s", record.image_path, region.text, error)
                continue
            yield crop, region.text


def cut_line(image_rgb: np.ndarray, region: Region) -> np.ndarray:
    """The rectified picture of a region; one with more than four corners is cut along its smallest rectangle.

    Raises:
        ValueError: the region is thinner than one pixel.
    """
    quad = region.points if len(region.points) == 4 else min_area_quad(region.points)[0]
    return perspective_crop(image_rgb, quad)


def read_line_labels(path: str | os.PathLike[str]) -> list[DetectionRecord] | list[RecognitionRecord]:
    """Read a detection or a recognition label file, whichever it is.

    Raises:
        LabelError: a bad line.
        OSError: the file cannot be read.
    """
    return read_detection_labels(path) if _is_detection_label(Path(path)) else read_recognition_labels(path)


def _is_detection_label(path: Path) -> bool:
    """Whether the first label is a JSON list; of objects, because a line's text may well be "[3]"."""
    with path.open(encoding="utf-8-sig") as file:
        first = next((line for line in file if line.strip()), "")
    try:
        regions = json.loads(first.partition("\t")[2])
    except json.JSONDecodeError:
        return False
    return isinstance(regions, list) and all(isinstance(region, dict) for region in regions)
