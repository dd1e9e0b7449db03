"""ResNet-vd: the backbones of PP-OCR's server models and of the teachers of PP-OCRv2 and v3 (arXiv 1812.01187).

"vd" differs from the original ResNet in two ways: its stem is three 3x3 convolutions instead of one 7x7, and its
shortcuts reduce by averaging, because a strided 1x1 convolution would ignore three cells of four.
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
_WIDENING = 4  # ratio of a bottleneck's output width to its inner width


class BasicBlock(nn.Module):
    """3x3 convolution, ReLU, 3x3 convolution, plus the shortcut, ReLU; each convolution has BN.

    Attributes:
        features: Output channels.
        ops: The platform's operations.
        strides: Strides of the first convolution; the shortcut averages windows of this size.
        project: Use a 1x1 convolution in the shortcut, as in the first block of every stage; otherwise it is the input.
    """

    features: int
    ops: Ops
    strides: Strides = (1, 1)
    project: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, C) to (B, ceil(H / sh), ceil(W / sw), features)."""
        conv = partial(ConvBN, self.features, self.ops)
        y = conv(kernel=3, strides=self.strides, activation=nn.relu, name="conv0")(x, train=train)
        y = conv(kernel=3, name="conv1")(y, train=train)
        if self.project:
            x = conv(name="short")(self.ops.average_pool(x, self.strides), train=train)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """1x1 convolution, ReLU, 3x3, ReLU, 1x1 to four times the width, plus the shortcut, ReLU; each has BN.

    Attributes:
        features: Inner width.
        ops: The platform's operations.
        strides: Strides of the 3x3 convolution; the shortcut averages windows of this size.
        project: Use a 1x1 convolution in the shortcut, as in the first block of every stage; otherwise it is the input.
    """

    features: int
    ops: Ops
    strides: Strides = (1, 1)
    project: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, C) to (B, ceil(H / sh), ceil(W / sw), 4 features)."""
        conv = partial(ConvBN, ops=self.ops)
        y = conv(self.features, activation=nn.relu, name="conv0")(x, train=train)
        y = conv(self.features, kernel=3, strides=self.strides, activation=nn.relu, name="conv1")(y, train=train)
        y = conv(_WIDENING * self.features, name="conv2")(y, train=train)
        if self.project:
            x = self.ops.average_pool(x, self.strides)
            x = conv(_WIDENING * self.features, name="short")(x, train=train)
        return nn.relu(x + y)


class ResNetVdDet(nn.Module):
    """Backbone of the detector.

    Attributes:
        ops: The platform's operations.
        depths: Blocks in each of the four stages.
        bottleneck: Use bottleneck blocks (1x1, 3x3 and 1x1), whose output is four times as wide.
    """

    ops: Ops
    depths: tuple[int, ...] = RESNET18
    bottleneck: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Map (B, H, W, 3) to maps at strides 4, 8, 16 and 32 of 64, 128, 256 and 512 channels.

        With `bottleneck` there are four times as many channels.
        """
        x = _stem(images, self.ops, strides=(2, 2), train=train)
        block = Bottleneck if self.bottleneck else BasicBlock
        return _stages(x, self.ops, depths=self.depths, strides=(2, 2), block=block, train=train)


class ResNetVdText(nn.Module):
    """Backbone of the recognizer; the stages halve only the height because text is wide and low.

    Attributes:
        ops: The platform's operations.
        depths: Blocks in each of the four stages.
    """

    ops: Ops
    depths: tuple[int, ...] = RESNET34

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, 32, W, 3) to (B, 1, W // 4, 512)."""
        x = _stem(images, self.ops, strides=(1, 1), train=train)
        return self.ops.max_pool(_stages(x, self.ops, depths=self.depths, strides=(2, 1), train=train)[-1])


def _stem(images: jax.Array, ops: Ops, *, strides: Strides, train: bool) -> jax.Array:
    """Apply three convolutions, the first with `strides`, and 3x3 max pooling with stride 2.

    Call it inside a backbone's `__call__`, which owns the parameters.
    """
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
    """Return every stage's output; all stages but the first reduce by `strides`.

    Call it inside a backbone's `__call__`, which owns the parameters.
    """
    maps = []
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True)):
        for i in range(depth):
            reduce = strides if stage > 0 and i == 0 else (1, 1)
            x = block(width, ops, strides=reduce, project=i == 0, name=f"block_{stage}_{i}")(x, train=train)
        maps.append(x)
    return tuple(maps)
