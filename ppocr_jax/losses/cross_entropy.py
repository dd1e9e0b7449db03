"""Cross-entropy losses: direction, labeled frames, attention head, and aggregation cross-entropy (ACE)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from ppocr_jax.charset import BLANK
from ppocr_jax.losses.arrays import AnyArray, Scalar

IGNORED_FRAME = -1


def direction_loss(logits: Float[AnyArray, "B C"], labels: Int[AnyArray, " B"]) -> Scalar:
    """Compute the mean softmax cross-entropy over integer labels (PP-OCR, arXiv 2009.09941, section 2.2)."""
    return optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), labels).mean()


def frame_loss(logits: Float[AnyArray, "B T K"], frames: Int[AnyArray, "B T"], *, blank_weight: float = 0.3) -> Scalar:
    """Compute the weighted mean cross-entropy over labeled frames, a warm start for CTC if the alignment is known:

        L = sum over (b, t) of w * -log softmax(logits)[frames] / sum of w
        w = 1 for a character, `blank_weight` for blank, 0 for an ignored frame

    CTC from scratch must first learn where the characters are, and the loss stays on a plateau until it has. The
    generator of a synthetic line knows every character's position, so its frames can be labeled directly.

    Args:
        logits: Logits of every frame.
        frames: Class id per frame; `IGNORED_FRAME` if unknown.
        blank_weight: Weight of blank frames; most frames are blank and would outweigh the characters.

    Returns:
        The loss; 0 if no frame is labeled.
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
    """Compute the loss of an attention head, which predicts a text character by character (SAR, arXiv 1811.00751).

    It is the mean cross-entropy of the characters and the end token over all positions that a label fills:

        L = -1 / sum of (n_b + 1) * sum over b, t <= n_b of log softmax(logits)_bt[c_bt],  c_b = label, then the end

    Args:
        logits: Logits of P = L + 1 positions; classes are CTC's without the blank, then unknown, then the end.
        labels: CTC class ids, padded with 0 after `lengths`.
        lengths: Characters per label, n_b.
        used: Lines to count, for example only those with case-sensitive labels; if none is used, the loss is 0.
    """
    places = jnp.arange(logits.shape[1])
    end = logits.shape[2] - 1
    targets = jnp.where(places < lengths[:, None], jnp.pad(labels, ((0, 0), (0, 1))) - 1, end)
    counted = places_of_labels(logits.shape[1], lengths, used)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits.astype(jnp.float32), targets)
    return jnp.where(counted, losses, 0).sum() / jnp.maximum(counted.sum(), 1)


def places_of_labels(places: int, lengths: Int[AnyArray, " B"], used: Bool[AnyArray, " B"]) -> Bool[AnyArray, "B P"]:
    """Return which of P positions the labels of the used lines fill: their characters and the end token."""
    return (jnp.arange(places) <= lengths[:, None]) & used[:, None]


def ace_loss(logits: Float[AnyArray, "B T K"], labels: Int[AnyArray, "B L"], lengths: Int[AnyArray, " B"]) -> Scalar:
    """Compute the aggregation cross-entropy between a label's character counts and the frames' mean distribution.

    It compares how often each character occurs, regardless of order; a cheap addition to CTC. Mean over lines of:

        m_k = 1/T sum over t of softmax(logits)_t[k],   n_k = occurrences of k in the label,   n_blank = T - length
        L = -sum over k of n_k / T log m_k

    A label longer than T gives 0 and no gradient. PaddleOCR release/2.6 offers this loss with weight 0.1 next to CTC
    but passes m through another softmax; this is the published form.

    Args:
        logits: Logits of every frame; log-probabilities work as well.
        labels: Class ids, padded after `lengths`.
        lengths: Characters per label.

    Source: Xie et al., "Aggregation Cross-Entropy for Sequence Recognition", CVPR 2019, arXiv 1904.08364.
    """
    frames = logits.shape[1]
    log_frames = jax.nn.log_softmax(logits.astype(jnp.float32))
    log_mean = jax.nn.logsumexp(log_frames, axis=1) - jnp.log(frames)
    inside = jnp.arange(labels.shape[1]) < lengths[:, None]
    characters = jnp.where(inside, jnp.take_along_axis(log_mean, labels, axis=1), 0.0).sum(1)
    losses = -(characters + (frames - lengths) * log_mean[:, BLANK]) / frames
    return jnp.where(lengths <= frames, losses, 0.0).mean()
