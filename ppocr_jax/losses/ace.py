"""Aggregation cross-entropy: how often each character occurs, whatever the order. A cheap companion of CTC."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from ppocr_jax.charset import BLANK
from ppocr_jax.losses.arrays import AnyArray, Scalar


def ace_loss(logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"]) -> Scalar:
    """Cross-entropy between the characters of a label and the mean of its frames' distributions, mean over lines:

        m_k = 1/T sum over t of softmax(logits)_t[k],   n_k = occurrences of k in the label,   n_blank = T - length
        L = -sum over k of n_k / T log m_k

    A label longer than T has no such distribution and gives 0 and no gradient. PaddleOCR release/2.6 offers the loss
    beside CTC with weight 0.1, passing m through another softmax; here it is as published.

    Args:
        logits: of every frame; log-probabilities do as well.
        labels: class ids, padded behind `lengths`.
        lengths: characters per label.

    Source: Xie et al., "Aggregation Cross-Entropy for Sequence Recognition", CVPR 2019, arXiv 1904.08364.
    """
    frames = logits.shape[1]
    log_frames = jax.nn.log_softmax(logits.astype(jnp.float32))
    log_mean = jax.nn.logsumexp(log_frames, axis=1) - jnp.log(frames)
    inside = jnp.arange(labels.shape[1]) < lengths[:, None]
    characters = jnp.where(inside, jnp.take_along_axis(log_mean, labels, axis=1), 0.0).sum(1)
    losses = -(characters + (frames - lengths) * log_mean[:, BLANK]) / frames
    return jnp.where(lengths <= frames, losses, 0.0).mean()
