"""Depthwise convolution in a form that XLA compiles well for CPUs.

XLA's grouped convolution on a CPU is a scalar loop nest, forward and backward, and takes tens of times longer than the
arithmetic needs. Here the convolution is a sum of shifted slices times kernel taps, which fuses into one vectorized
loop. Its two gradients are written the same way (`custom_vjp`), because differentiating the sum would read the input
from main memory once per tap.
"""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

# Up to this many rows the loop over rows is unrolled, which avoids padding rows and multiplying by zero.
_UNROLL_ROWS = 4
# Up to this many rows the kernel gradient sums rows in an unrolled loop; more would only lengthen compilation.
_UNROLL_SUM_ROWS = 16
# Images per step of the kernel gradient: more do not fit into the cache, fewer cost more loop overhead.
_GROUP = 4

Tap = tuple[int, int, jax.Array]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_conv_shifted(x: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """Convolve depthwise with symmetric padding `(k - 1) // 2`, as a sum of shifted slices.

    Args:
        x: (B, H, W, C).
        kernel: (kh, kw, C), odd sizes.
        strides: (vertical, horizontal).

    Returns:
        (B, ceil(H / sh), ceil(W / sw), C), equal to the native convolution up to rounding.
    """
    kh, kw, _ = kernel.shape
    taps = [(i - kh // 2, j - kw // 2, kernel[i, j]) for i in range(kh) for j in range(kw)]
    out_size = (-(-x.shape[1] // strides[0]), -(-x.shape[2] // strides[1]))
    return _weighted_shifts(x, taps, out_size, strides)


def _forward(x: jax.Array, kernel: jax.Array, strides: tuple[int, int]):
    return depthwise_conv_shifted(x, kernel, strides), (x, kernel)


def _backward(strides: tuple[int, int], saved: tuple[jax.Array, jax.Array], grad: jax.Array):
    x, kernel = saved
    return _input_gradient(grad, kernel, x.shape, strides), _kernel_gradient(x, grad, kernel.shape, strides)


depthwise_conv_shifted.defvjp(_forward, _backward)


def _weighted_shifts(
    x: jax.Array, taps: list[Tap], out_size: tuple[int, int], strides: tuple[int, int] = (1, 1)
) -> jax.Array:
    """Compute y[h, w] = sum over taps (dh, dw, weight) of x[h * sh + dh, w * sw + dw] * weight, zero outside x."""
    out_h, out_w = out_size
    sh, sw = strides
    height, width = x.shape[1:3]
    left = max(0, -min(dw for _, dw, _ in taps))
    right = max(0, (out_w - 1) * sw + max(dw for _, dw, _ in taps) + 1 - width)
    unroll = out_h <= _UNROLL_ROWS
    top = 0 if unroll else max(0, -min(dh for dh, _, _ in taps))
    bottom = 0 if unroll else max(0, (out_h - 1) * sh + max(dh for dh, _, _ in taps) + 1 - height)
    # The barrier keeps the padding out of the fused loop, where its bounds checks would stop vectorization.
    padded = lax.optimization_barrier(jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))))

    def columns(rows: slice | int, dw: int) -> jax.Array:
        start = left + dw
        return padded[:, rows, start : start + (out_w - 1) * sw + 1 : sw]

    if not unroll:
        start_rows = [top + dh for dh, _, _ in taps]
        products = [
            columns(slice(start, start + (out_h - 1) * sh + 1, sh), dw) * weight
            for start, (_, dw, weight) in zip(start_rows, taps, strict=True)
        ]
        return sum(products[1:], products[0])
    rows = [
        [columns(h * sh + dh, dw) * weight for dh, dw, weight in taps if 0 <= h * sh + dh < height]
        for h in range(out_h)
    ]
    zero = jnp.zeros((x.shape[0], out_w, x.shape[3]), x.dtype)
    return jnp.stack([sum(terms[1:], terms[0]) if terms else zero for terms in rows], axis=1)


def _input_gradient(grad: jax.Array, kernel: jax.Array, shape: tuple[int, ...], strides: tuple[int, int]) -> jax.Array:
    """Compute the gradient of the input: one weighted sum of shifts per stride phase, interleaved.

    dx[h] = sum of g[(h + p - i) / s] k[i] over all i for which s divides h + p - i. The pixels h = s q + phase of one
    phase therefore use only every s-th tap.
    """
    kh, kw, channels = kernel.shape
    sh, sw = strides
    rows, cols = -(-shape[1] // sh), -(-shape[2] // sw)

    def phase(a: int, b: int) -> jax.Array:
        taps = [
            ((a + kh // 2 - i) // sh, (b + kw // 2 - j) // sw, kernel[i, j])
            for i in range(kh)
            for j in range(kw)
            if (a + kh // 2 - i) % sh == 0 and (b + kw // 2 - j) % sw == 0
        ]
        return _weighted_shifts(grad, taps, (rows, cols))

    if (sh, sw) == (1, 1):
        return phase(0, 0)
    by_column = [jnp.stack([phase(a, b) for b in range(sw)], axis=3) for a in range(sh)]
    full = jnp.stack(by_column, axis=2).reshape(shape[0], rows * sh, cols * sw, channels)
    return full[:, : shape[1], : shape[2]]


def _kernel_gradient(
    x: jax.Array, grad: jax.Array, kernel_shape: tuple[int, ...], strides: tuple[int, int]
) -> jax.Array:
    """Compute the gradient of the kernel: per tap, the sum over pixels of shifted input times output gradient.

    It runs over a few images at a time, so that both arrays stay in cache while all taps read them. The rows are summed
    by an unrolled, fused sum, which leaves only one row for the slow reduction.
    """
    kh, kw, channels = kernel_shape
    sh, sw = strides
    batch, height, width, _ = x.shape
    out_h, out_w = grad.shape[1:3]
    pad_right = max(0, (out_w - 1) * sw + kw - kw // 2 - width)
    padded = jnp.pad(x, ((0, 0), (0, 0), (kw // 2, pad_right), (0, 0)))

    def tap(images: jax.Array, g: jax.Array, i: int, j: int) -> jax.Array:
        down = i - kh // 2
        first, last = max(0, -(down // sh)), min(out_h, (height - 1 - down) // sh + 1)
        if last <= first:
            return jnp.zeros((images.shape[0], channels), x.dtype)
        columns = images[:, :, j : j + (out_w - 1) * sw + 1 : sw]
        if out_h > _UNROLL_SUM_ROWS:
            start = first * sh + down
            rows = columns[:, start : start + (last - first - 1) * sh + 1 : sh]
            return (rows * g[:, first:last]).sum((1, 2))
        products = [columns[:, h * sh + down] * g[:, h] for h in range(first, last)]
        return sum(products[1:], products[0]).sum(1)

    def taps_of_group(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.stack([tap(*pair, i, j) for i in range(kh) for j in range(kw)], axis=1)

    group = math.gcd(batch, _GROUP)
    grouped = [a.reshape(batch // group, group, *a.shape[1:]) for a in (padded, grad)]
    return lax.map(taps_of_group, tuple(grouped)).sum((0, 1)).reshape(kernel_shape)
