"""The few operations whose best form depends on where the network runs.

Networks take an `Ops` and stay the same everywhere: `cpu_ops` are the forms that XLA:CPU trains fast, `native_ops` the
plain ones for GPUs and TPUs; the ONNX exporter passes its own, and `bfloat16_ops` wraps any of them.
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
# Wider kernels than this as one product would hold more than 25 values for each input value: XLA's own is better.
_PRODUCT_SIDE = 5


class Ops(NamedTuple):
    """Functions that the networks are built from.

    Attributes:
        conv: (x (B H W C), kernel (kh kw C D), strides) -> (B H' W' D), padding (k - 1) // 2.
        depthwise_conv: (x (B H W C), kernel (kh kw C), strides) -> (B H' W' C), padding (k - 1) // 2.
        upsample: (x (B H W C), factor) -> (B factor*H factor*W C), nearest.
        max_pool: see `max_pool_2x2`.
        max_pool_3x3: see `max_pool_3x3`.
        average_pool: see `average_pool`.
        bilstm: (x (B T C), layer weights) -> (B T 2H), see `LSTMWeights`.
        mean: (x (B H W C)) -> (B 1 1 C), over all cells.
        softmax: (scores (... T)) -> weights of the T frames, which add up to 1.
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
    """Convolve as XLA does."""
    return lax.conv_general_dilated(
        x, kernel, strides, _symmetric_padding(kernel), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def depthwise_conv_native(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """Convolve as XLA does with one channel per group."""
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
    """Multiply (..., C) by (C, D), with a gradient that XLA:CPU does not spoil.

    The weight's gradient multiplies with the transposed activations. Left alone, XLA fuses whatever made them (batch
    norm, activation) into that transposition and computes it column by column, many times slower than the product.
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
    """Convolve by one matrix product: on a CPU several times faster than XLA's own, above all backward.

    A 1x1 kernel is a product as it stands. A kernel that widens few channels (a stem) multiplies the pixels' gathered
    neighborhoods; one that narrows many (FPN smoothing) multiplies first, for all taps at once, and then adds up the
    shifted results, which moves less memory.
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


# Pooling as sums and maxima of slices: on a CPU the gradient then needs no select-and-scatter.


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Pool 2x2 windows, stride 2, by their maximum: (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def max_pool_3x3(x: jax.Array) -> jax.Array:
    """Pool 3x3 windows at every second cell, with a border of one, by their maximum.

    Args:
        x: (B, H, W, C), not negative, as after ReLU: the border is of zeros.

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
    """Pool windows of one or two cells a side, side by side, by their mean.

    A window that reaches over the lower or right edge averages the cells inside alone.

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

    Gates have Paddle's and PyTorch's order: input, forget, cell, output.

    Attributes:
        input: (2, C, 4H) input kernel.
        recurrent: (2, H, 4H) recurrent kernel.
        bias: (2, 4H), the sum of the input's and the recurrent bias.
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
        weights: the layer's.
        frames: how many of the T count; from the last of them the backward direction starts. None: all.

    Returns:
        (B, T, 2H): forward and backward outputs concatenated; beyond `frames` they mean nothing.
    """
    batch, steps, _ = x.shape
    hidden = weights.recurrent.shape[1]
    # Its own inverse: the frames that count from last to first, then the others from last to first.
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
    depthwise_conv=cast(Convolution, depthwise_conv_shifted),  # custom_vjp's type says nothing of what it calls
)


def default_ops() -> Ops:
    """Return the forms that suit the default JAX backend."""
    return cpu_ops if jax.default_backend() == "cpu" else native_ops


def training_ops(compute: str) -> Ops:
    """Return the default backend's operations, with convolutions in `compute`: "float32" or "bfloat16"."""
    return bfloat16_ops(default_ops()) if compute == "bfloat16" else default_ops()


def bfloat16_ops(ops: Ops) -> Ops:
    """Return `ops` with convolutions that read and write bfloat16.

    The BatchNorm after each convolution computes its statistics and its output in float32, parameters stay float32
    and are rounded on use; LSTM, dense layers and losses never see bfloat16. The forms for CPUs add a depthwise
    convolution up tap by tap, which bfloat16 would round at every step: that one stays as it is.
    """
    depthwise = ops.depthwise_conv
    if depthwise is depthwise_conv_native:
        depthwise = _in_bfloat16(depthwise)
    return ops._replace(conv=_in_bfloat16(ops.conv), depthwise_conv=depthwise)


def _in_bfloat16(conv: Convolution) -> Convolution:
    def rounded(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
        return conv(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), strides)

    return rounded
