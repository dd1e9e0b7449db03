"""PP-LCNet (arXiv 2109.15099) for images and as the recognizers' backbone ("MobileNetV1Enhance" in PaddleOCR).

Both have the same blocks. The recognizers' backbone (PP-OCRv2, section 2.2) states twice the width and reduces mainly
the height.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
from flax import linen as nn

from ppocr_jax.models.layers import Activation, ConvBN, SqueezeExcite, hard_swish, round_channels
from ppocr_jax.models.ops import Ops, Strides

LCNET_SLOPE = 1 / 6


class Block(NamedTuple):
    """One depthwise-separable block of the table: kernel side, base output width, strides, squeeze-and-excite."""

    kernel: int
    width: int
    strides: Strides
    squeeze_excite: bool = False


STEM_WIDTH = 32
BLOCKS = (
    Block(3, 64, (1, 1)),
    Block(3, 128, (1, 1)),
    Block(3, 128, (1, 1)),
    Block(3, 256, (2, 1)),
    Block(3, 256, (1, 1)),
    Block(3, 512, (2, 1)),
    *(Block(5, 512, (1, 1)) for _ in range(5)),
    Block(5, 1024, (2, 1), squeeze_excite=True),
    Block(5, 1024, (1, 1), squeeze_excite=True),
)


# Strides of the blocks for images, for both directions.
IMAGE_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


class DepthwiseSeparable(nn.Module):
    """Depthwise k x k -> optional squeeze-and-excite -> pointwise 1x1; each convolution has BN and the activation."""

    block: Block
    features: int
    ops: Ops
    activation: Activation = hard_swish

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        depthwise = ConvBN(
            x.shape[-1],
            self.ops,
            kernel=self.block.kernel,
            strides=self.block.strides,
            depthwise=True,
            activation=self.activation,
            grouped_fan=True,
            name="depthwise",
        )
        x = depthwise(x, train=train)
        if self.block.squeeze_excite:
            x = SqueezeExcite(self.ops, slope=LCNET_SLOPE, name="se")(x)
        return ConvBN(self.features, self.ops, activation=self.activation, name="pointwise")(x, train=train)


class LCNetRec(nn.Module):
    """Backbone of the recognizers: after the stem, the blocks reduce the height and only the last pooling the width.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier; widths are truncated to `int(base * scale)`.
        tall: For lines 48 pixels high (PP-OCRv3): the last block halves the width, and the last pooling is an average.
        activation: Follows each convolution; PP-LCNet's is hard swish.
    """

    ops: Ops
    scale: float = 0.5
    tall: bool = False
    activation: Activation = hard_swish

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, 32, W, 3) to (B, 1, W // 4, 512) at scale 0.5; with `tall` (B, 48, W, 3) to (B, 1, W // 8, 512)."""
        act, stem = self.activation, int(STEM_WIDTH * self.scale)
        x = ConvBN(stem, self.ops, kernel=3, strides=(2, 2), activation=act, name="conv1")(images, train=train)
        last = BLOCKS[-1]._replace(strides=(1, 2)) if self.tall else BLOCKS[-1]
        for i, block in enumerate((*BLOCKS[:-1], last)):
            width = int(block.width * self.scale)
            x = DepthwiseSeparable(block, width, self.ops, act, name=f"block_{i}")(x, train=train)
        if not self.tall:
            return self.ops.max_pool(x)
        height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2  # of three rows the last is ignored
        return self.ops.average_pool(x[:, :height, :width], (2, 2))


class LCNetImage(nn.Module):
    """Backbone for images.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier; widths are rounded to multiples of 8.
    """

    ops: Ops
    scale: float = 1.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, 3) to (B, H / 32, W / 32, 512 scale)."""

        def wide(width: int) -> int:
            return round_channels(width / 2 * self.scale)

        stem = ConvBN(wide(STEM_WIDTH), self.ops, kernel=3, strides=(2, 2), activation=hard_swish, name="conv1")
        x = stem(images, train=train)
        for i, (row, stride) in enumerate(zip(BLOCKS, IMAGE_STRIDES, strict=True)):
            block = row._replace(strides=(stride, stride))
            x = DepthwiseSeparable(block, wide(row.width), self.ops, name=f"block_{i}")(x, train=train)
        return x
