"""Small text on large pages: when to look again, from nearer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ppocr_jax.inference.db_postprocess import TextBox

# Heights of boxes in pixels as the detector sees them. Measured on documents and receipts: recall falls where the
# median is below 13 (.70 at 13, .35 at 10, .06 at 7 on A4 pages) and is best at about 20.
_TOO_LOW, _GOOD = 13.5, 20.0
_MOST_PIXELS = 16_000_000  # a nearer look is no larger than this
# So few boxes say little, unless their text is large: on a page reduced to less than this, look that much nearer.
_FEW, _LARGE, _MUCH_REDUCED, _BLIND_STEP = 4, 30.0, 0.5, 2.5


def nearer_side(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> int | None:
    """The longest side, in pixels, at which a page should be looked at again; None: as it was seen is near enough.

    Args:
        boxes: what was found, in pixels of the picture.
        size: (height, width) of the picture.
        limit_side: the longest side at which it was seen.
    """
    longest = max(size[:2])
    scale = limit_side / longest
    if scale >= 1 or not _too_small(boxes, scale):
        return None
    step = _GOOD / (_median_height(boxes) * scale) if len(boxes) > _FEW else _BLIND_STEP
    most = longest * math.sqrt(_MOST_PIXELS / (size[0] * size[1]))
    side = math.ceil(min(longest, most, limit_side * max(step, 1.2)))
    return side if side > 1.05 * limit_side else None


def reduction_warning(boxes: Sequence[TextBox], size: Sequence[int], limit_side: int) -> str:
    """A line to say that text may be missing, or "".

    Args:
        boxes, size, limit_side: see `nearer_side`, of the last look.
    """
    scale = limit_side / max(size[:2])
    if scale >= 1 or not _too_small(boxes, scale):
        return ""
    return (
        f"the page was reduced to {scale:.0%} of its {size[1]}x{size[0]} pixels, at which small text is missed; "
        "a larger limit_side sees more"
    )


def _too_small(boxes: Sequence[TextBox], scale: float) -> bool:
    seen = _median_height(boxes) * scale if boxes else 0.0
    return seen < _TOO_LOW if len(boxes) > _FEW else scale < _MUCH_REDUCED and seen < _LARGE


def _median_height(boxes: Sequence[TextBox]) -> float:
    """In pixels of the picture."""
    quads = np.array([box.points for box in boxes], np.float32)
    return float(np.median(np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=-1).min(axis=1)))
