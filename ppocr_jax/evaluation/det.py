"""A text detector on labeled pictures: precision, recall, Hmean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from ppocr_jax.data.labels import DetectionRecord
from ppocr_jax.data.pictures import load_picture
from ppocr_jax.metrics.detection import DetectionCounts, area_counts, detection_counts, detection_score


class BoxLike(Protocol):
    """What a detector must return for each text line."""

    @property
    def points(self) -> np.ndarray:
        """Corners, (N, 2) pixels of the picture given."""
        ...


Detect = Callable[[np.ndarray], Sequence[BoxLike]]
"""`image_rgb` (H, W, 3) uint8 -> boxes."""


def evaluate_detection(detect: Detect, records: Sequence[DetectionRecord]) -> dict[str, float]:
    """Run a detector over labeled pictures and score its boxes; see `score_boxes`.

    Raises:
        ImageError: a picture that cannot be read.
    """
    return score_boxes(records, detect_boxes(detect, records))


def detect_boxes(detect: Detect, records: Iterable[DetectionRecord]) -> list[Sequence[BoxLike]]:
    """Boxes found in each picture.

    Raises:
        ImageError: a picture that cannot be read.
    """
    return [detect(load_picture(record.image_path)) for record in records]


def score_boxes(records: Sequence[DetectionRecord], boxes: Sequence[Sequence[BoxLike]]) -> dict[str, float]:
    """Scores over all pictures together.

    Args:
        records: labeled pictures; regions marked `ignore` are neither targets nor false alarms.
        boxes: those found in each picture.

    Returns:
        `precision`, `recall`, `hmean` of one-to-one matches at IoU > 0.5 (PP-OCRv2 Table 2), and the same with the
        prefix `area_`, by covered area: the figures to look at where the labels box words and the detector boxes lines.
        Also `pictures`, their number.
    """
    one_to_one, by_area = DetectionCounts(), DetectionCounts()
    for record, found in zip(records, boxes, strict=True):
        outlines = [box.points for box in found]
        one_to_one += detection_counts(record.regions, outlines)
        by_area += area_counts(record.regions, outlines)
    area_score = {f"area_{name}": value for name, value in detection_score(by_area).items()}
    return {**detection_score(one_to_one), **area_score, "pictures": float(len(records))}
