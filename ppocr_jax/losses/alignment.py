"""Frame-wise cross-entropy for lines whose alignment is known: a warm start for CTC.

CTC from scratch must first find out where the characters stand, and sits on a plateau until it has. A drawn line's
generator knows every character's position, so its frames can be labeled directly.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from ppocr_jax.losses.arrays import AnyArray, Scalar

IGNORED_FRAME = -1


def frame_loss(logits: Float[AnyArray, "B T K"], frames: Int[AnyArray, "B T"], *, blank_weight: float = 0.3) -> Scalar:
    """Weighted mean cross-entropy over labeled frames.

        L = sum over (b, t) of w * -log softmax(logits)[frames] / sum of w
        w = 1 for a character, `blank_weight` for blank, 0 for an ignored frame

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
