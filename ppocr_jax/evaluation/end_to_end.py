"""The whole chain on labeled pictures: lines found and read right (PP-OCRv2 Table 5), and characters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from ppocr_jax.data.labels import DetectionRecord, Region
from ppocr_jax.data.pictures import load_picture
from ppocr_jax.document.page import Page
from ppocr_jax.metrics.end_to_end import EndToEndCounts, end_to_end_counts, end_to_end_score
from ppocr_jax.metrics.page_text import PageTextCounts, page_text_counts, page_text_score

MIN_CONFIDENCE = 0.5  # lines below do not count, as in PP-OCR's evaluation

ReadPage = Callable[[np.ndarray], Page]
"""`image_rgb` (H, W, 3) uint8 -> page."""


def read_pages(ocr: ReadPage, records: Iterable[DetectionRecord]) -> list[Page]:
    """What is read in each picture.

    Raises:
        ImageError: a picture that cannot be read.
    """
    return [ocr(load_picture(record.image_path)) for record in records]


def score_pages(
    records: Sequence[DetectionRecord],
    pages: Sequence[Page],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
    min_confidence: float = MIN_CONFIDENCE,
) -> dict[str, float]:
    """Scores over all pictures together.

    Args:
        records: labeled pictures; regions without a text are ignored, like those marked `ignore`.
        pages: what was read in each.
        ignore_case: compare in lower case.
        ignore_space: compare without spaces; `cer_without_spaces` always is.
        min_confidence: lines read with less are left out.

    Returns:
        those of `metrics.end_to_end.end_to_end_score`, and `cer_without_spaces` of `metrics.page_text.page_text_score`,
        which does not depend on whether words or lines were labeled; and `pictures`, their number.
    """
    lines_total, text_total = EndToEndCounts(), PageTextCounts()
    for record, page in zip(records, pages, strict=True):
        regions = [_ignore_unknown(region) for region in record.regions]
        lines = [(line.quad, line.text) for line in page if line.confidence >= min_confidence]
        lines_total += end_to_end_counts(regions, lines, ignore_case=ignore_case, ignore_space=ignore_space)
        text_total += page_text_counts(regions, lines, ignore_case=ignore_case)
    return {**end_to_end_score(lines_total), **page_text_score(text_total), "pictures": float(len(records))}


def _ignore_unknown(region: Region) -> Region:
    return region if region.text else replace(region, ignore=True)
