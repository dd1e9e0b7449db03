"""Networks with the outputs of the real ones, small enough to compile in a second.

No bias before a BatchNorm: its gradient is rounding noise, which Adam would blow up to full steps.
"""

from __future__ import annotations

import jax
from flax import linen as nn


class TinyRecognizer(nn.Module):
    """One convolution with BatchNorm, pooled over the height, and the two dense layers of a CTC head."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = nn.Conv(8, (4, 4), (4, 4), use_bias=False, name="conv")(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, name="bn")(x))
        backbone = x.mean(1)
        features = nn.Dense(4, name="fc1")(backbone)
        return {"backbone": backbone, "features": features, "logits": nn.Dense(self.num_classes, name="fc2")(features)}


class TinyDetector(nn.Module):
    """One convolution with BatchNorm and the three maps."""

    width: int = 4

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        x = nn.Conv(self.width, (3, 3), use_bias=False, name="conv")(images)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9, name="bn")(x))
        maps = nn.sigmoid(nn.Conv(2, (1, 1), name="maps")(x))
        probability, threshold = maps[..., 0], maps[..., 1]
        return {
            "probability": probability,
            "threshold": threshold,
            "binary": nn.sigmoid(50 * (probability - threshold)),
        }
