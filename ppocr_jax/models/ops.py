"""Operations whose fastest implementation depends on the platform.

The networks take an `Ops` and are otherwise the same everywhere: `cpu_ops` trains fast with XLA:CPU, `native_ops` is
for GPUs and TPUs, the ONNX exporter has its own, and `bfloat16_ops` wraps any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ppocr_jax.models.depthwise import depthwise_conv_shifted

Strides = tuple[int, int]
Convolution: TypeAlias = Callable[[jax.Array, jax.Array, Strides], jax.Array]
# A wider kernel as one product would need more than 25 values per input value; XLA's convolution is then better.
_PRODUCT_SIDE = 5


class Ops(NamedTuple):
    """Functions that the networks are built from.

    Attributes:
        conv: (x (B H W C), kernel (kh kw C D), strides) -> (B H' W' D), padding (k - 1) // 2.
        depthwise_conv: (x (B H W C), kernel (kh kw C), strides) -> (B H' W' C), padding (k - 1) // 2.
        upsample: (x (B H W C), factor) -> (B factor*H factor*W C), nearest.
        max_pool: See `max_pool_2x2`.
        max_pool_3x3: See `max_pool_3x3`.
        average_pool: See `average_pool`.
        bilstm: (x (B T C), layer weights) -> (B T 2H), see `LSTMWeights`.
        mean: (x (B H W C)) -> (B 1 1 C), over all cells.
        softmax: (scores (... T)) -> weights of the T frames, which sum to 1.
    """

    conv: Convolution
    depthwise_conv: Convolution
    upsample: Callable[[jax.Array, int], jax.Array]
    max_pool: Callable[[jax.Array], jax.Array]
    max_pool_3x3: Callable[[jax.Array], jax.Array]
    average_pool: Callable[[jax.Array, Strides], jax.Array]
    bilstm: Callable[..., jax.Array]
    mean: Callable[[jax.Array], jax.Array]
    softmax: Callable[[jax.Array], jax.Array]


def conv_native(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """Convolve with XLA's convolution."""
    return lax.conv_general_dilated(
        x, kernel, strides, _symmetric_padding(kernel), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def depthwise_conv_native(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """Convolve with XLA's grouped convolution, one channel per group."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        strides,
        _symmetric_padding(kernel),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def _symmetric_padding(kernel: jax.Array) -> list[tuple[int, int]]:
    return [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]


@jax.custom_vjp
def matrix_product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """Multiply (..., C) by (C, D), with a gradient that is fast on XLA:CPU.

    The gradient of the weight multiplies by the transposed activations. By default, XLA fuses the layers that computed
    them (batch norm, activation) into that transposition and evaluates it column by column, many times slower than the
    product. An optimization barrier prevents this.
    """
    return x @ weight


def _product_forward(x: jax.Array, weight: jax.Array):
    return x @ weight, (x, weight)


def _product_backward(saved: tuple[jax.Array, jax.Array], grad: jax.Array):
    x, weight = saved
    rows, grad_rows = lax.optimization_barrier((x.reshape(-1, x.shape[-1]), grad.reshape(-1, grad.shape[-1])))
    weight_gradient = lax.dot_general(rows, grad_rows, (((0,), (0,)), ((), ())))
    return (grad_rows @ weight.T).reshape(x.shape), weight_gradient


matrix_product.defvjp(_product_forward, _product_backward)


def conv_as_product(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """Convolve by one matrix product; on a CPU several times faster than XLA's convolution, above all backward.

    A 1x1 kernel is a product already. With strides, or at most as many input as output channels (a stem), the gathered
    neighborhoods of the pixels are multiplied. Otherwise (FPN smoothing) the input is multiplied first, for all taps at
    once, and the shifted results are added, which moves less memory.
    """
    kh, kw, cin, cout = kernel.shape
    if (kh, kw) == (1, 1):
        return matrix_product(x[:, :: strides[0], :: strides[1]], kernel[0, 0])
    if max(kh, kw) > _PRODUCT_SIDE:
        return conv_native(x, kernel, strides)
    _, height, width, _ = x.shape
    out_h, out_w = -(-height // strides[0]), -(-width // strides[1])
    pad_h = (kh // 2, max(0, (out_h - 1) * strides[0] + kh - kh // 2 - height))
    pad_w = (kw // 2, max(0, (out_w - 1) * strides[1] + kw - kw // 2 - width))

    def shifted(padded: jax.Array, i: int, j: int) -> jax.Array:
        rows = slice(i, i + (out_h - 1) * strides[0] + 1, strides[0])
        return padded[:, rows, j : j + (out_w - 1) * strides[1] + 1 : strides[1]]

    taps = [(i, j) for i in range(kh) for j in range(kw)]
    if cin <= cout or strides != (1, 1):
        padded = jnp.pad(x, ((0, 0), pad_h, pad_w, (0, 0)))
        patches = jnp.concatenate([shifted(padded, i, j) for i, j in taps], axis=-1)
        return matrix_product(patches, kernel.reshape(kh * kw * cin, cout))
    products = matrix_product(x, kernel.transpose(2, 0, 1, 3).reshape(cin, kh * kw * cout))
    padded = jnp.pad(products, ((0, 0), pad_h, pad_w, (0, 0)))
    by_tap = [shifted(padded, i, j)[..., n * cout : (n + 1) * cout] for n, (i, j) in enumerate(taps)]
    return sum(by_tap[1:], by_tap[0])


def upsample_nearest(x: jax.Array, factor: int) -> jax.Array:
    """Repeat every pixel `factor` times in both directions."""
    batch, height, width, channels = x.shape
    spread = jnp.broadcast_to(x[:, :, None, :, None], (batch, height, factor, width, factor, channels))
    return spread.reshape(batch, height * factor, width * factor, channels)


# Pooling as sums and maxima of slices: its gradient needs no select-and-scatter, which is slow on a CPU.


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Max-pool 2x2 windows with stride 2: (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def max_pool_3x3(x: jax.Array) -> jax.Array:
    """Max-pool 3x3 windows with stride 2 and a border of one cell.

    Args:
        x: (B, H, W, C), not negative, as after ReLU, because the border is zeros.

    Returns:
        (B, ceil(H / 2), ceil(W / 2), C).
    """
    for axis in (1, 2):
        count = -(-x.shape[axis] // 2)
        bordered = jnp.pad(x, [(int(i == axis), int(i == axis)) for i in range(x.ndim)])
        first, second, third = (_every_second(bordered, axis, start, count) for start in range(3))
        x = jnp.maximum(jnp.maximum(first, second), third)
    return x


def average_pool(x: jax.Array, window: Strides) -> jax.Array:
    """Average adjacent, non-overlapping windows of one or two cells a side.

    A window that extends past the lower or right edge averages only the cells inside.

    Returns:
        (B, ceil(H / wh), ceil(W / ww), C).
    """
    for axis, size in zip((1, 2), window, strict=True):
        if size == 2:
            if x.shape[axis] % 2:  # the mean of the last cell and its copy is that cell
                x = jnp.pad(x, [(0, int(i == axis)) for i in range(x.ndim)], mode="edge")
            pairs = x.shape[axis] // 2
            x = (_every_second(x, axis, 0, pairs) + _every_second(x, axis, 1, pairs)) / 2
    return x


def _every_second(x: jax.Array, axis: int, start: int, count: int) -> jax.Array:
    return lax.slice_in_dim(x, start, start + 2 * count - 1, 2, axis)


class LSTMWeights(NamedTuple):
    """Weights of one bidirectional layer; the leading axis is the direction (forward, backward).

    The gates are in the order of Paddle and PyTorch: input, forget, cell, output.

    Attributes:
        input: (2, C, 4H) input kernel.
        recurrent: (2, H, 4H) recurrent kernel.
        bias: (2, 4H), the sum of the input bias and the recurrent bias.
    """

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array


def mean_of_cells(x: jax.Array) -> jax.Array:
    """Average over height and width: (B, H, W, C) -> (B, 1, 1, C)."""
    return jnp.mean(x, (1, 2), keepdims=True)


def bilstm_scan(x: jax.Array, weights: LSTMWeights, *, frames: jax.Array | None = None) -> jax.Array:
    """Run one bidirectional layer from zero states, both directions in one scan.

    Args:
        x: (B, T, C).
        weights: The layer's weights.
        frames: Number of valid frames; the backward direction starts at the last of them. None for all T.

    Returns:
        (B, T, 2H): forward and backward outputs concatenated; beyond `frames` they are meaningless.
    """
    batch, steps, _ = x.shape
    hidden = weights.recurrent.shape[1]
    # A permutation that is its own inverse: the valid frames reversed, then the others reversed.
    backwards = slice(None, None, -1) if frames is None else (frames - 1 - jnp.arange(steps)) % steps
    both = jnp.stack([x, x[:, backwards]])
    gates = jnp.einsum("dbtc,dcg->tdbg", both, weights.input) + weights.bias[None, :, None]

    def step(carry: tuple[jax.Array, jax.Array], gate: jax.Array):
        h, c = carry
        i, f, g, o = jnp.split(gate + jnp.einsum("dbh,dhg->dbg", h, weights.recurrent), 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((2, batch, hidden), x.dtype)
    _, outputs = lax.scan(step, (zero, zero), gates, unroll=4)
    forward, backward = outputs[:, 0], outputs[backwards, 1]
    return jnp.concatenate([forward, backward], axis=-1).transpose(1, 0, 2)


native_ops = Ops(
    conv_native,
    depthwise_conv_native,
    upsample_nearest,
    max_pool_2x2,
    max_pool_3x3,
    average_pool,
    bilstm_scan,
    mean_of_cells,
    nn.softmax,
)
cpu_ops = native_ops._replace(
    conv=conv_as_product,
    depthwise_conv=cast(Convolution, depthwise_conv_shifted),  # custom_vjp loses the function's type
)


def default_ops() -> Ops:
    """Return the implementations for the default JAX backend."""
    return cpu_ops if jax.default_backend() == "cpu" else native_ops


def training_ops(compute: str) -> Ops:
    """Return the default backend's operations, with convolutions in `compute`: "float32" or "bfloat16"."""
    return bfloat16_ops(default_ops()) if compute == "bfloat16" else default_ops()


def bfloat16_ops(ops: Ops) -> Ops:
    """Return `ops` with convolutions that read and write bfloat16.

    The BatchNorm after each convolution computes its statistics and its output in float32. Parameters stay float32 and
    are rounded on use. LSTM, dense layers and losses never see bfloat16. The CPU's depthwise convolution adds tap by
    tap and bfloat16 would round at every step, so it is left unchanged.
    """
    depthwise = ops.depthwise_conv
    if depthwise is depthwise_conv_native:
        depthwise = _in_bfloat16(depthwise)
    return ops._replace(conv=_in_bfloat16(ops.conv), depthwise_conv=depthwise)


def _in_bfloat16(conv: Convolution) -> Convolution:
    def rounded(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
        return conv(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), strides)

    return rounded
