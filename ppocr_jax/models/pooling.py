"""Pooling as sums and maxima of slices: on a CPU the gradient needs no select-and-scatter."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """2x2 max pooling, stride 2, stride 2: (B, H, W, C) -> (B, H // 2, W // 2, C)."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def average_pool(x: jax.Array, window: tuple[int, int]) -> jax.Array:
    """Means of windows of one or two cells a side, side by side: (B, H, W, C) -> (B, ceil(H / wh), ceil(W / ww), C).

    A window that reaches over the lower or right edge averages the cells inside alone.
    """
    for axis, size in zip((1, 2), window, strict=True):
        if size == 2:
            x = _average_pairs(x, axis)
    return x


def _average_pairs(x: jax.Array, axis: int) -> jax.Array:
    if x.shape[axis] % 2:  # the mean of the last cell and its copy is that cell
        x = jnp.pad(x, [(0, int(i == axis)) for i in range(x.ndim)], mode="edge")
    return (_every_second(x, axis, 0, x.shape[axis] // 2) + _every_second(x, axis, 1, x.shape[axis] // 2)) / 2


def max_pool_3x3(x: jax.Array) -> jax.Array:
    """Maxima of 3x3 windows at every second cell, a border of one around: (B, H, W, C) -> (B, H / 2, W / 2, C), up.

    `x` must not be negative, as after ReLU: the border is of zeros.
    """
    for axis in (1, 2):
        count = -(-x.shape[axis] // 2)
        bordered = jnp.pad(x, [(int(i == axis), int(i == axis)) for i in range(x.ndim)])
        first, second, third = (_every_second(bordered, axis, start, count) for start in range(3))
        x = jnp.maximum(jnp.maximum(first, second), third)
    return x


def _every_second(x: jax.Array, axis: int, start: int, count: int) -> jax.Array:
    return lax.slice_in_dim(x, start, start + 2 * count - 1, 2, axis)
