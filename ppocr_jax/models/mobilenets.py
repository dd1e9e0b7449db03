"""MobileNetV1, MobileNetV2 and GhostNet as backbones for images, for comparison with PP-LCNet (PP-OCRv2, table 4).

arXiv 1704.04861, 1801.04381 and 1911.11907, as implemented in PaddleClas.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.layers import ConvBN, SqueezeExcite, round_channels
from ppocr_jax.models.ops import Ops, Strides

# Output width and stride of each depthwise-separable block.
V1_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
V1_STEM = 32
# Expansion, output width, number of units, stride of the first unit.
V2_GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
V2_STEM, V2_LAST = 32, 1280


def relu6(x: jax.Array) -> jax.Array:
    """Clip to 0 and 6."""
    return jnp.clip(x, 0, 6)


class MobileNetV1(nn.Module):
    """Alternating depthwise 3x3 and pointwise 1x1 convolutions, each with BN and ReLU.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier; widths are truncated.
    """

    ops: Ops
    scale: float = 0.75

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, 3) to (B, H / 32, W / 32, 1024 scale)."""
        conv = partial(ConvBN, ops=self.ops, activation=nn.relu)
        x = conv(int(V1_STEM * self.scale), kernel=3, strides=(2, 2), name="conv1")(images, train=train)
        for i, (width, stride) in enumerate(V1_BLOCKS):
            depthwise = conv(x.shape[-1], kernel=3, strides=(stride, stride), depthwise=True, name=f"depthwise_{i}")
            x = depthwise(x, train=train)
            x = conv(int(width * self.scale), name=f"pointwise_{i}")(x, train=train)
        return x


class MobileNetV2(nn.Module):
    """Inverted residuals with linear bottlenecks and ReLU6.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier; widths are truncated, and the last layer is never narrower than 1280.
    """

    ops: Ops
    scale: float = 0.75

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, 3) to (B, H / 32, W / 32, C), C = 1280 max(1, scale)."""
        conv = partial(ConvBN, ops=self.ops)
        act = partial(conv, activation=relu6)
        x = act(int(V2_STEM * self.scale), kernel=3, strides=(2, 2), name="conv1")(images, train=train)
        for group, (expansion, width, units, stride) in enumerate(V2_GROUPS):
            for i in range(units):
                name = f"unit_{group}_{i}"
                strides = (stride, stride) if i == 0 else (1, 1)
                inner = expansion * x.shape[-1]
                y = act(inner, name=f"{name}_expand")(x, train=train)
                y = act(inner, kernel=3, strides=strides, depthwise=True, name=f"{name}_depthwise")(y, train=train)
                y = conv(int(width * self.scale), name=f"{name}_project")(y, train=train)
                x = x + y if i > 0 else y
        return act(int(V2_LAST * max(1.0, self.scale)), name="last")(x, train=train)


class GhostUnit(NamedTuple):
    """One row of GhostNet's table, at width 1: kernel side, expansion, output, squeeze-and-excite, stride."""

    kernel: int
    expand: int
    features: int
    squeeze_excite: bool
    stride: int


GHOST_UNITS = (
    GhostUnit(3, 16, 16, False, 1),
    GhostUnit(3, 48, 24, False, 2),
    GhostUnit(3, 72, 24, False, 1),
    GhostUnit(5, 72, 40, True, 2),
    GhostUnit(5, 120, 40, True, 1),
    GhostUnit(3, 240, 80, False, 2),
    GhostUnit(3, 200, 80, False, 1),
    GhostUnit(3, 184, 80, False, 1),
    GhostUnit(3, 184, 80, False, 1),
    GhostUnit(3, 480, 112, True, 1),
    GhostUnit(3, 672, 112, True, 1),
    GhostUnit(5, 672, 160, True, 2),
    GhostUnit(5, 960, 160, False, 1),
    GhostUnit(5, 960, 160, True, 1),
    GhostUnit(5, 960, 160, False, 1),
    GhostUnit(5, 960, 160, True, 1),
)
GHOST_STEM, GHOST_LAST = 16, 960
_GHOST_DIVISOR = 4
_GHOST_SLOPE = 1 / 6  # of the hard sigmoid in the authors' code


class GhostConv(nn.Module):
    """1x1 convolution to half of the channels, from which a cheap depthwise 3x3 computes the other half."""

    features: int
    ops: Ops
    active: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        half = math.ceil(self.features / 2)
        conv = partial(ConvBN, half, self.ops, **({"activation": nn.relu} if self.active else {}))
        primary = conv(name="primary")(x, train=train)
        cheap = conv(kernel=3, depthwise=True, name="cheap")(primary, train=train)
        return jnp.concatenate([primary, cheap], axis=-1)[..., : self.features]


class GhostBottleneck(nn.Module):
    """Ghost convolution to the expansion, strided depthwise, squeeze-and-excite, ghost convolution back; a shortcut."""

    unit: GhostUnit
    ops: Ops

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        unit, strides = self.unit, (self.unit.stride, self.unit.stride)
        conv = partial(ConvBN, ops=self.ops)
        y = GhostConv(unit.expand, self.ops, name="expand")(x, train=train)
        if unit.stride > 1:
            depthwise = conv(unit.expand, kernel=unit.kernel, strides=strides, depthwise=True, name="depthwise")
            y = depthwise(y, train=train)
        if unit.squeeze_excite:
            y = SqueezeExcite(self.ops, slope=_GHOST_SLOPE, name="se")(y)
        y = GhostConv(unit.features, self.ops, active=False, name="project")(y, train=train)
        if unit.stride > 1 or x.shape[-1] != unit.features:
            side = conv(x.shape[-1], kernel=unit.kernel, strides=strides, depthwise=True, name="short_depthwise")
            x = conv(unit.features, name="short_pointwise")(side(x, train=train), train=train)
        return x + y


class GhostNet(nn.Module):
    """Bottlenecks of ghost convolutions.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier; widths are rounded to multiples of 4.
    """

    ops: Ops
    scale: float = 0.5

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, 3) to (B, H / 32, W / 32, 960 scale)."""

        def wide(width: int) -> int:
            return round_channels(width * self.scale, _GHOST_DIVISOR)

        strides: Strides = (2, 2)
        conv = partial(ConvBN, ops=self.ops, activation=nn.relu)
        x = conv(wide(GHOST_STEM), kernel=3, strides=strides, name="conv1")(images, train=train)
        for i, row in enumerate(GHOST_UNITS):
            unit = row._replace(expand=wide(row.expand), features=wide(row.features))
            x = GhostBottleneck(unit, self.ops, name=f"unit_{i}")(x, train=train)
        return conv(wide(GHOST_LAST), name="last")(x, train=train)
