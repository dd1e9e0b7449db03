"""Evaluation on whole images: of a detector, and of a complete OCR pipeline (PP-OCRv2 Table 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from ppocr_jax.data.images import load_record_image
from ppocr_jax.data.labels import DetectionRecord
from ppocr_jax.document.page import Page
from ppocr_jax.metrics.detection import DetectionCounts, area_counts, detection_counts, detection_score
from ppocr_jax.metrics.end_to_end import EndToEndCounts, end_to_end_counts, end_to_end_score
from ppocr_jax.metrics.page_text import PageTextCounts, page_text_counts, page_text_score

MIN_CONFIDENCE = 0.5  # lines below are ignored, as in PP-OCR's evaluation


class BoxLike(Protocol):
    """Result of a detector for one text line."""

    @property
    def points(self) -> np.ndarray:
        """Corners, (N, 2) in pixels of the given image."""
        ...


Detect = Callable[[np.ndarray], Sequence[BoxLike]]
"""`image_rgb` (H, W, 3) uint8 -> boxes."""
ReadImage = Callable[[np.ndarray], Page]
"""`image_rgb` (H, W, 3) uint8 -> page."""


def evaluate_detection(detect: Detect, records: Sequence[DetectionRecord]) -> dict[str, float]:
    """Run a detector on labeled images and score its boxes; see `score_boxes`.

    Raises:
        ImageError: If an image cannot be read.
    """
    return score_boxes(records, detect_boxes(detect, records))


def detect_boxes(detect: Detect, records: Iterable[DetectionRecord]) -> list[Sequence[BoxLike]]:
    """Return the boxes detected in each image.

    Raises:
        ImageError: If an image cannot be read.
    """
    return [detect(load_record_image(record.image_path)) for record in records]


def score_boxes(records: Sequence[DetectionRecord], boxes: Sequence[Sequence[BoxLike]]) -> dict[str, float]:
    """Return the scores of boxes over all images together.

    Args:
        records: Labeled images; regions marked `ignore` are neither targets nor false positives.
        boxes: The boxes detected in each image.

    Returns:
        `precision`, `recall`, `hmean` of one-to-one matches at IoU > 0.5 (PP-OCRv2 Table 2), and the same by covered
        area with the prefix `area_`; use the latter if the labels are word boxes and the detector returns lines. Also
        `images`, their number.
    """
    one_to_one, by_area = DetectionCounts(), DetectionCounts()
    for record, found in zip(records, boxes, strict=True):
        outlines = [box.points for box in found]
        one_to_one += detection_counts(record.regions, outlines)
        by_area += area_counts(record.regions, outlines)
    area_score = {f"area_{name}": value for name, value in detection_score(by_area).items()}
    return {**detection_score(one_to_one), **area_score, "images": float(len(records))}


def read_pages(ocr: ReadImage, records: Iterable[DetectionRecord]) -> list[Page]:
    """Return the recognized page of each image.

    Raises:
        ImageError: If an image cannot be read.
    """
    return [ocr(load_record_image(record.image_path)) for record in records]


def score_pages(
    records: Sequence[DetectionRecord],
    pages: Sequence[Page],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
    min_confidence: float = MIN_CONFIDENCE,
) -> dict[str, float]:
    """Return the scores of recognized pages over all images together.

    Args:
        records: Labeled images; regions without text are ignored, like those marked `ignore`.
        pages: The recognized page of each image.
        ignore_case: Compare in lower case.
        ignore_space: Compare without spaces; `cer_without_spaces` always does.
        min_confidence: Lines of lower confidence are left out.

    Returns:
        The scores of `metrics.end_to_end.end_to_end_score`; `cer_without_spaces` of
        `metrics.page_text.page_text_score`, which does not depend on whether words or lines are labeled; and `images`,
        their number.
    """
    lines_total, text_total = EndToEndCounts(), PageTextCounts()
    for record, page in zip(records, pages, strict=True):
        regions = [region if region.text else replace(region, ignore=True) for region in record.regions]
        lines = [(line.quad, line.text) for line in page if line.confidence >= min_confidence]
        lines_total += end_to_end_counts(regions, lines, ignore_case=ignore_case, ignore_space=ignore_space)
        text_total += page_text_counts(regions, lines, ignore_case=ignore_case)
    return {**end_to_end_score(lines_total), **page_text_score(text_total), "images": float(len(records))}
