"""DB's feature pyramid neck (arXiv 1911.08947, as slimmed by PP-OCR)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.layers import kaiming_uniform
from ppocr_jax.models.ops import Ops


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
