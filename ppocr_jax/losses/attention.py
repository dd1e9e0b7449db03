"""Loss of an attention head that writes a text character by character (SAR, arXiv 1811.00751)."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from ppocr_jax.losses.arrays import AnyArray, Scalar


def attention_loss(
    logits: Float[AnyArray, "B P C"],
    labels: Int[AnyArray, "B L"],
    lengths: Int[AnyArray, " B"],
    used: Bool[AnyArray, " B"],
) -> Scalar:
    """Mean cross-entropy of the characters and of the end behind them, over all places that a label fills.

        L = -1 / sum of (n_b + 1) * sum over b, t <= n_b of log softmax(logits)_bt[c_bt],  c_b = label, then the end

    Args:
        logits: of P = L + 1 places; classes are CTC's without the blank, then unknown, then the end.
        labels: CTC class ids, padded with 0 behind `lengths`.
        lengths: characters per label, n_b.
        used: lines that count, such as those whose labels tell capitals from small letters; without any the loss is 0.
    """
    places = jnp.arange(logits.shape[1])
    end = logits.shape[2] - 1
    targets = jnp.where(places < lengths[:, None], jnp.pad(labels, ((0, 0), (0, 1))) - 1, end)
    counted = places_of_labels(logits.shape[1], lengths, used)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
    return jnp.where(counted, losses, 0).sum() / jnp.maximum(counted.sum(), 1)


def places_of_labels(places: int, lengths: Int[AnyArray, " B"], used: Bool[AnyArray, " B"]) -> Bool[AnyArray, "B P"]:
    """Return which of P places the labels fill: their characters and the end behind them, of the lines that count."""
    return (jnp.arange(places) <= lengths[:, None]) & used[:, None]
