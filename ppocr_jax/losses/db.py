"""Losses of Differentiable Binarization (DB, arXiv 1911.08947) as used to train PP-OCRv2.

All sums run over the whole batch, not per image, so an image without text needs no special case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num

from ppocr_jax.losses.arrays import AnyArray, Scalar

_EPSILON = 1e-6
_LOG_FLOOR = -100.0

Maps = Float[AnyArray, "batch height width"]
Targets = Num[AnyArray, "batch height width"]
Batch = Mapping[str, Num[AnyArray, "batch height width ..."]]
"""The target maps and other arrays of a batch, for example the images (batch height width 3)."""


def dice_loss(pred: Maps, target: Targets, mask: Targets) -> Scalar:
    """Compute the dice loss over the pixels of `mask`:

        1 - 2 sum(p g m) / (sum(p m) + sum(g m) + 1e-6)

    Args:
        pred: Probabilities p.
        target: g, 0 or 1.
        mask: m, 0 for ignored pixels.

    Source: DB paper, section 3.5 (for the binary map).
    """
    pred, target, mask = float32(pred, target, mask)
    overlap = jnp.sum(pred * target * mask)
    return 1 - 2 * overlap / (jnp.sum(pred * mask) + jnp.sum(target * mask) + _EPSILON)


def masked_l1_loss(pred: Maps, target: Targets, mask: Targets) -> Scalar:
    """Compute the mean absolute difference over the pixels of `mask`:

        sum(|p - t| m) / (sum(m) + 1e-6)

    Source: DB paper eq. 8 (for the threshold map).
    """
    pred, target, mask = float32(pred, target, mask)
    return jnp.sum(jnp.abs(pred - target) * mask) / (jnp.sum(mask) + _EPSILON)


def balanced_bce_loss(pred: Maps, target: Targets, mask: Targets, *, negative_ratio: float = 3.0) -> Scalar:
    """Compute the binary cross-entropy over all text pixels and the hardest background pixels.

        n+ = sum(g m),  n- = floor(min(sum((1 - g) m), negative_ratio n+))
        l  = -(g log p + (1 - g) log(1 - p)), logarithms at least -100
        (sum(g m l) + the n- largest of (1 - g) m l) / (n+ + n- + 1e-6)

    A batch without text gives 0. Only the selected pixels receive gradients; pixels tied for the last places share
    them equally.

    Args:
        pred: Probabilities p.
        target: g, exactly 0 or 1.
        mask: m, exactly 0 or 1.
        negative_ratio: Background pixels per text pixel.

    Source: DB paper eq. 7 (online hard example mining).
    """
    pred, target, mask = float32(pred, target, mask)
    positives, negatives = _balanced_counts(target, mask, negative_ratio)
    loss = binary_cross_entropy(pred, target)
    positive_sum = jnp.sum(target * mask * loss)
    negative_sum = _sum_of_largest((1 - target) * mask * loss, negatives)
    return (positive_sum + negative_sum) / (positives + negatives + _EPSILON)


def db_loss(
    outputs: Mapping[str, Maps],
    targets: Batch,
    *,
    alpha: float = 5.0,
    beta: float = 10.0,
    main: Literal["dice", "bce", "l1"] = "dice",
    negative_ratio: float = 3.0,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute the DB detector's loss:

        alpha * main(P, g) + beta * L1(T, t) + dice(B, g)

    The paper uses cross-entropy as main loss and weights the binary map by alpha (DB paper eq. 6). PP-OCR's released
    detectors were trained with dice as main loss and alpha on the probability map: these are the defaults.

    Args:
        outputs: "probability" P, "threshold" T and "binary" B of the DB head. A head without a threshold branch has
            only P, and the loss is alpha * main(P, g).
        targets: "shrink_map" g and "shrink_mask" (for P and B), "threshold_map" t and "threshold_mask" (for T);
            any number type.
        alpha: Weight of the probability map.
        beta: Weight of the threshold map.
        main: Loss of the probability map. PP-OCR applies the balancing of `balanced_bce_loss` to all of them; because
            "dice" and "l1" are scalars, for them it only zeroes the term in a batch without text.
        negative_ratio: Background pixels per text pixel of "bce"; see `balanced_bce_loss`.

    Returns:
        The loss, and its unweighted terms "probability", "threshold" and "binary".

    Raises:
        ValueError: If `main` is unknown.
    """
    shrink_map, shrink_mask = targets["shrink_map"], targets["shrink_mask"]
    probability = _main_loss(outputs["probability"], shrink_map, shrink_mask, main, negative_ratio)
    if "threshold" not in outputs:
        return alpha * probability, {"probability": probability}
    terms = {
        "probability": probability,
        "threshold": masked_l1_loss(outputs["threshold"], targets["threshold_map"], targets["threshold_mask"]),
        "binary": dice_loss(outputs["binary"], shrink_map, shrink_mask),
    }
    return alpha * terms["probability"] + beta * terms["threshold"] + terms["binary"], terms


def _main_loss(pred: Maps, target: Targets, mask: Targets, main: str, negative_ratio: float) -> Scalar:
    pred, target, mask = float32(pred, target, mask)
    if main == "bce":
        return balanced_bce_loss(pred, target, mask, negative_ratio=negative_ratio)
    if main not in ("dice", "l1"):
        raise ValueError(f'main must be "dice", "bce" or "l1", not {main!r}')
    loss = (dice_loss if main == "dice" else masked_l1_loss)(pred, target, mask)
    count = sum(_balanced_counts(target, mask, negative_ratio))
    return loss * count / (count + _EPSILON)


def float32(*arrays: AnyArray) -> tuple[Array, ...]:
    """Return the arrays as float32."""
    return tuple(jnp.asarray(array).astype(jnp.float32) for array in arrays)


def _balanced_counts(target: Maps, mask: Maps, negative_ratio: float) -> tuple[Int[Array, ""], Int[Array, ""]]:
    # Integer counts: a float32 running sum stops growing at 2**24, which 10 images of 1280 x 1280 reach.
    positives = jnp.sum(target * mask > 0.5, dtype=jnp.int32)
    available = jnp.sum((1 - target) * mask > 0.5, dtype=jnp.int32)
    negatives = jnp.minimum(available, jnp.floor(negative_ratio * positives).astype(jnp.int32))
    return positives, negatives


def binary_cross_entropy(pred: Maps, target: Maps) -> Maps:
    """Return -(g log p + (1 - g) log(1 - p)) of each pixel, with logarithms of at least -100."""
    return -(target * _floored_log(pred) + (1 - target) * _floored_log(1 - pred))


def _floored_log(x: Maps) -> Maps:
    # The inner `where` keeps log(0) out of the gradient, which would otherwise be 0 * inf = NaN.
    positive = x > 0
    return jnp.where(positive, jnp.maximum(jnp.log(jnp.where(positive, x, 1.0)), _LOG_FLOOR), _LOG_FLOOR)


def _sum_of_largest(values: Maps, count: Int[Array, ""]) -> Scalar:
    """Return the sum of the `count` largest of non-negative `values`; `count` may be traced."""
    cut = jax.lax.stop_gradient(_kth_largest(jax.lax.stop_gradient(values), count))
    above, at = values > cut, values == cut
    missing = count - jnp.sum(above, dtype=jnp.int32)
    share = missing / jnp.maximum(jnp.sum(at, dtype=jnp.int32), 1)
    return jnp.sum(values * jnp.where(above, 1.0, jnp.where(at, share, 0.0)))


def _kth_largest(values: Maps, k: Int[Array, ""]) -> Scalar:
    """Return the k-th largest of non-negative float32 `values`; +inf for k = 0.

    Non-negative floats have the same order as their bit patterns, so the result is built bit by bit from 31 counts over
    the array. On a CPU this is many times faster than sorting, and unlike `lax.top_k` it allows a traced k.
    """
    bits = jax.lax.bitcast_convert_type(values, jnp.int32)
    wanted = jnp.maximum(k, 1)  # k = 0 would give the bits of a NaN, which `jax_debug_nans` reports

    def set_bit(i: Int[Array, ""], found: Int[Array, ""]) -> Int[Array, ""]:
        candidate = found | (jnp.int32(1) << (30 - i))
        return jnp.where(jnp.sum(bits >= candidate, dtype=jnp.int32) >= wanted, candidate, found)

    found = jax.lax.fori_loop(0, 31, set_bit, jnp.int32(0))
    return jnp.where(k > 0, jax.lax.bitcast_convert_type(found, jnp.float32), jnp.inf)
