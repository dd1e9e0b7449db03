"""Layers whose plain form converts badly, in forms that converters know.

The networks stay as they are: Flax lets a caller stand in for a module's `__call__` (`nn.intercept_methods`). Inside it
a module's variables are those given to `apply`; as NumPy arrays they become constants of the exported graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ppocr_jax.models.db import TransposedConv2x2
from ppocr_jax.models.layers import SqueezeExcite, hard_sigmoid

Forms = Mapping[type[nn.Module], Callable[..., jax.Array]]
"""Module class -> what to call, with the module and the input, instead of the module's `__call__`."""


def with_forms(forms: Forms) -> AbstractContextManager[Any]:
    """Use `forms` for every network applied inside the context."""

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        form = forms.get(type(context.module))
        if form is None or context.method_name != "__call__":
            return call(*args, **kwargs)
        return form(context.module, *args, **kwargs)

    return nn.intercept_methods(intercept)


def _transposed_conv(module: TransposedConv2x2, x: jax.Array) -> jax.Array:
    """As a transposed convolution: the product with depth-to-space becomes seven nodes with shape arithmetic."""
    params = module.variables["params"]
    # JAX correlates with the dilated input, so the taps come in reverse; (C, 2, 2, F) -> (2, 2, C, F).
    kernel = params["kernel"][:, ::-1, ::-1].transpose(1, 2, 0, 3)
    return lax.conv_transpose(x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + params["bias"]


def _squeeze_excite(module: SqueezeExcite, x: jax.Array, *, gate: Callable[..., jax.Array]) -> jax.Array:
    """With `jnp.mean`, which jax2onnx knows; `x.mean` becomes a sum, a division and shape arithmetic."""
    params = module.variables["params"]
    pooled = jnp.mean(x, (1, 2), keepdims=True)
    hidden = nn.relu(_conv1x1(module, params["conv1"], pooled))
    return x * gate(_conv1x1(module, params["conv2"], hidden), slope=module.slope)


def _conv1x1(module: SqueezeExcite, params: Any, x: jax.Array) -> jax.Array:
    return module.ops.conv(x, params["kernel"], (1, 1)) + params["bias"]


def _hard_sigmoid_by_six(x: jax.Array, *, slope: float) -> jax.Array:
    """`hard_sigmoid`, clipped at 6: TensorFlow Lite has an operator for a clip at 1 that tf2onnx does not know."""
    return jnp.clip(6 * slope * x + 3, 0, 6) / 6


ONNX_FORMS: Forms = {
    TransposedConv2x2: _transposed_conv,
    SqueezeExcite: partial(_squeeze_excite, gate=hard_sigmoid),
}
INT8_FORMS: Forms = {TransposedConv2x2: _transposed_conv}
"""For networks trained for int8, which bring their own form of squeeze-and-excitation (`training.pact`)."""
TENSORFLOW_FORMS: Forms = {SqueezeExcite: partial(_squeeze_excite, gate=_hard_sigmoid_by_six)}
