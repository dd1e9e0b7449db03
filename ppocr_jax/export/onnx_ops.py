"""Basic operations of the networks in a form that gives a small and fast ONNX graph.

If the time loop of an LSTM were traced step by step, it would become thousands of nodes or an ONNX loop, both an order
of magnitude slower than ONNX Runtime's LSTM operator. Each layer is therefore traced as one primitive, with a plugin
that writes it as ONNX nodes.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive

from ppocr_jax.models.ops import LSTMWeights, Strides, native_ops

_GATES = (0, 3, 1, 2)  # order here: input, forget, cell, output; in ONNX: input, output, forget, cell

_bilstm_p = Primitive("ppocr_jax.bilstm")
_upsample_p = Primitive("ppocr_jax.upsample_nearest")
_pool_p = Primitive("ppocr_jax.pool")


def upsample_as_resize(x: jax.Array, factor: int) -> jax.Array:
    """Trace `models.ops.upsample_nearest` for jax2onnx; the result cannot be computed."""
    return _upsample_p.bind(x, factor=factor)


def pool(x: jax.Array, *, node: str, window: Strides, strides: Strides, border: int = 0) -> jax.Array:
    """Trace pooling by the ONNX operator `node` for jax2onnx, whose own pooling does not reduce symbolic sizes.

    Windows do not overlap, or they are 3x3 with a border of 1.
    """
    return _pool_p.bind(x, node=node, window=window, strides=strides, border=border)


def average_pool(x: jax.Array, window: Strides) -> jax.Array:
    """Trace `models.ops.average_pool`; sizes must be multiples of the window size."""
    return x if window == (1, 1) else pool(x, node="AveragePool", window=window, strides=window)


@_upsample_p.def_abstract_eval
def _upsampled(x: Any, *, factor: int) -> ShapedArray:
    batch, height, width, channels = x.shape
    return ShapedArray((batch, factor * height, factor * width, channels), x.dtype)


@_pool_p.def_abstract_eval
def _pooled(x: Any, *, node: str, window: Strides, strides: Strides, border: int) -> ShapedArray:
    batch, *sides, channels = x.shape
    del node, window
    # Equals (side + 2 * border - size) // step + 1, in a form that JAX can simplify if a side is symbolic.
    height, width = (-(-side // step) if border else side // step for side, step in zip(sides, strides, strict=True))
    return ShapedArray((batch, height, width, channels), x.dtype)


@register_primitive(jaxpr_primitive=_upsample_p.name)
class UpsamplePlugin(PrimitiveLeafPlugin):
    """jax2onnx plugin that writes the upsampling primitive as a Resize of an NCHW image."""

    _PRIM: ClassVar[Primitive] = _upsample_p
    _ABSTRACT_EVAL_BOUND: ClassVar[bool] = True

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Emit the node between transpositions."""
        x = ctx.get_value_for_var(eqn.invars[0])
        result = ctx.get_value_for_var(eqn.outvars[0])
        factor = eqn.params["factor"]
        emit = ctx.builder
        scales = emit.add_initializer_from_array(ctx.fresh_name("scales"), np.array([1, 1, factor, factor], np.float32))
        planes = emit.Transpose(x, perm=(0, 3, 1, 2))
        larger = emit.Resize(
            planes, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
        pixels = emit.Transpose(larger, perm=(0, 2, 3, 1), _outputs=[ctx.fresh_name("upsampled")])
        pixels.type, pixels.shape = result.type, result.shape
        ctx.bind_value_for_var(eqn.outvars[0], pixels)


@register_primitive(jaxpr_primitive=_pool_p.name)
class PoolPlugin(PrimitiveLeafPlugin):
    """jax2onnx plugin that writes the pooling primitive as a pooling operator on an NCHW image."""

    _PRIM: ClassVar[Primitive] = _pool_p
    _ABSTRACT_EVAL_BOUND: ClassVar[bool] = True

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Emit the node between transpositions."""
        result, border = ctx.get_value_for_var(eqn.outvars[0]), eqn.params["border"]
        emit = ctx.builder
        planes = emit.Transpose(ctx.get_value_for_var(eqn.invars[0]), perm=(0, 3, 1, 2))
        window, strides = (list(eqn.params[name]) for name in ("window", "strides"))
        pooled = getattr(emit, eqn.params["node"])(planes, kernel_shape=window, strides=strides, pads=4 * [border])
        pixels = emit.Transpose(pooled, perm=(0, 2, 3, 1), _outputs=[ctx.fresh_name("pooled")])
        pixels.type, pixels.shape = result.type, result.shape
        ctx.bind_value_for_var(eqn.outvars[0], pixels)


def bilstm_native(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """Trace `models.ops.bilstm_scan`, (B, T, C) -> (B, T, 2H), for jax2onnx; the result cannot be computed."""
    kernel, recurrent, bias = (_with_onnx_gates(leaf) for leaf in weights)
    biases = jnp.concatenate([bias, jnp.zeros_like(bias)], axis=-1)  # input bias and recurrent bias
    return _bilstm_p.bind(x, kernel.swapaxes(1, 2), recurrent.swapaxes(1, 2), biases)


def _with_onnx_gates(leaf: jax.Array) -> jax.Array:
    """Return an array (..., 4H) with its gates in ONNX's order."""
    gates = jnp.split(leaf, 4, axis=-1)
    return jnp.concatenate([gates[i] for i in _GATES], axis=-1)


@_bilstm_p.def_abstract_eval
def _abstract_eval(x: Any, kernel: Any, recurrent: Any, biases: Any) -> ShapedArray:
    return ShapedArray((*x.shape[:2], 2 * recurrent.shape[-1]), x.dtype)


@register_primitive(jaxpr_primitive=_bilstm_p.name)
class BiLSTMPlugin(PrimitiveLeafPlugin):
    """jax2onnx plugin that writes the LSTM primitive as ONNX's LSTM operator."""

    _PRIM: ClassVar[Primitive] = _bilstm_p
    _ABSTRACT_EVAL_BOUND: ClassVar[bool] = True

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Emit the node between transpositions, because ONNX maps (T, B, C) to (T, 2, B, H)."""
        x, kernel, recurrent, biases = (ctx.get_value_for_var(var) for var in eqn.invars)
        result = ctx.get_value_for_var(eqn.outvars[0])
        hidden = eqn.invars[2].aval.shape[-1]
        emit = ctx.builder
        time_major = emit.Transpose(x, perm=(1, 0, 2))
        outputs = [ctx.fresh_name(f"lstm_{name}") for name in ("states", "last_state", "last_cell")]
        states, *_ = emit.LSTM(
            time_major, kernel, recurrent, biases, hidden_size=hidden, direction="bidirectional", _outputs=outputs
        )
        batch_major = emit.Transpose(states, perm=(2, 0, 1, 3))
        shape = emit.add_initializer_from_array(ctx.fresh_name("lstm_shape"), np.array([0, 0, 2 * hidden]))
        joined = emit.Reshape(batch_major, shape, _outputs=[ctx.fresh_name("lstm")])  # 0 keeps the size
        joined.type, joined.shape = result.type, result.shape
        ctx.bind_value_for_var(eqn.outvars[0], joined)


onnx_ops = native_ops._replace(
    upsample=upsample_as_resize,
    max_pool=partial(pool, node="MaxPool", window=(2, 2), strides=(2, 2)),
    max_pool_3x3=partial(pool, node="MaxPool", window=(3, 3), strides=(2, 2), border=1),
    average_pool=average_pool,
    bilstm=bilstm_native,
)
