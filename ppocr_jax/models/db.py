"""Detectors: backbone, neck, differentiable binarization head (arXiv 1911.08947; PP-OCRv2, section 2.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.layers import SqueezeExcite, batch_norm, kaiming_normal, kaiming_uniform, uniform
from ppocr_jax.models.mobilenet_v3 import MOBILENET_SLOPE, MobileNetV3Det, backbone_widths
from ppocr_jax.models.ops import Ops, Strides
from ppocr_jax.models.resnet_vd import RESNET18, RESNET50, ResNetVdDet

# Steepness of the approximate step function, DB eq. 2.
DB_K = 50
_NORM_BIAS = 1e-4


class NeckConv(nn.Module):
    """Convolution without bias, norm or activation; with `excite` plus its squeeze-and-excite.

    The latter is PP-OCRv3's RSE layer, y + SE(y): a plain squeeze-and-excite would suppress some of the few channels of
    a narrow neck.
    """

    features: int
    ops: Ops
    kernel: int = 1
    strides: Strides = (1, 1)
    excite: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel, self.kernel, x.shape[-1], self.features)
        weight = self.param("kernel", kaiming_uniform(self.kernel * self.kernel * x.shape[-1]), shape)
        y = self.ops.conv(x, weight, self.strides)
        return y + SqueezeExcite(self.ops, slope=MOBILENET_SLOPE, name="se")(y) if self.excite else y


class DBFPN(nn.Module):
    """Feature pyramid: lateral 1x1 -> top-down sums -> 3x3 to a quarter of the channels -> one map at stride 4.

    DB (arXiv 1911.08947) as slimmed by PP-OCR; with `excite` the RSE-FPN of PP-OCRv3 (arXiv 2206.03001).

    Attributes:
        channels: Inner width F; the output also has F channels, coarse to fine.
        excite: Every convolution gets a residual squeeze-and-excite.
    """

    ops: Ops
    channels: int = 96
    excite: bool = False

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> jax.Array:
        """Fuse maps at strides 4, 8, 16, 32 into (B, H/4, W/4, F)."""
        conv = partial(NeckConv, ops=self.ops, excite=self.excite)
        laterals = [conv(self.channels, name=f"in{i}")(x) for i, x in enumerate(maps, start=2)]
        smooth = [
            conv(self.channels // 4, kernel=3, name=f"p{level}")(x)
            for level, x in zip((5, 4, 3, 2), _top_down(laterals, self.ops), strict=True)
        ]
        return _at_stride_4(smooth, self.ops)


class LargeKernelPAN(nn.Module):
    """Path aggregation with 9x9 convolutions: LK-PAN, the neck of PP-OCRv3's teacher (arXiv 2206.03001).

    Like `DBFPN`, but a bottom-up path follows the top-down sums, so that large text also sees small details.

    Attributes:
        channels: Inner width F; the output also has F channels, coarse to fine.
    """

    ops: Ops
    channels: int = 256

    @nn.compact
    def __call__(self, maps: Sequence[jax.Array]) -> jax.Array:
        """Fuse maps at strides 4, 8, 16, 32 into (B, H/4, W/4, F)."""
        conv = partial(NeckConv, ops=self.ops)
        quarter = self.channels // 4
        laterals = [conv(self.channels, name=f"in{i}")(x) for i, x in enumerate(maps, start=2)]
        reduced = [
            conv(quarter, kernel=9, name=f"p{level}")(x)
            for level, x in zip((5, 4, 3, 2), _top_down(laterals, self.ops), strict=True)
        ]
        sums = [reduced[-1]]
        for level, x in zip((3, 4, 5), reduced[-2::-1], strict=True):
            sums.append(x + conv(quarter, kernel=3, strides=(2, 2), name=f"down{level}")(sums[-1]))
        smooth = [conv(quarter, kernel=9, name=f"out{level}")(x) for level, x in enumerate(sums, start=2)]
        return _at_stride_4(smooth[::-1], self.ops)


def _top_down(laterals: Sequence[jax.Array], ops: Ops) -> list[jax.Array]:
    """Add to each map the upsampled sum of the coarser ones. Input is fine to coarse, output coarse to fine."""
    sums = [laterals[-1]]
    for lateral in reversed(laterals[:-1]):
        sums.append(lateral + ops.upsample(sums[-1], 2))
    return sums


def _at_stride_4(maps: Sequence[jax.Array], ops: Ops) -> jax.Array:
    """Bring maps at strides 32, 16, 8 and 4 to stride 4 and concatenate their channels."""
    larger = [ops.upsample(x, factor) for x, factor in zip(maps[:3], (8, 4, 2), strict=True)]
    return jnp.concatenate([*larger, maps[3]], axis=-1)


class TransposedConv2x2(nn.Module):
    """2x2 transposed convolution with stride 2 and bias.

    Its windows do not overlap, so it is a product to 4 values per channel followed by depth-to-space.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        batch, height, width, channels = x.shape
        # Paddle computes the fan of a [Cin, Cout, 2, 2] weight from its second axis.
        kernel = self.param("kernel", kaiming_uniform(self.features * 4), (channels, 2, 2, self.features))
        bias = self.param("bias", uniform(1 / math.sqrt(channels)), (self.features,))
        cells = (x @ kernel.reshape(channels, 4 * self.features)).reshape(batch, height, width, 2, 2, self.features)
        return cells.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features) + bias


class DBBranch(nn.Module):
    """A convolution and two transposed convolutions to the input's resolution; returns the logits of one map.

    Attributes:
        kernel: Side of the first convolution's kernel.
    """

    ops: Ops
    kernel: int = 3

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H/4, W/4, F) to logits (B, H, W)."""
        quarter = x.shape[-1] // 4
        shape = (self.kernel, self.kernel, x.shape[-1], quarter)
        weight = self.param("kernel", kaiming_normal(self.kernel * self.kernel * x.shape[-1]), shape)
        x = self.ops.conv(x, weight, (1, 1))
        norm_bias = nn.initializers.constant(_NORM_BIAS)
        x = nn.relu(batch_norm("bn1", train=train, bias_init=norm_bias)(x))
        x = TransposedConv2x2(quarter, name="up1")(x)
        x = nn.relu(batch_norm("bn2", train=train, bias_init=norm_bias)(x))
        return TransposedConv2x2(1, name="up2")(x).squeeze(-1)


class DBNet(nn.Module):
    """DB detector: backbone, neck and head.

    Attributes:
        ops: The platform's operations.
        backbone: From images to feature maps at strides 4, 8, 16 and 32.
        neck: From these to one map at stride 4.
        head_kernel: Side of the head's first convolutions.
        threshold: Whether it has the threshold branch, which only training uses.
    """

    ops: Ops
    backbone: nn.Module
    neck: nn.Module
    head_kernel: int = 3
    threshold: bool = True

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, jax.Array]:
        """Predict text pixels.

        Args:
            images: (B, H, W, 3) float32, normalized; H and W multiples of 32.
            train: Use batch statistics, and compute the threshold branch.

        Returns:
            `probability` (B, H, W); with `train` and the threshold branch also `threshold` and `binary`, the
            approximate binarization 1 / (1 + exp(-k (probability - threshold))), DB eq. 2.
        """
        fused = self.neck(self.backbone(images, train=train))
        branch = partial(DBBranch, self.ops, kernel=self.head_kernel)
        probability = nn.sigmoid(branch(name="probability")(fused, train=train))
        if not self.threshold or (not train and not self.is_initializing()):
            return {"probability": probability}
        threshold = nn.sigmoid(branch(name="threshold")(fused, train=train))
        binary = nn.sigmoid(DB_K * (probability - threshold))
        return {"probability": probability, "threshold": threshold, "binary": binary}


def db_mobilenet_v3(
    *, ops: Ops, scale: float = 0.5, channels: int = 96, widths: Mapping[str, Any] | None = None, threshold: bool = True
) -> DBNet:
    """Build PP-OCR's mobile detector, PP-OCRv2's student: MobileNetV3-large without squeeze-and-excite.

    Args:
        ops: The platform's operations.
        scale: Backbone width multiplier.
        channels: Width of the neck.
        widths: Channels of a pruned backbone: `expansions`, `features` and `last` of `BackboneWidths`.
        threshold: See `DBNet`.

    Raises:
        ValueError: If `widths` do not fit the backbone.
    """
    return DBNet(ops, _mobile_backbone(ops, scale, widths), DBFPN(ops, channels=channels), threshold=threshold)


def db_rse_fpn(
    *, ops: Ops, scale: float = 0.5, channels: int = 96, widths: Mapping[str, Any] | None = None, threshold: bool = True
) -> DBNet:
    """Build PP-OCRv3's student: the mobile detector with RSE-FPN; arrays have the same names, RSE-FPN adds new ones.

    Args:
        ops: The platform's operations.
        scale: Backbone width multiplier.
        channels: Width of the neck.
        widths: Channels of a pruned backbone: `expansions`, `features` and `last` of `BackboneWidths`.
        threshold: See `DBNet`.

    Raises:
        ValueError: If `widths` do not fit the backbone.
    """
    return DBNet(
        ops, _mobile_backbone(ops, scale, widths), DBFPN(ops, channels=channels, excite=True), threshold=threshold
    )


def _mobile_backbone(ops: Ops, scale: float, widths: Mapping[str, Any] | None) -> MobileNetV3Det:
    return MobileNetV3Det(ops, scale=scale, widths=None if widths is None else backbone_widths(widths, scale))


def db_resnet18(*, ops: Ops, channels: int = 256, threshold: bool = True) -> DBNet:
    """Build PP-OCR's server detector, PP-OCRv2's teacher (section 2.1): ResNet18-vd.

    Args:
        ops: The platform's operations.
        channels: Width of the neck.
        threshold: See `DBNet`.
    """
    return DBNet(ops, ResNetVdDet(ops, depths=RESNET18), DBFPN(ops, channels=channels), threshold=threshold)


def db_lk_pan(*, ops: Ops, channels: int = 256, depths: Sequence[int] = RESNET50, threshold: bool = True) -> DBNet:
    """Build PP-OCRv3's teacher: ResNet50-vd, LK-PAN, and a head that starts with 7x7 convolutions.

    Args:
        ops: The platform's operations.
        channels: Width of the neck.
        depths: Blocks in each of the backbone's four stages.
        threshold: See `DBNet`.
    """
    backbone = ResNetVdDet(ops, depths=tuple(depths), bottleneck=True)
    return DBNet(ops, backbone, LargeKernelPAN(ops, channels=channels), head_kernel=7, threshold=threshold)
