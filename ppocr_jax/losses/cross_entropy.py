"""Cross-entropies over classes: a line's direction, labeled frames, an attention head, and aggregated (ACE)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from ppocr_jax.charset import BLANK
from ppocr_jax.losses.arrays import AnyArray, Scalar

IGNORED_FRAME = -1


def direction_loss(logits: Float[AnyArray, "B C"], labels: Int[AnyArray, " B"]) -> Scalar:
    """Mean softmax cross-entropy over integer labels (PP-OCR, arXiv 2009.09941, section 2.2)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels).mean()


def frame_loss(logits: Float[AnyArray, "B T K"], frames: Int[AnyArray, "B T"], *, blank_weight: float = 0.3) -> Scalar:
    """Weighted mean cross-entropy over labeled frames, for lines whose alignment is known: a warm start for CTC.

        L = sum over (b, t) of w * -log softmax(logits)[frames] / sum of w
        w = 1 for a character, `blank_weight` for blank, 0 for an ignored frame

    CTC from scratch must first find out where the characters stand, and sits on a plateau until it has. A drawn line's
    generator knows every character's position, so its frames can be labeled directly.

    Args:
        logits: of every frame.
        frames: class id per frame; `IGNORED_FRAME` where it is not known.
        blank_weight: most frames are blank; without a lower weight they would outvote the characters.

    Returns:
        0 where no frame is labeled.
    """
    log_probabilities = jax.nn.log_softmax(logits.astype(jnp.float32))
    chosen = jnp.take_along_axis(log_probabilities, jnp.maximum(frames, 0)[..., None], axis=-1)[..., 0]
    weights = jnp.where(frames > 0, 1.0, blank_weight) * (frames != IGNORED_FRAME)
    return -(chosen * weights).sum() / jnp.maximum(weights.sum(), 1e-6)


def attention_loss(
    logits: Float[AnyArray, "B P C"],
    labels: Int[AnyArray, "B L"],
    lengths: Int[AnyArray, " B"],
    used: Bool[AnyArray, " B"],
) -> Scalar:
    """Loss of an attention head, which writes a text character by character (SAR, arXiv 1811.00751).

    It is the mean cross-entropy of the characters and of the end behind them, over all places that a label fills:

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


def ace_loss(logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"]) -> Scalar:
    """Cross-entropy between the characters of a label and the mean of its frames' distributions, mean over lines.

    It asks how often each character occurs, whatever the order; a cheap companion of CTC:

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
