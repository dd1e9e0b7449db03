"""Evaluation of callables that detect or recognize text on labeled sets.

Each module has functions that run a callable on labeled data, functions that score the results, and `evaluate_*`, which
do both. The callables may be methods of an `OCR` object or a network in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.evaluation.lines import (
        classify_lines as classify_lines,
        evaluate_direction as evaluate_direction,
        evaluate_recognition as evaluate_recognition,
        line_samples as line_samples,
        recognize_lines as recognize_lines,
        score_directions as score_directions,
    )
    from ppocr_jax.evaluation.pages import (
        detect_boxes as detect_boxes,
        evaluate_detection as evaluate_detection,
        read_pages as read_pages,
        score_boxes as score_boxes,
        score_pages as score_pages,
    )

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "lines": "classify_lines evaluate_direction evaluate_recognition line_samples recognize_lines score_directions",
        "pages": "detect_boxes evaluate_detection read_pages score_boxes score_pages",
    },
)
