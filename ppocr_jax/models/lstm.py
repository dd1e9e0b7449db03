"""Bidirectional LSTM with Paddle's and PyTorch's gate order: input, forget, cell, output."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax


class LSTMWeights(NamedTuple):
    """Weights of one bidirectional layer; the leading axis is the direction (forward, backward).

    Attributes:
        input: (2, C, 4H) input kernel.
        recurrent: (2, H, 4H) recurrent kernel.
        bias: (2, 4H), the sum of the input's and the recurrent bias.
    """

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array


def bilstm_scan(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """One bidirectional layer from zero states, both directions in one scan.

    Args:
        x: (B, T, C).
        weights: the layer's.

    Returns:
        (B, T, 2H): forward and backward outputs concatenated.
    """
    batch, _, _ = x.shape
    hidden = weights.recurrent.shape[1]
    both = jnp.stack([x, x[:, ::-1]])
    gates = jnp.einsum("dbtc,dcg->tdbg", both, weights.input) + weights.bias[None, :, None]

    def step(carry: tuple[jax.Array, jax.Array], gate: jax.Array):
        h, c = carry
        i, f, g, o = jnp.split(gate + jnp.einsum("dbh,dhg->dbg", h, weights.recurrent), 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((2, batch, hidden), x.dtype)
    _, outputs = lax.scan(step, (zero, zero), gates, unroll=4)
    forward, backward = outputs[:, 0], outputs[::-1, 1]
    return jnp.concatenate([forward, backward], axis=-1).transpose(1, 0, 2)
