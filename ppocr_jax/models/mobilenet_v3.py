"""MobileNetV3 (arXiv 1905.02244): backbone of the mobile detectors, the classifiers and PP-OCR's mobile recognizer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
from flax import linen as nn

from ppocr_jax.models.layers import ACTIVATIONS, ConvBN, SqueezeExcite, hard_swish, round_channels
from ppocr_jax.models.ops import Ops, Strides

MOBILENET_SLOPE = 0.2


class Unit(NamedTuple):
    """One inverted residual of the table, at width 1.

    If `shortcut` is false, the unit has no shortcut even if the shapes agree.
    """

    kernel: int
    expand: int
    features: int
    squeeze_excite: bool
    activation: str
    strides: Strides
    shortcut: bool = True


LARGE = (
    Unit(3, 16, 16, False, "relu", (1, 1)),
    Unit(3, 64, 24, False, "relu", (2, 2)),
    Unit(3, 72, 24, False, "relu", (1, 1)),
    Unit(5, 72, 40, True, "relu", (2, 2)),
    Unit(5, 120, 40, True, "relu", (1, 1)),
    Unit(5, 120, 40, True, "relu", (1, 1)),
    Unit(3, 240, 80, False, "hard_swish", (2, 2)),
    Unit(3, 200, 80, False, "hard_swish", (1, 1)),
    Unit(3, 184, 80, False, "hard_swish", (1, 1)),
    Unit(3, 184, 80, False, "hard_swish", (1, 1)),
    Unit(3, 480, 112, True, "hard_swish", (1, 1)),
    Unit(3, 672, 112, True, "hard_swish", (1, 1)),
    Unit(5, 672, 160, True, "hard_swish", (2, 2)),
    Unit(5, 960, 160, True, "hard_swish", (1, 1)),
    Unit(5, 960, 160, True, "hard_swish", (1, 1)),
)
LARGE_LAST = 960

# Text is wide and low, so strides halve only the height. PaddleOCR compares the first unit's pair of strides with the
# number 1, so this unit has no shortcut even with strides (1, 1).
SMALL_TEXT = (
    Unit(3, 16, 16, True, "relu", (2, 1), shortcut=False),
    Unit(3, 72, 24, False, "relu", (2, 1)),
    Unit(3, 88, 24, False, "relu", (1, 1)),
    Unit(5, 96, 40, True, "hard_swish", (2, 1)),
    Unit(5, 240, 40, True, "hard_swish", (1, 1)),
    Unit(5, 240, 40, True, "hard_swish", (1, 1)),
    Unit(5, 120, 48, True, "hard_swish", (1, 1)),
    Unit(5, 144, 48, True, "hard_swish", (1, 1)),
    Unit(5, 288, 96, True, "hard_swish", (2, 1)),
    Unit(5, 576, 96, True, "hard_swish", (1, 1)),
    Unit(5, 576, 96, True, "hard_swish", (1, 1)),
)
SMALL_LAST = 576

STEM_WIDTH = 16


def scaled(unit: Unit, scale: float) -> Unit:
    """Return the unit at a width multiplier."""
    return unit._replace(expand=round_channels(unit.expand * scale), features=round_channels(unit.features * scale))


class InvertedResidual(nn.Module):
    """1x1 expand -> k x k depthwise -> optional SE -> 1x1 project (no activation); a shortcut if the shapes agree."""

    unit: Unit
    ops: Ops
    squeeze_excite: bool

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        unit = self.unit
        expanded, features = unit.expand, unit.features
        conv = partial(ConvBN, ops=self.ops)
        activation = ACTIVATIONS[unit.activation]
        y = conv(expanded, activation=activation, name="expand")(x, train=train)
        y = conv(
            expanded,
            kernel=unit.kernel,
            strides=unit.strides,
            depthwise=True,
            activation=activation,
            name="depthwise",
        )(y, train=train)
        if self.squeeze_excite:
            y = SqueezeExcite(self.ops, slope=MOBILENET_SLOPE, name="se")(y)
        y = conv(features, name="project")(y, train=train)
        return x + y if unit.shortcut and unit.strides == (1, 1) and x.shape[-1] == features else y


class BackboneWidths(NamedTuple):
    """Channels of the detector's backbone.

    Attributes:
        expansions: Inner channels of each of the 15 units.
        features: Output channels of each stage (see `large_stages`); the first convolution belongs to the first stage.
        last: Channels of the last convolution.
    """

    expansions: tuple[int, ...]
    features: tuple[int, ...]
    last: int


def large_stages(scale: float) -> tuple[int, ...]:
    """Return each unit's stage; units joined by shortcuts have the same output channels and form one stage."""
    stages, before = [], scaled(LARGE[0], scale).features
    for unit in (scaled(unit, scale) for unit in LARGE):
        joined = unit.strides == (1, 1) and unit.features == before
        stages.append(stages[-1] if joined and stages else len(set(stages)))
        before = unit.features
    return tuple(stages)


def large_widths(scale: float) -> BackboneWidths:
    """Return the widths of MobileNetV3-large at a width multiplier."""
    units = [scaled(unit, scale) for unit in LARGE]
    features = dict(zip(large_stages(scale), (unit.features for unit in units), strict=True))
    return BackboneWidths(
        tuple(unit.expand for unit in units), tuple(features.values()), round_channels(LARGE_LAST * scale)
    )


def backbone_widths(values: Mapping[str, Any], scale: float) -> BackboneWidths:
    """Return the widths from plain values, for example from JSON.

    Raises:
        ValueError: If their number does not fit this backbone, or they are not positive.
    """
    usual = large_widths(scale)
    if values.keys() != set(usual._fields):
        raise ValueError(f"widths of a backbone are {', '.join(usual._fields)}, not {', '.join(values) or 'none'}")
    widths = BackboneWidths(tuple(values["expansions"]), tuple(values["features"]), values["last"])
    counts = [(len(widths.expansions), len(usual.expansions)), (len(widths.features), len(usual.features))]
    if any(have != want for have, want in counts):
        raise ValueError(
            f"{counts[0][1]} expansions and {counts[1][1]} features, not {counts[0][0]} and {counts[1][0]}"
        )
    if min(*widths.expansions, *widths.features, widths.last) < 1:
        raise ValueError("widths of a backbone must be positive")
    return widths


class MobileNetV3Det(nn.Module):
    """Backbone of the student detector: MobileNetV3-large without squeeze-and-excite (PP-OCR, section 2.1).

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier.
        widths: Widths of a pruned network, instead of the table's.
    """

    ops: Ops
    scale: float = 0.5
    widths: BackboneWidths | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Map (B, H, W, 3) to feature maps at strides 4, 8, 16 and 32."""
        widths = self.widths or large_widths(self.scale)
        conv = partial(ConvBN, ops=self.ops, activation=hard_swish)
        x = conv(widths.features[0], kernel=3, strides=(2, 2), name="conv")(images, train=train)
        maps: list[jax.Array] = []
        stages = large_stages(self.scale)
        for i, row in enumerate(LARGE):
            # The maps are the inputs of the strided units; unit 1 is skipped because it makes stride 4.
            if row.strides == (2, 2) and i > 1:
                maps.append(x)
            # A pruned stage may have the width of the stage before it, where the table has no shortcut.
            shortcut = i == 0 or stages[i] == stages[i - 1]
            unit = row._replace(expand=widths.expansions[i], features=widths.features[stages[i]], shortcut=shortcut)
            x = InvertedResidual(unit, self.ops, squeeze_excite=False, name=f"unit_{i}")(x, train=train)
        x = conv(widths.last, name="last")(x, train=train)
        return (*maps, x)


class MobileNetV3Text(nn.Module):
    """MobileNetV3-small with strides for text: backbone of the direction classifier and of PP-OCR's mobile recognizer.

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier.
        first_strides: Strides of the first unit: (2, 1) for the classifier, (1, 1) for the recognizer's lower lines.
    """

    ops: Ops
    scale: float = 0.35
    first_strides: Strides = (2, 1)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, 48, 192, 3) to (B, 1, 48, 200) at scale 0.35; (B, 32, W, 3) to (B, 1, W // 4, 288) at 0.5, (1, 1)."""
        conv = partial(ConvBN, ops=self.ops, activation=hard_swish)
        x = conv(round_channels(STEM_WIDTH * self.scale), kernel=3, strides=(2, 2), name="conv1")(images, train=train)
        units = (SMALL_TEXT[0]._replace(strides=self.first_strides), *SMALL_TEXT[1:])
        for i, unit in enumerate(scaled(unit, self.scale) for unit in units):
            block = InvertedResidual(unit, self.ops, squeeze_excite=unit.squeeze_excite, name=f"unit_{i}")
            x = block(x, train=train)
        x = conv(round_channels(SMALL_LAST * self.scale), name="conv2")(x, train=train)
        return self.ops.max_pool(x)


class MobileNetV3Image(nn.Module):
    """Backbone for images; the arrays are named as in `MobileNetV3Det` (large) and `MobileNetV3Text` (small).

    Attributes:
        ops: The platform's operations.
        scale: Width multiplier.
        large: Use the large network instead of the small one.
    """

    ops: Ops
    scale: float = 1.0
    large: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Map (B, H, W, 3) to (B, H / 32, W / 32, C), C = 960 scale (large) or 576 scale (small)."""
        units, last, names = (
            (LARGE, LARGE_LAST, ("conv", "last")) if self.large else (SMALL_TEXT, SMALL_LAST, ("conv1", "conv2"))
        )
        conv = partial(ConvBN, ops=self.ops, activation=hard_swish)
        stem = conv(round_channels(STEM_WIDTH * self.scale), kernel=3, strides=(2, 2), name=names[0])
        x = stem(images, train=train)
        for i, row in enumerate(units):
            unit = scaled(row, self.scale)._replace(strides=(row.strides[0], row.strides[0]))
            block = InvertedResidual(unit, self.ops, squeeze_excite=row.squeeze_excite, name=f"unit_{i}")
            x = block(x, train=train)
        return conv(round_channels(last * self.scale), name=names[1])(x, train=train)
