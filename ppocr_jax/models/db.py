"""The detector: backbone -> FPN -> differentiable binarization head (arXiv 1911.08947; PP-OCRv2, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.layers import batch_norm, kaiming_normal, kaiming_uniform, uniform
from ppocr_jax.models.mobilenet_v3 import MobileNetV3Det, backbone_widths
from ppocr_jax.models.ops import Ops
from ppocr_jax.models.resnet_vd import RESNET18, ResNetVdDet

# Steepness of the approximate step function, DB eq. 2.
DB_K = 50
_NORM_BIAS = 1e-4


class PlainConv(nn.Module):
    """Convolution without bias, norm or activation, KaimingUniform."""

    features: int
    ops: Ops
    kernel: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weight = self.param("kernel", kaiming_uniform(self.kernel * self.kernel * x.shape[-1]), shape)
        return self.ops.conv(x, weight, (1, 1))


class DBFPN(nn.Module):
    """Lateral 1x1 -> top-down sums -> 3x3 to a quarter of the channels -> all at stride 4, concatenated coarse to fine.

    Attributes:
        channels: inner width F; the output has F channels too.
    """

    ops: Ops
    channels: int = 96

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> jax.Array:
        """Maps at strides 4, 8, 16, 32 -> (B, H/4, W/4, F)."""
        laterals = [PlainConv(self.channels, self.ops, name=f"in{i}")(x) for i, x in enumerate(maps, start=2)]
        sums = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            sums.append(lateral + self.ops.upsample(sums[-1], 2))
        quarter = self.channels // 4
        smooth = [
            PlainConv(quarter, self.ops, kernel=3, name=f"p{level}")(x)
            for level, x in zip((5, 4, 3, 2), sums, strict=True)
        ]
        full_size = [self.ops.upsample(x, factor) for x, factor in zip(smooth[:3], (8, 4, 2), strict=True)]
        return jnp.concatenate([*full_size, smooth[3]], axis=-1)


class TransposedConv2x2(nn.Module):
    """2x2 transposed convolution with stride 2 and bias.

    Its windows do not overlap, so it is a product to 4 values per channel followed by depth-to-space.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        # Paddle takes the fan of a [Cin, Cout, 2, 2] weight from its second axis.
        kernel = self.param("kernel", kaiming_uniform(self.features * 4), (channels, 2, 2, self.features))
        bias = self.param("bias", uniform(1 / math.sqrt(channels)), (self.features,))
        cells = (x @ kernel.reshape(channels, 4 * self.features)).reshape(batch, height, width, 2, 2, self.features)
        return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features) + bias


class DBBranch(nn.Module):
    """3x3 convolution, then two transposed convolutions to the input's resolution; logits of one map."""

    ops: Ops

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H/4, W/4, F) -> (B, H, W)."""
        quarter = x.shape[-1] // 4
        weight = self.param("kernel", kaiming_normal(9 * x.shape[-1]), (3, 3, x.shape[-1], quarter))
        x = self.ops.conv(x, weight, (1, 1))
        norm_bias = nn.initializers.constant(_NORM_BIAS)
        x = nn.relu(batch_norm("bn1", train=train, bias_init=norm_bias)(x))
        x = TransposedConv2x2(quarter, name="up1")(x)
        x = nn.relu(batch_norm("bn2", train=train, bias_init=norm_bias)(x))
        return TransposedConv2x2(1, name="up2")(x).squeeze(-1)


class DBNet(nn.Module):
    """A backbone, the FPN and the head.

    Attributes:
        ops: the platform's operations.
        backbone: from images to feature maps at strides 4, 8, 16 and 32.
        channels: width of the neck.
    """

    ops: Ops
    backbone: nn.Module
    channels: int

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Find text.

        Args:
            images: (B, H, W, 3) float32, normalized; H and W multiples of 32.
            train: use batch statistics, and compute the threshold branch as well.

        Returns:
            `probability` (B, H, W); with `train` also `threshold` and `binary`, the approximate binarization
            1 / (1 + exp(-k (probability - threshold))), DB eq. 2.
        """
        maps = self.backbone(images, train=train)
        fused = DBFPN(self.ops, channels=self.channels, name="neck")(maps)
        probability = nn.sigmoid(DBBranch(self.ops, name="probability")(fused, train=train))
        if not train and not self.is_initializing():
            return {"probability": probability}
        threshold = nn.sigmoid(DBBranch(self.ops, name="threshold")(fused, train=train))
        binary = nn.sigmoid(DB_K * (probability - threshold))
        return {"probability": probability, "threshold": threshold, "binary": binary}


def db_mobilenet_v3(
    *, ops: Ops, scale: float = 0.5, channels: int = 96, widths: Mapping[str, Any] | None = None
) -> DBNet:
    """PP-OCR's mobile detector, PP-OCRv2's student: MobileNetV3-large without squeeze-and-excite.

    Args:
        ops: the platform's operations.
        scale: backbone width multiplier.
        channels: width of the neck.
        widths: channels of a pruned backbone: `expansions`, `features` and `last` of `BackboneWidths`.

    Raises:
        ValueError: `widths` are not those of such a backbone.
    """
    pruned = None if widths is None else backbone_widths(widths, scale)
    return DBNet(ops, MobileNetV3Det(ops, scale=scale, widths=pruned), channels)


def db_resnet18(*, ops: Ops, channels: int = 256) -> DBNet:
    """PP-OCR's server detector, PP-OCRv2's teacher (section 2.1): ResNet18-vd.

    Args:
        ops: the platform's operations.
        channels: width of the neck.
    """
    return DBNet(ops, ResNetVdDet(ops, depths=RESNET18), channels)
