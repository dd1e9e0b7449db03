"""The recognizer: backbone -> two bidirectional LSTM layers -> CTC head (PP-OCRv2, section 2.2)."""

from __future__ import annotations

import jax
from flax import linen as nn

from ppocr_jax.models.layers import ACTIVATIONS, BiLSTMLayer, Linear
from ppocr_jax.models.mobilenet_v3 import MobileNetV3Text
from ppocr_jax.models.ops import Ops
from ppocr_jax.models.pp_lcnet import LCNetRec
from ppocr_jax.models.resnet_vd import RESNET34, ResNetVdText


class CTCHead(nn.Module):
    """Dense layer to `mid_channels` and dense layer to the classes, without activation; or a single dense layer.

    Attributes:
        num_classes: K, blank included.
        mid_channels: Output width of the first layer; None for a single layer.
    """

    num_classes: int
    mid_channels: int | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map (B, T, C) to the center-loss feature and the logits (B, T, K).

        The feature is the input of the last layer, (B, T, mid_channels or C).
        """
        if self.mid_channels is None:
            return x, Linear(self.num_classes, name="fc")(x)
        features = Linear(self.mid_channels, name="fc1")(x)
        return features, Linear(self.num_classes, name="fc2")(features)


class CRNN(nn.Module):
    """A backbone that reduces the height to one row, two bidirectional LSTM layers, and the head.

    Attributes:
        num_classes: K, blank included.
        ops: The platform's operations.
        backbone: (B, 32, W, 3) -> (B, 1, W/4, C).
        hidden: LSTM width per direction, H.
        mid_channels: Width of the head's first layer; None for a head of one layer.
    """

    num_classes: int
    ops: Ops
    backbone: nn.Module
    hidden: int
    mid_channels: int | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Recognize a batch of line images.

        Args:
            images: (B, 32, W, 3) float32, normalized; W a multiple of 4.
            train: Use batch statistics.

        Returns:
            `logits` (B, W/4, K); `backbone` (B, W/4, C); `neck` (B, W/4, 2H), the LSTMs' output; `features`, the input
            of the head's last layer: the first layer's output (B, W/4, mid_channels), or `neck` if the head has one
            layer; and, in evaluation mode, `probabilities` (B, W/4, K).
        """
        backbone = self.backbone(images, train=train).squeeze(1)
        x = BiLSTMLayer(self.hidden, self.ops, name="lstm_0")(backbone)
        x = BiLSTMLayer(self.hidden, self.ops, name="lstm_1")(x)
        features, logits = CTCHead(self.num_classes, self.mid_channels, name="head")(x)
        outputs = {"logits": logits, "features": features, "backbone": backbone, "neck": x}
        return outputs if train else {**outputs, "probabilities": nn.softmax(logits)}


def crnn_lcnet(
    *, num_classes: int, ops: Ops, scale: float = 0.5, hidden: int = 64, activation: str = "hard_swish"
) -> CRNN:
    """Build PP-OCRv2's recognizer: PP-LCNet and a head of two layers.

    Args:
        num_classes: K, blank included.
        ops: The platform's operations.
        scale: Backbone width multiplier.
        hidden: LSTM width per direction.
        activation: "hard_swish", PP-LCNet's, or "relu", which int8 convolutions apply at no cost.

    Raises:
        ValueError: If there is no such activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be {' or '.join(ACTIVATIONS)}, not {activation!r}")
    backbone = LCNetRec(ops, scale=scale, activation=ACTIVATIONS[activation])
    return CRNN(num_classes, ops, backbone, hidden, mid_channels=96)


def crnn_mobilenet_v3(*, num_classes: int, ops: Ops, scale: float = 0.5, hidden: int = 48) -> CRNN:
    """Build PP-OCR's mobile recognizer, the first row of PP-OCRv2's table 3: MobileNetV3-small.

    Args:
        num_classes: K, blank included.
        ops: The platform's operations.
        scale: Backbone width multiplier.
        hidden: LSTM width per direction.
    """
    return CRNN(num_classes, ops, MobileNetV3Text(ops, scale=scale, first_strides=(1, 1)), hidden)


def crnn_resnet34(*, num_classes: int, ops: Ops, hidden: int = 256) -> CRNN:
    """Build PP-OCR's server recognizer: ResNet34-vd.

    Args:
        num_classes: K, blank included.
        ops: The platform's operations.
        hidden: LSTM width per direction.
    """
    return CRNN(num_classes, ops, ResNetVdText(ops, depths=RESNET34), hidden)
