"""Center loss on a recognizer's features, and computation of the centers from a trained recognizer.

The Enhanced CTC loss of PP-OCRv2 is CTC plus 0.05 times the center loss. It pulls the features of each character
toward one point, which keeps characters of similar shape apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ppocr_jax.losses.arrays import AnyArray, Scalar

_SMALLEST, _LARGEST = 1e-12, 1e12


def center_loss(
    features: Float[AnyArray, "B T D"], logits: Float[AnyArray, "B T K"], centers: Float[AnyArray, "_ _"]
) -> Scalar:
    """Compute the squared distance of each frame's feature to the center of its predicted class:

        y = argmax(logits),  L = mean over lines and frames of |x - c_y|^2

    Blanks count like characters. Neither the choice of y nor the centers carry a gradient. PaddleOCR release/2.6
    builds the whole frames-by-classes table of distances in float64, clips it to [1e-12, 1e12] and sums it. The other
    entries of that table add a negligible (K - 1) 1e-12 per frame, so here only the distance to the predicted class's
    center is computed and clipped. It is computed from the difference in float32, which agrees with the float64 table
    to about 1e-7 of the loss.

    Args:
        features: x, the input of the head's last layer.
        logits: Logits of the same frames.
        centers: c (K, D), one per class, blank included; fixed during training.

    Raises:
        ValueError: If the centers do not match the number of classes and the feature width.

    Source: PP-OCRv2, section 2.2, Enhanced CTCLoss; Wen et al., "A Discriminative Feature Learning Approach for Deep
    Face Recognition", 2016.
    """
    if centers.shape != (logits.shape[-1], features.shape[-1]):
        raise ValueError(
            f"centers of shape {centers.shape} for {logits.shape[-1]} classes and features of width "
            f"{features.shape[-1]}: extract them from a model with the same charset and head"
        )
    nearest = jax.lax.stop_gradient(centers.astype(jnp.float32))[_predicted_classes(logits)]
    distances = jnp.sum(jnp.square(features.astype(jnp.float32) - nearest), axis=-1)
    return jnp.clip(distances, _SMALLEST, _LARGEST).sum(axis=1).mean() / features.shape[1]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CenterSums:
    """Running sums of the features predicted as each class; a pytree.

    Attributes:
        sums: (K, D) float32, sum of the features.
        counts: (K,) int32, number of frames, up to 2**31.
    """

    sums: Float[Array, "K D"]
    counts: Int[Array, " K"]


def empty_centers(num_classes: int, width: int) -> CenterSums:
    """Return zero sums for `num_classes` classes (blank included) and features of width `width`."""
    return CenterSums(jnp.zeros((num_classes, width), jnp.float32), jnp.zeros(num_classes, jnp.int32))


def accumulate_centers(
    totals: CenterSums,
    features: Float[AnyArray, "B T D"],
    logits: Float[AnyArray, "B T K"],
    correct: Bool[AnyArray, " B"],
) -> CenterSums:
    """Add the frames of one batch to the sums, each frame to its predicted class (blanks too).

    Args:
        totals: Sums so far.
        features: Features of every frame.
        logits: Logits of the same frames.
        correct: Lines whose recognized text equals their label; frames of other lines are ignored.

    Raises:
        ValueError: If the sums do not match the number of classes and the feature width.

    Source: PP-OCRv2, section 2.2, Enhanced CTCLoss (how the centers are initialized).
    """
    num_classes, width = logits.shape[-1], features.shape[-1]
    if totals.sums.shape != (num_classes, width):
        raise ValueError(f"totals of shape {totals.sums.shape} for {num_classes} classes and features of width {width}")
    counted = jnp.broadcast_to(correct[:, None], logits.shape[:2]).reshape(-1)
    classes = _predicted_classes(logits).reshape(-1)
    kept = jnp.where(counted[:, None], features.astype(jnp.float32).reshape(-1, width), 0.0)
    sums = jax.ops.segment_sum(kept, classes, num_classes)
    counts = jax.ops.segment_sum(counted.astype(jnp.int32), classes, num_classes)
    return CenterSums(totals.sums + sums, totals.counts + counts)


def finish_centers(totals: CenterSums, fallback: Float[AnyArray, "K D"]) -> Float[Array, "K D"]:
    """Return the mean feature of each class; classes that were never predicted get their row of `fallback`."""
    means = totals.sums / jnp.maximum(totals.counts, 1)[:, None]
    return jnp.where(totals.counts[:, None] > 0, means, fallback)


def random_centers(key: Array, num_classes: int, width: int) -> Float[Array, "K D"]:
    """Return standard normal centers, PaddleOCR's initial values and its fallback for classes never predicted."""
    return jax.random.normal(key, (num_classes, width), jnp.float32)


def _predicted_classes(logits: Float[AnyArray, "B T K"]) -> Int[Array, "B T"]:
    return jnp.argmax(jax.lax.stop_gradient(logits), axis=-1)
