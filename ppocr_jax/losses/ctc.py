"""Connectionist temporal classification, blank 0."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from ppocr_jax.charset import BLANK
from ppocr_jax.losses.arrays import AnyArray, Scalar

# Stands for log 0 where a true infinity would make gradients of nan.
LOG_ZERO = -1e5


def is_feasible(labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"], frames: int) -> Bool[Array, " B"]:
    """Whether a label fits the time axis: one frame per character and one blank between equal neighbors."""
    inside = jnp.arange(1, labels.shape[1]) < lengths[:, None]
    repeats = ((labels[:, 1:] == labels[:, :-1]) & inside).sum(1)
    return jnp.less_equal(lengths + repeats, frames)


def ctc_loss_per_line(
    logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"]
) -> Float[Array, " B"]:
    """Negative log-likelihood of each label, not divided by its length.

        L = -log sum over alignments pi of label: prod over t of softmax(logits)_t[pi_t]

    An infeasible label (longer than the time axis allows) gives 0 and no gradient, as warp-ctc does; `optax.ctc_loss`
    alone would give about 1e5.

    Args:
        logits: of every frame; log-probabilities do as well.
        labels: class ids, padded with 0 behind `lengths`.
        lengths: characters per label.
    """
    frames = logits.shape[1]
    padding = (jnp.arange(labels.shape[1]) >= lengths[:, None]).astype(jnp.float32)
    feasible = is_feasible(labels, lengths, frames)
    losses = optax.ctc_loss(
        logits.astype(jnp.float32), jnp.zeros(logits.shape[:2], jnp.float32), labels, padding, blank_id=BLANK
    )
    return jnp.where(feasible, losses, 0.0)


def ctc_loss(
    logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"], *, focal: bool = False
) -> Scalar:
    """Mean of `ctc_loss_per_line` over the batch.

        focal:  mean of (1 - exp(-L))^2 L

    The focal form lets lines that are read well count less: a line of likelihood 0.5 weighs a quarter. Its weight is
    differentiated through, as in PaddleOCR release/2.6.

    Args:
        logits: see `ctc_loss_per_line`.
        labels: see `ctc_loss_per_line`.
        lengths: see `ctc_loss_per_line`.
        focal: whether to weigh lines so; PP-OCRv2 does not.
    """
    losses = ctc_loss_per_line(logits, labels, lengths)
    return jnp.mean(jnp.square(jnp.expm1(-losses)) * losses if focal else losses)


def fold_case(
    logits: Float[AnyArray, "B T K"], partner: Int[AnyArray, " K"], is_lower: Bool[AnyArray, " K"]
) -> Float[Array, "B T K"]:
    """Log-probabilities in which a capital stands for itself and its small letter.

        log p'(A) = log(p(A) + p(a)),   p'(a) = 0

    CTC on these is blind to case, so that labels written in capitals whatever the image shows (SROIE's) teach the
    letters and not the case.

    Args:
        logits: of every frame.
        partner: id of the same letter in the other case; a character without one has its own id.
        is_lower: small letters that have a capital.
    """
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    both = jnp.logaddexp(log_probabilities, log_probabilities[..., partner])
    has_partner = partner != jnp.arange(partner.shape[0])
    folded = jnp.where(has_partner, both, log_probabilities)
    return jnp.where(is_lower, LOG_ZERO, folded)
