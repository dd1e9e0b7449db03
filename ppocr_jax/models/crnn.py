"""The recogniser: backbone -> two bidirectional LSTM layers -> CTC head (PP-OCRv2, section 2.2)."""

from __future__ import annotations

import jax
from flax import linen as nn

from ppocr_jax.models.layers import BiLSTMLayer, Linear
from ppocr_jax.models.ops import Ops
from ppocr_jax.models.pp_lcnet import LCNetRec


class CTCHead(nn.Module):
    """FC to `mid_channels`, FC to the classes, no activation between; the first output is the centre-loss feature."""

    num_classes: int
    mid_channels: int = 96

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        features = Linear(self.mid_channels, name="fc1")(x)
        return features, Linear(self.num_classes, name="fc2")(features)


class Recognizer(nn.Module):
    """PP-OCRv2 recogniser.

    Attributes:
        num_classes: K, blank included.
        ops: the platform's operations.
        hidden: LSTM width per direction.
        scale: backbone width multiplier.
    """

    num_classes: int
    ops: Ops
    hidden: int = 64
    scale: float = 0.5

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Read a batch of line pictures.

        Args:
            images: (B, 32, W, 3) float32, normalised; W a multiple of 4.
            train: use batch statistics.

        Returns:
            `logits` (B, W/4, K); `features` (B, W/4, 96), the first head layer's output; `backbone` (B, W/4, 512);
            and, in eval mode, `probabilities` (B, W/4, K).
        """
        backbone = LCNetRec(self.ops, scale=self.scale, name="backbone")(images, train=train)
        backbone = backbone.squeeze(1)
        x = BiLSTMLayer(self.hidden, self.ops, name="lstm_0")(backbone)
        x = BiLSTMLayer(self.hidden, self.ops, name="lstm_1")(x)
        features, logits = CTCHead(self.num_classes, name="head")(x)
        outputs = {"logits": logits, "features": features, "backbone": backbone, "neck": x}
        return outputs if train else {**outputs, "probabilities": nn.softmax(logits)}
