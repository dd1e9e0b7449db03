"""Connectionist temporal classification (CTC) with blank 0."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from ppocr_jax.charset import BLANK
from ppocr_jax.losses.arrays import AnyArray, Scalar

# Finite substitute for log 0: a true infinity would give NaN gradients.
LOG_ZERO = -1e5


def is_feasible(labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"], frames: int) -> Bool[Array, " B"]:
    """Return whether each label fits: one frame per character and one blank between equal neighbors."""
    inside = jnp.arange(1, labels.shape[1]) < lengths[:, None]
    repeats = ((labels[:, 1:] == labels[:, :-1]) & inside).sum(1)
    return jnp.less_equal(lengths + repeats, frames)


def ctc_loss_per_line(
    logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"]
) -> Float[Array, " B"]:
    """Compute the negative log-likelihood of each label, not divided by its length.

        L = -log sum over alignments pi of label: prod over t of softmax(logits)_t[pi_t]

    An infeasible label (longer than the time axis allows) gives 0 and no gradient, as in warp-ctc; `optax.ctc_loss`
    alone would give about 1e5.

    Args:
        logits: Logits of every frame; log-probabilities work as well.
        labels: Class ids, padded with 0 after `lengths`.
        lengths: Characters per label.
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
    """Compute the mean of `ctc_loss_per_line` over the batch.

        focal:  mean of (1 - exp(-L))^2 L

    The focal form gives lines that are already recognized well less weight: a line of likelihood 0.5 has weight 1/4.
    Gradients flow through this weight, as in PaddleOCR release/2.6.

    Args:
        logits: See `ctc_loss_per_line`.
        labels: See `ctc_loss_per_line`.
        lengths: See `ctc_loss_per_line`.
        focal: Use the focal form; PP-OCRv2 does not.
    """
    losses = ctc_loss_per_line(logits, labels, lengths)
    return jnp.mean(jnp.square(jnp.expm1(-losses)) * losses if focal else losses)


def fold_case(
    logits: Float[AnyArray, "B T K"], pairs: Int[AnyArray, "P 2"], blind: Bool[AnyArray, " B"]
) -> Float[Array, "B T K"]:
    """Return log-probabilities in which, for some lines, each capital letter also stands for its small letter.

        log p'(A) = log(p(A) + p(a)),   p'(a) = 0

    CTC on these ignores case. Labels written in capitals regardless of the image (SROIE's) then teach the letters but
    not their case. Only the columns of letters are computed: among thousands of ideographs there are few.

    Args:
        logits: Logits of every frame.
        pairs: Ids of each capital and its small letter; a letter occurs once.
        blind: Lines whose case is ignored; the others keep their log-probabilities.
    """
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    blind = blind[:, None, None]
    capitals, small = log_probabilities[..., pairs[:, 0]], log_probabilities[..., pairs[:, 1]]
    merged = jnp.where(blind, jnp.logaddexp(capitals, small), capitals)
    silenced = jnp.where(blind, LOG_ZERO, small)
    return log_probabilities.at[..., pairs[:, 0]].set(merged).at[..., pairs[:, 1]].set(silenced)
