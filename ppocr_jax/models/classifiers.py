"""Classifiers: the direction classifier of lines, and the image classifiers of PP-OCRv2's table 4.

An image classifier trains a backbone from which a detector or recognizer can start: the arrays have the same names.
"""

from __future__ import annotations

import jax
from flax import linen as nn

from ppocr_jax.models.layers import ConvBN, Linear, hard_swish, kaiming_normal
from ppocr_jax.models.mobilenet_v3 import MobileNetV3Image, MobileNetV3Text
from ppocr_jax.models.mobilenets import GhostNet, MobileNetV1, MobileNetV2
from ppocr_jax.models.ops import Ops
from ppocr_jax.models.pp_lcnet import LCNetImage

HEAD_WIDTH = 1280
DROPOUT = 0.2


class DirectionNet(nn.Module):
    """MobileNetV3-small x0.35, global average pooling, one dense layer.

    Attributes:
        ops: The platform's operations.
        scale: Backbone width multiplier.
        num_classes: 2: upright, rotated by 180 degrees.
        frame_classes: Classes of an auxiliary head on every column, for training only; 0 for none, as in PP-OCR.
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
            train: Use batch statistics, and compute the auxiliary head.

        Returns:
            `logits` (B, 2); in evaluation mode also `probabilities` (B, 2); with `train` and `frame_classes` also
            `frame_logits` (B, 48, frame_classes).
        """
        x = MobileNetV3Text(self.ops, scale=self.scale, name="backbone")(images, train=train)
        logits = Linear(self.num_classes, name="head")(x.mean((1, 2)))
        if self.frame_classes and (train or self.is_initializing()):
            frame_logits = Linear(self.frame_classes, name="frame_head")(x.mean(1))
            return {"logits": logits, "frame_logits": frame_logits}
        return {"logits": logits} if train else {"logits": logits, "probabilities": nn.softmax(logits)}


class ImageClassifier(nn.Module):
    """A backbone, global average pooling, an optional wide layer, and one dense layer.

    Dropout is Paddle's "downscale in infer": training drops values without scaling the others; inference multiplies by
    the share that is kept. It needs a random key named "dropout"; without one, nothing is dropped.

    Attributes:
        ops: The platform's operations.
        backbone: From images to (B, H / 32, W / 32, C).
        num_classes: Image classes.
        wide: Layer from the pooled values to 1280: "plain", a product and hard swish (PP-LCNet, MobileNetV3); "norm", a
            product, BN and ReLU (GhostNet); "none". Dropout follows a wide layer.
    """

    ops: Ops
    backbone: nn.Module
    num_classes: int
    wide: str = "none"

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Classify images.

        Args:
            images: (B, H, W, 3) float32, normalized; 224 x 224 in the papers.
            train: Use batch statistics.

        Returns:
            `logits` (B, num_classes); `features`, the input of the last layer; in evaluation mode also `probabilities`.
        """
        x = self.backbone(images, train=train).mean((1, 2))
        if self.wide == "plain":
            kernel = self.param("wide", kaiming_normal(x.shape[-1]), (x.shape[-1], HEAD_WIDTH))
            x = hard_swish(x @ kernel)
        elif self.wide == "norm":
            layer = ConvBN(HEAD_WIDTH, self.ops, activation=nn.relu, name="wide")
            x = layer(x[:, None, None], train=train)[:, 0, 0]
        if self.wide != "none":
            x = self._dropout(x, train=train)
        logits = Linear(self.num_classes, name="fc")(x)
        outputs = {"logits": logits, "features": x}
        return outputs if train else {**outputs, "probabilities": nn.softmax(logits)}

    def _dropout(self, x: jax.Array, *, train: bool) -> jax.Array:
        if not train:
            return x * (1 - DROPOUT)
        if not self.has_rng("dropout"):
            return x
        return x * jax.random.bernoulli(self.make_rng("dropout"), 1 - DROPOUT, x.shape)


def pp_lcnet(*, ops: Ops, num_classes: int = 1000, scale: float = 1.0) -> ImageClassifier:
    """Build PP-LCNet (arXiv 2109.15099). At scale 1 its backbone is that of PP-OCRv2's and v3's recognizer at 0.5.

    Args:
        ops: The platform's operations.
        num_classes: Image classes.
        scale: Width multiplier; the published ones are 0.25, 0.35, 0.5, 0.75, 1, 1.5, 2 and 2.5.
    """
    return ImageClassifier(ops, LCNetImage(ops, scale=scale), num_classes, "plain")


def mobilenet_v1(*, ops: Ops, num_classes: int = 1000, scale: float = 0.75) -> ImageClassifier:
    """Build MobileNetV1 (arXiv 1704.04861); arguments as for `pp_lcnet`."""
    return ImageClassifier(ops, MobileNetV1(ops, scale=scale), num_classes)


def mobilenet_v2(*, ops: Ops, num_classes: int = 1000, scale: float = 0.75) -> ImageClassifier:
    """Build MobileNetV2 (arXiv 1801.04381); arguments as for `pp_lcnet`."""
    return ImageClassifier(ops, MobileNetV2(ops, scale=scale), num_classes)


def mobilenet_v3_small(*, ops: Ops, num_classes: int = 1000, scale: float = 1.0) -> ImageClassifier:
    """Build PaddleClas's MobileNetV3-small (arXiv 1905.02244): the direction classifier's backbone with square strides.

    Arguments as for `pp_lcnet`.
    """
    return ImageClassifier(ops, MobileNetV3Image(ops, scale=scale), num_classes, "plain")


def mobilenet_v3_large(*, ops: Ops, num_classes: int = 1000, scale: float = 0.5) -> ImageClassifier:
    """Build PaddleClas's MobileNetV3-large (arXiv 1905.02244): the mobile detector's backbone with squeeze-and-excite.

    Arguments as for `pp_lcnet`.
    """
    return ImageClassifier(ops, MobileNetV3Image(ops, scale=scale, large=True), num_classes, "plain")


def ghostnet(*, ops: Ops, num_classes: int = 1000, scale: float = 0.5) -> ImageClassifier:
    """Build GhostNet (arXiv 1911.11907); arguments as for `pp_lcnet`."""
    return ImageClassifier(ops, GhostNet(ops, scale=scale), num_classes, "norm")
