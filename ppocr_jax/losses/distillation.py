"""Distillation losses of a detector: a frozen teacher's probability map is the target, dilated as in PP-OCRv2 or not.

`dilated_teacher_loss` is part of Collaborative Mutual Learning, which also uses labels. `soft_teacher_loss` and
`hard_teacher_loss` need no labels: the soft loss raises the student's recall but blurs the gaps between neighboring
lines, the hard loss restores the gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float

from ppocr_jax.losses.arrays import AnyArray, Scalar
from ppocr_jax.losses.db import (
    Maps,
    Targets,
    balanced_bce_loss,
    binary_cross_entropy,
    dice_loss,
    float32,
    masked_l1_loss,
)

_LEAST_TEXT = 1e-3  # lower bound on the share of text pixels in the divisor


def dilate(maps: Maps) -> Maps:
    """Return the maximum of each pixel and its neighbors above, to the left, and above left:

        out[y, x] = max(in[y, x], in[y - 1, x], in[y, x - 1], in[y - 1, x - 1])

    Regions grow by one pixel downwards and to the right. This is OpenCV's dilation by a 2 x 2 kernel of ones, with
    which PP-OCRv2 widens the teacher's shrunk regions.
    """
    padded = jnp.pad(maps, ((0, 0), (1, 0), (1, 0)), mode="edge")
    rows = jnp.maximum(padded[:, 1:], padded[:, :-1])
    return jnp.maximum(rows[:, :, 1:], rows[:, :, :-1])


def dilated_teacher_loss(
    student_outputs: Mapping[str, Maps],
    teacher_probability: Float[AnyArray, "_ _ _"],
    shrink_mask: Targets,
    *,
    threshold: float = 0.3,
    binarize: bool = True,
    main: Literal["dice", "bce", "l1"] = "dice",
    gamma: float = 5.0,
    negative_ratio: float = 3.0,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute a student's loss against the dilated map of its teacher:

        D = dilate(T > threshold), or dilate(T) without `binarize`
        gamma * main(P, D) + dice(B, D)

    The paper dilates the probability map itself and uses cross-entropy as main loss: `binarize=False, main="bce"`. The
    released detectors were trained with the defaults. No gradient reaches the teacher.

    Args:
        student_outputs: "probability" P and "binary" B of the DB head; without "binary", its term is left out.
        teacher_probability: T of the same images.
        shrink_mask: 0 for ignored pixels, else 1; any number type.
        threshold: Teacher probability above which a pixel is text.
        binarize: Use a target of 0 and 1.
        main: Loss of the probability map; see `db_loss`. It is 0 in a batch in which the teacher finds no text.
        gamma: Weight of the probability map.
        negative_ratio: Background pixels per text pixel of "bce"; a soft target is text above 0.5. See
            `balanced_bce_loss`.

    Returns:
        The loss, and its unweighted terms "probability" and "binary".

    Raises:
        ValueError: If the main loss is unknown, or the maps of student and teacher differ in shape.

    Source: PP-OCRv2 eq. 3; PaddleOCR release/2.6.
    """
    probability = student_outputs["probability"]
    teacher = _teacher_map(probability, teacher_probability)
    target = dilate((teacher > threshold).astype(jnp.float32) if binarize else teacher)
    least = 0.5 if main == "bce" else threshold  # `balanced_bce_loss` counts (and divides by) pixels above 0.5
    sees_text = jnp.any((target > least) & (jnp.asarray(shrink_mask) > 0))
    loss = _probability_loss(probability, target, shrink_mask, main=main, negative_ratio=negative_ratio)
    probability_term = jnp.where(sees_text, loss, 0.0)
    if "binary" not in student_outputs:
        return gamma * probability_term, {"probability": probability_term}
    terms = {
        "probability": probability_term,
        "binary": dice_loss(student_outputs["binary"], target, shrink_mask),
    }
    return gamma * terms["probability"] + terms["binary"], terms


def soft_teacher_loss(
    probability: Maps, teacher_probability: Float[AnyArray, "_ _ _"], mask: Targets
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute a student's loss against the probability map of its teacher, uncertain pixels included:

        sum(|p - t| bce(p, t) m) / max(sum(t m), sum(m) / 1000, 1e-6) + dice(p, t)

    The factor |p - t| makes the first term 0 if the student agrees, however uncertain the teacher is, so the few pixels
    that matter are not lost among the many that agree. The lower bound of the divisor keeps images without text, for
    which the sum of t is close to 0, from dominating the loss. No gradient reaches the teacher.

    Args:
        probability: p of the student.
        teacher_probability: t of the same images.
        mask: m, 0 for ignored pixels, else 1; any number type.

    Returns:
        The loss, and its terms "bce" and "dice".

    Raises:
        ValueError: If the maps of student and teacher differ in shape.

    Source: The weight is that of Quality Focal Loss (arXiv 2006.04388) with an exponent of 1.
    """
    pred, teacher, kept = float32(probability, _teacher_map(probability, teacher_probability), mask)
    cross_entropy = jnp.sum(jnp.abs(pred - teacher) * binary_cross_entropy(pred, teacher) * kept)
    text = jnp.maximum(jnp.sum(teacher * kept), _LEAST_TEXT * jnp.sum(kept))
    terms = {"bce": cross_entropy / jnp.maximum(text, 1e-6), "dice": dice_loss(pred, teacher, kept)}
    return terms["bce"] + terms["dice"], terms


def hard_teacher_loss(
    probability: Maps,
    teacher_probability: Float[AnyArray, "_ _ _"],
    mask: Targets,
    *,
    threshold: float = 0.5,
    bce_weight: float = 3.0,
    negative_ratio: float = 3.0,
) -> tuple[Scalar, dict[str, Scalar]]:
    """Compute a student's loss against the binarized map of its teacher, T = t > threshold:

        bce_weight * balanced_bce(p, T) + dice(p, T)

    No gradient reaches the teacher.

    Args:
        probability: p of the student.
        teacher_probability: t of the same images.
        mask: 0 for ignored pixels, else 1; any number type.
        threshold: Teacher probability above which a pixel is text.
        bce_weight: Weight of the cross-entropy; 3 was measured to restore the gaps between lines.
        negative_ratio: Background pixels per text pixel; see `balanced_bce_loss`.

    Returns:
        The loss, and its unweighted terms "bce" and "dice".

    Raises:
        ValueError: If the maps of student and teacher differ in shape.
    """
    target = (_teacher_map(probability, teacher_probability) > threshold).astype(jnp.float32)
    terms = {
        "bce": balanced_bce_loss(probability, target, mask, negative_ratio=negative_ratio),
        "dice": dice_loss(probability, target, mask),
    }
    return bce_weight * terms["bce"] + terms["dice"], terms


def _teacher_map(probability: Maps, teacher_probability: Float[AnyArray, "_ _ _"]) -> Maps:
    if probability.shape != teacher_probability.shape:
        raise ValueError(f"student's map {probability.shape} and teacher's {teacher_probability.shape} differ in shape")
    return jax.lax.stop_gradient(jnp.asarray(teacher_probability)).astype(jnp.float32)


def _probability_loss(pred: Maps, target: Maps, mask: Targets, *, main: str, negative_ratio: float) -> Scalar:
    if main == "bce":
        return balanced_bce_loss(pred, target, mask, negative_ratio=negative_ratio)
    if main == "dice":
        return dice_loss(pred, target, mask)
    if main == "l1":
        return masked_l1_loss(pred, target, mask)
    raise ValueError(f'main must be "dice", "bce" or "l1", not {main!r}')
