"""ResNet-vd: the backbones of PP-OCR's server models and of the teachers of PP-OCRv2 and v3 (arXiv 1812.01187).

Two things set the "vd" form apart: a stem of three 3x3 convolutions instead of one 7x7, and shortcuts that reduce by
averaging, where a strided 1x1 convolution would skip three cells of four.
"""

from __future__ import annotations

from functools import partial

import jax
from flax import linen as nn

from ppocr_jax.models.layers import ConvBN
from ppocr_jax.models.ops import Ops, Strides

STEM_WIDTHS = (32, 32, 64)
WIDTHS = (64, 128, 256, 512)
RESNET18 = (2, 2, 2, 2)
RESNET34 = (3, 4, 6, 3)
RESNET50 = (3, 4, 6, 3)  # bottlenecks
_WIDENING = 4  # from a bottleneck's inner width to its output


class BasicBlock(nn.Module):
    """3x3 convolution, ReLU, 3x3 convolution, plus the shortcut, ReLU; each convolution has BN.

    Attributes:
        features: output channels.
        ops: the platform's operations.
        strides: of the first convolution; the shortcut averages windows of this size.
        project: the shortcut has a 1x1 convolution, as in the first block of every stage; else it is the input itself.
    """

    features: int
    ops: Ops
    strides: Strides = (1, 1)
    project: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, ceil(H / sh), ceil(W / sw), features)."""
        conv = partial(ConvBN, self.features, self.ops)
        y = conv(kernel=3, strides=self.strides, activation=nn.relu, name="conv0")(x, train=train)
        y = conv(kernel=3, name="conv1")(y, train=train)
        if self.project:
            x = conv(name="short")(self.ops.average_pool(x, self.strides), train=train)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """1x1 convolution, ReLU, 3x3, ReLU, 1x1 to four times the width, plus the shortcut, ReLU; each has BN.

    Attributes:
        features: inner width.
        ops: the platform's operations.
        strides: of the 3x3 convolution; the shortcut averages windows of this size.
        project: the shortcut has a 1x1 convolution, as in the first block of every stage; else it is the input itself.
    """

    features: int
    ops: Ops
    strides: Strides = (1, 1)
    project: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, C) -> (B, ceil(H / sh), ceil(W / sw), 4 features)."""
        conv = partial(ConvBN, ops=self.ops)
        y = conv(self.features, activation=nn.relu, name="conv0")(x, train=train)
        y = conv(self.features, kernel=3, strides=self.strides, activation=nn.relu, name="conv1")(y, train=train)
        y = conv(_WIDENING * self.features, name="conv2")(y, train=train)
        if self.project:
            x = self.ops.average_pool(x, self.strides)
            x = conv(_WIDENING * self.features, name="short")(x, train=train)
        return nn.relu(x + y)


class ResNetVdDet(nn.Module):
    """The detector's backbone.

    Attributes:
        ops: the platform's operations.
        depths: blocks in each of the four stages.
        bottleneck: of 1x1, 3x3 and 1x1 convolutions, four times as wide.
    """

    ops: Ops
    depths: tuple[int, ...] = RESNET18
    bottleneck: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """(B, H, W, 3) -> feature maps at strides 4, 8, 16 and 32, of 64 to 512 channels, or four times so."""
        x = _stem(images, self.ops, strides=(2, 2), train=train)
        block = Bottleneck if self.bottleneck else BasicBlock
        return _stages(x, self.ops, depths=self.depths, strides=(2, 2), block=block, train=train)


class ResNetVdText(nn.Module):
    """The recognizer's backbone: the stages halve the height only, as text is wide and low.

    Attributes:
        ops: the platform's operations.
        depths: blocks in each of the four stages.
    """

    ops: Ops
    depths: tuple[int, ...] = RESNET34

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """(B, 32, W, 3) -> (B, 1, W // 4, 512)."""
        x = _stem(images, self.ops, strides=(1, 1), train=train)
        return self.ops.max_pool(_stages(x, self.ops, depths=self.depths, strides=(2, 1), train=train)[-1])


def _stem(images: jax.Array, ops: Ops, *, strides: Strides, train: bool) -> jax.Array:
    """Apply three convolutions, the first with `strides`, and 3x3 max pooling of stride 2; called inside a backbone."""
    x = images
    for i, width in enumerate(STEM_WIDTHS, start=1):
        reduce = strides if i == 1 else (1, 1)
        x = ConvBN(width, ops, kernel=3, strides=reduce, activation=nn.relu, name=f"conv1_{i}")(x, train=train)
    return ops.max_pool_3x3(x)


def _stages(
    x: jax.Array,
    ops: Ops,
    *,
    depths: tuple[int, ...],
    strides: Strides,
    train: bool,
    block: type[BasicBlock] | type[Bottleneck] = BasicBlock,
) -> tuple[jax.Array, ...]:
    """Return every stage's output; all stages but the first reduce by `strides`. Called inside a backbone."""
    maps = []
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
        for i in range(depth):
            reduce = strides if stage > 0 and i == 0 else (1, 1)
            x = block(width, ops, strides=reduce, project=i == 0, name=f"block_{stage}_{i}")(x, train=train)
        maps.append(x)
    return tuple(maps)
