"""The networks' basic operations in the form that TensorFlow's converters take: everything of a fixed size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

from ppocr_jax.models.lstm import LSTMWeights
from ppocr_jax.models.ops import native_ops


def bilstm_unrolled(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """`models.lstm.bilstm_scan` step by step, (B, T, C) -> (B, T, 2H): a `lax.scan` becomes operations ONNX lacks."""
    forward, backward = (LSTMWeights(*(leaf[direction] for leaf in weights)) for direction in (0, 1))
    return jnp.concatenate([_unrolled(x, forward), _unrolled(x[:, ::-1], backward)[:, ::-1]], axis=-1)


def _unrolled(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """One direction: (B, T, C) -> (B, T, H)."""
    gates = x @ weights.input + weights.bias
    h = c = jnp.zeros((x.shape[0], weights.recurrent.shape[0]), x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = jnp.split(gates[:, t] + h @ weights.recurrent, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs, axis=1)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """`models.pooling.max_pool_2x2` as one pooling operation."""
    return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))


fixed_size_ops = native_ops._replace(max_pool=max_pool_2x2, bilstm=bilstm_unrolled)
