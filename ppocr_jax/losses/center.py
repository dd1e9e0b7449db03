"""Center loss on a recognizer's features, and the extraction of the centers from a trained recognizer.

The Enhanced CTC loss of PP-OCRv2 is CTC plus 0.05 times the center loss: features of one character gather around one
point, which keeps characters that look alike apart.
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
    """Squared distance of each frame's feature to the center of the class read there:

        y = argmax(logits),  L = mean over lines and frames of |x - c_y|^2

    Blanks count like characters. Neither the choice of y nor the centers carry a gradient. PaddleOCR release/2.6
    builds the whole frames-by-classes table of distances in float64, clips it to [1e-12, 1e12] and sums it, whose other
    entries add (K - 1) 1e-12 per frame: negligible, so that only the right center is gathered here, and its distance
    clipped. Taken as a difference in float32, the loss agrees with that float64 table to about 1e-7 of its value.

    Args:
        features: x, what the head's last layer sees.
        logits: of the same frames.
        centers: c (K, D), one per class, blank included; fixed while training.

    Raises:
        ValueError: centers that do not fit the classes and the features.

    Source: PP-OCRv2, section 2.2, Enhanced CTCLoss; Wen et al., "A Discriminative Feature Learning Approach for Deep
    Face Recognition", 2016.
    """
    if centers.shape != (logits.shape[-1], features.shape[-1]):
        raise ValueError(
            f"centers of shape {centers.shape} for {logits.shape[-1]} classes and features of width "
            f"{features.shape[-1]}: extract them from a model with the same charset and head"
        )
    nearest = jax.lax.stop_gradient(centers.astype(jnp.float32))[_classes_read(logits)]
    distances = jnp.sum(jnp.square(features.astype(jnp.float32) - nearest), axis=-1)
    return jnp.clip(distances, _SMALLEST, _LARGEST).sum(axis=1).mean() / features.shape[1]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class CenterSums:
    """Running totals of the features read as each class; a pytree.

    Attributes:
        sums: (K, D) float32, features added up.
        counts: (K,) int32, how many they are: up to 2**31 frames.
    """

    sums: Float[Array, "K D"]
    counts: Int[Array, " K"]


def empty_centers(num_classes: int, width: int) -> CenterSums:
    """Totals before the first batch, for `num_classes` classes (blank included) and features of `width`."""
    return CenterSums(jnp.zeros((num_classes, width), jnp.float32), jnp.zeros(num_classes, jnp.int32))


def accumulate_centers(
    totals: CenterSums,
    features: Float[AnyArray, "B T D"],
    logits: Float[AnyArray, "B T K"],
    correct: Bool[AnyArray, " B"],
) -> CenterSums:
    """Totals with the frames of one batch added, each to the class read there (blanks too).

    Args:
        totals: so far.
        features: of every frame.
        logits: of the same frames.
        correct: lines that were read as their label says; the others are left out.

    Raises:
        ValueError: totals that do not fit the classes and the features.

    Source: PP-OCRv2, section 2.2, Enhanced CTCLoss (how the centers are initialized).
    """
    num_classes, width = logits.shape[-1], features.shape[-1]
    if totals.sums.shape != (num_classes, width):
        raise ValueError(f"totals of shape {totals.sums.shape} for {num_classes} classes and features of width {width}")
    counted = jnp.broadcast_to(correct[:, None], logits.shape[:2]).reshape(-1)
    classes = _classes_read(logits).reshape(-1)
    kept = jnp.where(counted[:, None], features.astype(jnp.float32).reshape(-1, width), 0.0)
    sums = jax.ops.segment_sum(kept, classes, num_classes)
    counts = jax.ops.segment_sum(counted.astype(jnp.int32), classes, num_classes)
    return CenterSums(totals.sums + sums, totals.counts + counts)


def finish_centers(totals: CenterSums, fallback: Float[AnyArray, "K D"]) -> Float[Array, "K D"]:
    """Mean feature of each class; classes that were never read keep their row of `fallback`."""
    means = totals.sums / jnp.maximum(totals.counts, 1)[:, None]
    return jnp.where(totals.counts[:, None] > 0, means, fallback)


def random_centers(key: Array, num_classes: int, width: int) -> Float[Array, "K D"]:
    """Standard normal centers, PaddleOCR's start and its fallback for classes that were never read."""
    return jax.random.normal(key, (num_classes, width), jnp.float32)


def _classes_read(logits: Float[AnyArray, "B T K"]) -> Int[Array, "B T"]:
    return jnp.argmax(jax.lax.stop_gradient(logits), axis=-1)
