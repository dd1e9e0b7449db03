"""Metrics of text detection and recognition: counts per image that can be added, and scores of their sums.

`detection`: boxes matched one to one by IoU, and by area, which tolerates splitting and merging; `recognition`: cropped
lines; `end_to_end`: boxes and texts together; `page_text`: characters of a page, independent of the boxes' granularity.
Needs only NumPy and Shapely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.metrics.detection import (
        DetectionCounts as DetectionCounts,
        area_counts as area_counts,
        detection_counts as detection_counts,
        detection_score as detection_score,
        iou_matrix as iou_matrix,
    )
    from ppocr_jax.metrics.end_to_end import (
        EndToEndCounts as EndToEndCounts,
        end_to_end_counts as end_to_end_counts,
        end_to_end_score as end_to_end_score,
    )
    from ppocr_jax.metrics.page_text import (
        PageTextCounts as PageTextCounts,
        page_text_counts as page_text_counts,
        page_text_score as page_text_score,
    )
    from ppocr_jax.metrics.recognition import (
        character_error_rate as character_error_rate,
        edit_distance as edit_distance,
        normalized_edit_distance as normalized_edit_distance,
        recognition_score as recognition_score,
    )

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "detection": "DetectionCounts area_counts detection_counts detection_score iou_matrix",
        "end_to_end": "EndToEndCounts end_to_end_counts end_to_end_score",
        "page_text": "PageTextCounts page_text_counts page_text_score",
        "recognition": "character_error_rate edit_distance normalized_edit_distance recognition_score",
    },
)
