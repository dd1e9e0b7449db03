"""A bidirectional LSTM layer as one ONNX `LSTM` node.

Exported step by step, a time loop becomes thousands of nodes or an ONNX loop, both an order of magnitude slower than
ONNX Runtime's own LSTM. So the exporter traces the layer as one primitive, and tells jax2onnx how to write it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive

from ppocr_jax.models.lstm import LSTMWeights

_GATES = (0, 3, 1, 2)  # ours: input, forget, cell, output; ONNX's: input, output, forget, cell

_bilstm_p = Primitive("ppocr_jax.bilstm")


def bilstm_native(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """`models.lstm.bilstm_scan`, (B, T, C) -> (B, T, 2H), for jax2onnx to trace; it cannot be run."""
    kernel, recurrent, bias = (_with_onnx_gates(leaf) for leaf in weights)
    biases = jnp.concatenate([bias, jnp.zeros_like(bias)], axis=-1)  # of the input and of the recurrence
    return _bilstm_p.bind(x, kernel.swapaxes(1, 2), recurrent.swapaxes(1, 2), biases)


def _with_onnx_gates(leaf: jax.Array) -> jax.Array:
    """(..., 4H) -> (..., 4H) in ONNX's gate order."""
    gates = jnp.split(leaf, 4, axis=-1)
    return jnp.concatenate([gates[i] for i in _GATES], axis=-1)


@_bilstm_p.def_abstract_eval
def _abstract_eval(x: Any, kernel: Any, recurrent: Any, biases: Any) -> ShapedArray:
    return ShapedArray((*x.shape[:2], 2 * recurrent.shape[-1]), x.dtype)


@register_primitive(jaxpr_primitive=_bilstm_p.name)
class BiLSTMPlugin(PrimitiveLeafPlugin):
    """How jax2onnx writes the primitive."""

    _PRIM: ClassVar[Primitive] = _bilstm_p
    _ABSTRACT_EVAL_BOUND: ClassVar[bool] = True

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Emit the node, between transpositions: ONNX takes (T, B, C) and gives (T, 2, B, H)."""
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
        joined = emit.Reshape(batch_major, shape, _outputs=[ctx.fresh_name("lstm")])  # 0: as in the input
        joined.type, joined.shape = result.type, result.shape
        ctx.bind_value_for_var(eqn.outvars[0], joined)
