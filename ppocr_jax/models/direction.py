"""The direction classifier: is a line upright or turned by 180 degrees (PP-OCR, section 2.2)."""

from __future__ import annotations

import jax
from flax import linen as nn

from ppocr_jax.models.layers import Linear
from ppocr_jax.models.mobilenet_v3 import MobileNetV3Text
from ppocr_jax.models.ops import Ops


class DirectionClassifier(nn.Module):
    """MobileNetV3-small x0.35, global average pooling, one dense layer.

    Attributes:
        ops: the platform's operations.
        scale: backbone width multiplier.
        num_classes: 2: upright, turned by 180 degrees.
    """

    ops: Ops
    scale: float = 0.35
    num_classes: int = 2

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """(B, 48, 192, 3) -> `logits` (B, 2) and, in eval mode, `probabilities` (B, 2)."""
        x = MobileNetV3Text(self.ops, scale=self.scale, name="backbone")(images, train=train)
        logits = Linear(self.num_classes, name="head")(x.mean((1, 2)))
        return {"logits": logits} if train else {"logits": logits, "probabilities": nn.softmax(logits)}
