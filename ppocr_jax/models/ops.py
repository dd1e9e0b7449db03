"""The few operations whose best form depends on where the network runs.

Networks take an `Ops` and stay the same everywhere: `cpu_ops` are the forms that XLA:CPU trains fast, `native_ops` the
plain ones for GPUs and TPUs; the ONNX exporter passes its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, cast

import jax
import jax.numpy as jnp
from jax import lax

from ppocr_jax.models.depthwise import depthwise_conv_shifted
from ppocr_jax.models.lstm import bilstm_scan
from ppocr_jax.models.pooling import average_pool, max_pool_2x2, max_pool_3x3

Strides = tuple[int, int]
Convolution: TypeAlias = Callable[[jax.Array, jax.Array, Strides], jax.Array]


class Ops(NamedTuple):
    """Functions that the networks are built from.

    Attributes:
        conv: (x (B H W C), kernel (kh kw C D), strides) -> (B H' W' D), padding (k - 1) // 2.
        depthwise_conv: (x (B H W C), kernel (kh kw C), strides) -> (B H' W' C), padding (k - 1) // 2.
        upsample: (x (B H W C), factor) -> (B factor*H factor*W C), nearest.
        max_pool: `pooling.max_pool_2x2`.
        max_pool_3x3, average_pool: of the same names in `pooling`.
        bilstm: (x (B T C), layer weights) -> (B T 2H), see `lstm.LSTMWeights`.
    """

    conv: Convolution
    depthwise_conv: Convolution
    upsample: Callable[[jax.Array, int], jax.Array]
    max_pool: Callable[[jax.Array], jax.Array]
    max_pool_3x3: Callable[[jax.Array], jax.Array]
    average_pool: Callable[[jax.Array, Strides], jax.Array]
    bilstm: Callable[..., jax.Array]


def _symmetric_padding(kernel: jax.Array) -> list[tuple[int, int]]:
    return [((k - 1) // 2, (k - 1) // 2) for k in kernel.shape[:2]]


def conv_native(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """XLA's convolution."""
    return lax.conv_general_dilated(
        x, kernel, strides, _symmetric_padding(kernel), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def depthwise_conv_native(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
    """XLA's grouped convolution with one channel per group."""
    return lax.conv_general_dilated(
        x,
        kernel[:, :, None, :],
        strides,
        _symmetric_padding(kernel),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@jax.custom_vjp
def matrix_product(x: jax.Array, weight: jax.Array) -> jax.Array:
    """(..., C) times (C, D), with a gradient that XLA:CPU does not spoil.

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
    """A convolution as one matrix product: on a CPU several times faster than XLA's, above all backward.

    A 1x1 kernel is a product as it stands. A kernel that widens few channels (a stem) multiplies the pixels' gathered
    neighborhoods; one that narrows many (FPN smoothing) multiplies first, for all taps at once, and then adds up the
    shifted results, which moves less memory.
    """
    kh, kw, cin, cout = kernel.shape
    if (kh, kw) == (1, 1):
        return matrix_product(x[:, :: strides[0], :: strides[1]], kernel[0, 0])
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


native_ops = Ops(
    conv_native, depthwise_conv_native, upsample_nearest, max_pool_2x2, max_pool_3x3, average_pool, bilstm_scan
)
cpu_ops = Ops(
    conv_as_product,
    cast(Convolution, depthwise_conv_shifted),  # custom_vjp's type says nothing of what it calls
    upsample_nearest,
    max_pool_2x2,
    max_pool_3x3,
    average_pool,
    bilstm_scan,
)


def default_ops() -> Ops:
    """The forms that suit the default JAX backend."""
    return cpu_ops if jax.default_backend() == "cpu" else native_ops
