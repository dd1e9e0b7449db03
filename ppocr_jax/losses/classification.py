"""The direction classifier's loss."""

from __future__ import annotations

import optax
from jaxtyping import Float, Int

from ppocr_jax.losses.arrays import AnyArray, Scalar


def direction_loss(logits: Float[AnyArray, "B C"], labels: Int[AnyArray, " B"]) -> Scalar:
    """Mean softmax cross-entropy over integer labels (PP-OCR, arXiv 2009.09941, section 2.2)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
