"""Losses between students that learn from each other; each loss sends gradients to both students.

Deep Mutual Learning (DML, Zhang et al., arXiv 1706.00384) in the forms of PP-OCRv2's CML (detectors) and U-DML
(recognizers).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from ppocr_jax.losses.arrays import AnyArray, Scalar
from ppocr_jax.losses.db import Maps

_MAP_EPSILON = 1e-5
_SEQUENCE_EPSILON = 1e-10
_SMALLEST_PROBABILITY = 1e-6

Form = Literal["code", "paper"]


def map_dml_loss(probability_a: Maps, probability_b: Float[AnyArray, "_ _ _"], *, form: Form = "code") -> Scalar:
    """Compute the symmetric Kullback-Leibler divergence of two probability maps, mean over images and pixels:

        code:   1/2 [p log((p + e) / (q + e) + e) + q log((q + e) / (p + e) + e)],  e = 1e-5
        paper:  1/2 [KL(p || q) + KL(q || p)] = 1/2 (p - q) (logit p - logit q)

    PP-OCRv2's detectors were trained with "code". It sums over the text class only, so pixels that both students
    predict as background have almost no weight; equal maps give 1e-5 times their mean. "paper" is the divergence of the
    two Bernoulli distributions, text and background; equal maps give exactly 0. Its logits log p - log(1 - p) clip both
    probabilities to at least 1e-6, so a saturated pixel stays finite.

    Args:
        probability_a: p of one student.
        probability_b: q of the other student, for the same images.
        form: "code" or "paper".

    Raises:
        ValueError: If the form is unknown, or the maps differ in shape.

    Source: PP-OCRv2 eq. 2; PaddleOCR release/2.6 for "code".
    """
    check_same_shape(probability_a, probability_b)
    p, q = (x.astype(jnp.float32) for x in (probability_a, probability_b))
    if form == "code":
        return jnp.mean(0.5 * (_text_divergence(p, q) + _text_divergence(q, p)))
    if form == "paper":
        return jnp.mean(0.5 * (p - q) * (_finite_logit(p) - _finite_logit(q)))
    raise ValueError(f'form must be "code" or "paper", not {form!r}')


def sequence_dml_loss(
    logits_a: Float[AnyArray, "B T K"],
    logits_b: Float[AnyArray, "_ _ _"],
    counted: Bool[AnyArray, "B T"] | None = None,
) -> Scalar:
    """Compute the symmetric Kullback-Leibler divergence of two recognizers' frames, summed over time, mean over lines:

        p = softmax(a) + e,  q = softmax(b) + e,  e = 1e-10
        1 / (2 B) sum over lines, time and classes of [q (log(q + e) - log p) + p (log(p + e) - log q)]

    It grows with the number of frames, as CTC does; e limits the loss of one frame to 23.

    Args:
        logits_a: Logits of one student.
        logits_b: Logits of the other student, for the same lines.
        counted: Frames to sum over, for example those that a label fills; None for all.

    Raises:
        ValueError: If the logits differ in shape.

    Source: PP-OCRv2, section 2.2, the DML loss of U-DML; epsilons of PaddleOCR release/2.6.
    """
    check_same_shape(logits_a, logits_b)
    p, q = (jax.nn.softmax(logits.astype(jnp.float32)) + _SEQUENCE_EPSILON for logits in (logits_a, logits_b))
    divergence = q * (jnp.log(q + _SEQUENCE_EPSILON) - jnp.log(p)) + p * (jnp.log(p + _SEQUENCE_EPSILON) - jnp.log(q))
    if counted is not None:
        divergence = jnp.where(counted[..., None], divergence, 0)
    return 0.5 * jnp.sum(divergence) / p.shape[0]


def feature_loss(features_a: Float[AnyArray, ...], features_b: Float[AnyArray, ...]) -> Scalar:
    """Compute the mean squared difference of two students' feature maps over all elements:

        mean((a - b)^2)

    Args:
        features_a: Backbone output of one student.
        features_b: Backbone output of the other student, for the same images.

    Raises:
        ValueError: If the features differ in shape.

    Source: PP-OCRv2, section 2.2, the feature loss of U-DML.
    """
    check_same_shape(features_a, features_b)
    return jnp.mean(jnp.square(features_a.astype(jnp.float32) - features_b.astype(jnp.float32)))


def mean_over_peers(losses: Sequence[Scalar]) -> Scalar:
    """Return the mean of one student's losses with each of its peers (at least one)."""
    return jnp.mean(jnp.stack(losses))


def check_same_shape(a: AnyArray, b: AnyArray) -> None:
    """Raise ValueError if the shapes differ; arithmetic would broadcast one student's output over the other's."""
    if a.shape != b.shape:
        raise ValueError(f"mutual learners must agree in shape, but one gives {a.shape} and the other {b.shape}")


def _text_divergence(p: Maps, q: Maps) -> Maps:
    return p * jnp.log((p + _MAP_EPSILON) / (q + _MAP_EPSILON) + _MAP_EPSILON)


def _finite_logit(p: Maps) -> Maps:
    text, background = (jnp.log(jnp.maximum(x, _SMALLEST_PROBABILITY)) for x in (p, 1 - p))
    return text - background
