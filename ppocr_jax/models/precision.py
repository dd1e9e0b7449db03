"""Convolutions in bfloat16 for accelerators; all else stays float32."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ppocr_jax.models.ops import Ops, Strides, default_ops, depthwise_conv_native

_Conv = Callable[[jax.Array, jax.Array, Strides], jax.Array]


def training_ops(compute: str) -> Ops:
    """The default backend's operations, with convolutions in `compute`: "float32" or "bfloat16"."""
    return bfloat16_ops(default_ops()) if compute == "bfloat16" else default_ops()


def bfloat16_ops(ops: Ops) -> Ops:
    """`ops` with convolutions that read and write bfloat16.

    The BatchNorm after each convolution computes its statistics and its output in float32, parameters stay float32
    and are rounded on use; LSTM, dense layers and losses never see bfloat16. The forms for CPUs add a depthwise
    convolution up tap by tap, which bfloat16 would round at every step: that one stays as it is.
    """
    depthwise = ops.depthwise_conv
    if depthwise is depthwise_conv_native:
        depthwise = _in_bfloat16(depthwise)
    return ops._replace(conv=_in_bfloat16(ops.conv), depthwise_conv=depthwise)


def _in_bfloat16(conv: _Conv) -> _Conv:
    def rounded(x: jax.Array, kernel: jax.Array, strides: Strides) -> jax.Array:
        return conv(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), strides)

    return rounded
