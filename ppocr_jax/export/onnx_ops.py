"""The networks' basic operations in the form that gives a small and fast ONNX graph."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive

from ppocr_jax.export.bilstm_onnx import bilstm_native
from ppocr_jax.export.layer_forms import max_pool_2x2
from ppocr_jax.models.ops import Ops, conv_native, depthwise_conv_native

_upsample_p = Primitive("ppocr_jax.upsample_nearest")


def upsample_as_resize(x: jax.Array, factor: int) -> jax.Array:
    """`models.ops.upsample_nearest`, for jax2onnx to trace; it cannot be run."""
    return _upsample_p.bind(x, factor=factor)


@_upsample_p.def_abstract_eval
def _abstract_eval(x: Any, *, factor: int) -> ShapedArray:
    batch, height, width, channels = x.shape
    return ShapedArray((batch, factor * height, factor * width, channels), x.dtype)


@register_primitive(jaxpr_primitive=_upsample_p.name)
class UpsamplePlugin(PrimitiveLeafPlugin):
    """How jax2onnx writes the primitive: as a Resize of an NCHW picture."""

    _PRIM: ClassVar[Primitive] = _upsample_p
    _ABSTRACT_EVAL_BOUND: ClassVar[bool] = True

    def lower(self, ctx: Any, eqn: Any) -> None:
        """Emit the node, between transpositions."""
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


onnx_ops = Ops(conv_native, depthwise_conv_native, upsample_as_resize, max_pool_2x2, bilstm_native)
