"""End-to-end Hmean: a line is correct if it is detected and its text is right (the metric of PP-OCRv2 Table 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ppocr_jax.metrics.detection import Outline, RegionLike, iou_matrix, to_convex_hulls
from ppocr_jax.metrics.recognition import edit_distance

IOU_THRESHOLD = 0.5
_EPSILON = 1e-9  # added to denominators as in PaddleOCR; without targets or detections the score is 0
_TO_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " "}


@runtime_checkable
class TextRegionLike(RegionLike, Protocol):
    """A labeled region with a text."""

    @property
    def text(self) -> str:
        """Its transcription; not used if `ignore` is set."""
        ...


@dataclass(frozen=True)
class EndToEndCounts:
    """Counts of one image; `+` adds those of several.

    Attributes:
        hits: Pairs whose texts are equal.
        detections: Predictions that are not paired with an ignored region.
        targets: Regions that are not ignored.
        edits: Edit distance over all pairs; unpaired texts are compared with "".
        characters: Characters of the targets' texts.
        images: Number of images.
    """

    hits: int = 0
    detections: int = 0
    targets: int = 0
    edits: int = 0
    characters: int = 0
    images: int = 0

    def __add__(self, other: EndToEndCounts) -> EndToEndCounts:
        return EndToEndCounts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def end_to_end_counts(
    ground_truth: Sequence[TextRegionLike],
    predictions: Sequence[tuple[Outline, str]],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
) -> EndToEndCounts:
    """Count lines of one image that are detected and recognized correctly (PaddleOCR, `end2end/eval_end2end.py`).

    Pairs are formed one to one over all regions in descending order of IoU, down to 0.5; a pair with an ignored region
    is not counted. In pairs, full-width characters equal their half-width forms. Case and spaces are ignored only
    within pairs: as in the script of PaddleOCR release/2.6, an unpaired text's edits are its full length.

    Args:
        ground_truth: Labeled regions.
        predictions: (outline, text); PP-OCR removes lines of a confidence below 0.5 beforehand.
        ignore_case: Compare in lower case.
        ignore_space: Compare without spaces.
    """

    def comparable(text: str) -> str:
        text = text.translate(_TO_HALF_WIDTH)
        text = text.replace(" ", "") if ignore_space else text
        return text.lower() if ignore_case else text

    pairs = pairs_by_iou([region.points for region in ground_truth], [points for points, _ in predictions])
    counts = EndToEndCounts(images=1)
    for index, region in enumerate(ground_truth):
        if region.ignore:
            continue
        if index in pairs:
            target, text = comparable(region.text), comparable(predictions[pairs[index]][1])
            counts += EndToEndCounts(int(target == text), 1, 1, edit_distance(target, text), len(target))
        else:
            counts += EndToEndCounts(0, 0, 1, len(region.text), len(region.text))
    for index in set(range(len(predictions))) - set(pairs.values()):
        counts += EndToEndCounts(detections=1, edits=len(predictions[index][1]))
    return counts


def end_to_end_score(counts: EndToEndCounts) -> dict[str, float]:
    """Return scores of `counts`.

    Returns:
        `precision`, `recall`, `hmean` 0..1; `character_accuracy` = 1 - edits / characters (negative if there are more
        edits than characters); `edits_per_line` and `edits_per_image`.
    """
    precision = counts.hits / (counts.detections + _EPSILON)
    recall = counts.hits / (counts.targets + _EPSILON)
    return {
        "precision": precision,
        "recall": recall,
        "hmean": 2 * precision * recall / (precision + recall + _EPSILON),
        "character_accuracy": 1 - counts.edits / (counts.characters + _EPSILON),
        "edits_per_line": counts.edits / (counts.targets + _EPSILON),
        "edits_per_image": counts.edits / (counts.images + _EPSILON),
    }


def pairs_by_iou(targets: Sequence[Outline], predictions: Sequence[Outline]) -> dict[int, int]:
    """Pair targets with predictions (index -> index) of IoU >= 0.5, highest IoU first, ties by lower indices."""
    ious = iou_matrix(to_convex_hulls(targets), to_convex_hulls(predictions))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for flat in np.argsort(-ious, axis=None, kind="stable"):
        i, j = (int(k) for k in np.unravel_index(flat, ious.shape))
        if ious[i, j] < IOU_THRESHOLD:
            break
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs
