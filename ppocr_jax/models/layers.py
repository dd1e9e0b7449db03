"""Building blocks of the networks: convolution + batch norm + activation, squeeze-and-excite, dense and LSTM layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.ops import LSTMWeights, Ops, Strides

Initializer = Callable[..., jax.Array]
Activation = Callable[[jax.Array], jax.Array]

BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5


def round_channels(value: float, divisor: int = 8) -> int:
    """Round `value` to the nearest multiple of `divisor`, but at least `divisor` and at least 90 % of `value`.

    This is MobileNetV2's rule.
    """
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def hard_swish(x: jax.Array) -> jax.Array:
    """Compute x * clip(x + 3, 0, 6) / 6."""
    return x * jnp.clip(x + 3, 0, 6) / 6


def hard_sigmoid(x: jax.Array, *, slope: float) -> jax.Array:
    """Compute clip(slope * x + 0.5, 0, 1); slope 0.2 in the MobileNetV3 family, 1/6 in the LCNet family."""
    return jnp.clip(slope * x + 0.5, 0, 1)


ACTIVATIONS: dict[str, Activation] = {"hard_swish": hard_swish, "relu": nn.relu}


def identity(x: jax.Array) -> jax.Array:
    """Return x: no activation."""
    return x


def uniform(bound: float) -> Initializer:
    """Return an initializer that draws from Uniform(-bound, bound)."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def kaiming_uniform(fan_in: int) -> Initializer:
    """Return an initializer that draws from Uniform(+-sqrt(6 / fan_in))."""
    return uniform(math.sqrt(6 / fan_in))


def kaiming_normal(fan_in: int) -> Initializer:
    """Return an initializer that draws from a normal distribution of standard deviation sqrt(2 / fan_in)."""
    return nn.initializers.normal(math.sqrt(2 / fan_in))


def batch_norm(name: str, *, train: bool, bias_init: Initializer = nn.initializers.zeros) -> nn.BatchNorm:
    """Return a batch norm over all axes but the last.

    The running variance is updated with the biased batch variance, as in Paddle.
    """
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=BN_MOMENTUM,
        epsilon=BN_EPSILON,
        bias_init=bias_init,
        use_fast_variance=True,
        name=name,
    )


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, activation.

    Attributes:
        features: Output channels.
        ops: The platform's operations.
        kernel: Side of the square kernel.
        strides: (vertical, horizontal).
        depthwise: One filter per channel; `features` must equal the input channels.
        activation: Applied last.
        init: Function from the kernel's fan to its initializer.
        grouped_fan: Compute a depthwise kernel's fan from its own size (k * k), not from all input channels. Paddle's
            default initializer ignores groups; the initializer of the LCNet networks respects them.
    """

    features: int
    ops: Ops
    kernel: int = 1
    strides: Strides = (1, 1)
    depthwise: bool = False
    activation: Activation = identity
    init: Callable[[int], Initializer] = kaiming_normal
    grouped_fan: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        channels = x.shape[-1]
        fan_channels = 1 if self.depthwise and self.grouped_fan else channels
        init = self.init(self.kernel * self.kernel * fan_channels)
        if self.depthwise:
            weight = self.param("kernel", init, (self.kernel, self.kernel, channels))
            x = self.ops.depthwise_conv(x, weight, self.strides)
        else:
            weight = self.param("kernel", init, (self.kernel, self.kernel, channels, self.features))
            x = self.ops.conv(x, weight, self.strides)
        return self.activation(batch_norm("bn", train=train)(x))


class SqueezeExcite(nn.Module):
    """Squeeze-and-excite: global pooling, 1x1 to C // reduction, ReLU, 1x1 to C, hard sigmoid, multiply."""

    ops: Ops
    slope: float
    reduction: int = 4

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        squeezed = channels // self.reduction
        pooled = self.ops.mean(x)
        hidden = nn.relu(Conv1x1Bias(squeezed, self.ops, name="conv1")(pooled))
        gate = Conv1x1Bias(channels, self.ops, name="conv2")(hidden)
        return x * hard_sigmoid(gate, slope=self.slope)


class Conv1x1Bias(nn.Module):
    """1x1 convolution with bias."""

    features: int
    ops: Ops

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        channels = x.shape[-1]
        kernel = self.param("kernel", kaiming_normal(channels), (1, 1, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return self.ops.conv(x, kernel, (1, 1)) + bias


class Linear(nn.Module):
    """Dense layer.

    Attributes:
        features: Output channels.
        init: Initializer of the weights; biases then start at zero. By default, both are Uniform(+-1 / sqrt(fan_in)),
            as in PP-OCR's heads.
    """

    features: int
    init: Initializer | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = self.init or uniform(1 / math.sqrt(x.shape[-1]))
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros if self.init else init, (self.features,))
        return x @ kernel + bias


class BiLSTMLayer(nn.Module):
    """One bidirectional LSTM layer; parameters start as Uniform(+-1 / sqrt(hidden))."""

    hidden: int
    ops: Ops

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = uniform(1 / math.sqrt(self.hidden))

        def param(name: str, *shape: int) -> jax.Array:
            return self.param(name, init, shape)

        gates = 4 * self.hidden
        weights = LSTMWeights(
            input=param("input_kernel", 2, x.shape[-1], gates),
            recurrent=param("recurrent_kernel", 2, self.hidden, gates),
            bias=param("input_bias", 2, gates) + param("recurrent_bias", 2, gates),
        )
        return self.ops.bilstm(x, weights)
