"""The direction classifier: is a line upright or turned by 180 degrees (PP-OCR, section 2.2)."""

from __future__ import annotations

import jax
from flax import linen as nn

from ppocr_jax.models.layers import Linear
from ppocr_jax.models.mobilenet_v3 import MobileNetV3Text
from ppocr_jax.models.ops import Ops


class DirectionNet(nn.Module):
    """MobileNetV3-small x0.35, global average pooling, one dense layer.

    Attributes:
        ops: the platform's operations.
        scale: backbone width multiplier.
        num_classes: 2: upright, turned by 180 degrees.
        frame_classes: classes of an auxiliary head on every column, for training alone; 0 for none, as PP-OCR has it.
    """

    ops: Ops
    scale: float = 0.35
    num_classes: int = 2
    frame_classes: int = 0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Classify lines.

        Args:
            images: (B, 48, 192, 3) float32, normalized.
            train: use batch statistics, and compute the auxiliary head as well.

        Returns:
            `logits` (B, 2); in eval mode also `probabilities` (B, 2); with `train` and `frame_classes` also
            `frame_logits` (B, 48, frame_classes).
        """
        x = MobileNetV3Text(self.ops, scale=self.scale, name="backbone")(images, train=train)
        logits = Linear(self.num_classes, name="head")(x.mean((1, 2)))
        if self.frame_classes and (train or self.is_initializing()):
            frame_logits = Linear(self.frame_classes, name="frame_head")(x.mean(1))
            return {"logits": logits, "frame_logits": frame_logits}
        return {"logits": logits} if train else {"logits": logits, "probabilities": nn.softmax(logits)}
