"""Equivalent forms of layers that converters translate better than the original ones.

The networks are not changed: Flax lets a caller replace a module's `__call__` (`nn.intercept_methods`). Inside the
replacement, the module's variables are those passed to `apply`; NumPy arrays become constants of the exported graph.
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
"""Module class -> function of the module and its input that is called instead of the module's `__call__`."""


def with_forms(forms: Forms) -> AbstractContextManager[Any]:
    """Use `forms` for every network applied inside the context."""

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        form = forms.get(type(context.module))
        if form is None or context.method_name != "__call__":
            return call(*args, **kwargs)
        return form(context.module, *args, **kwargs)

    return nn.intercept_methods(intercept)


def _transposed_conv(module: TransposedConv2x2, x: jax.Array) -> jax.Array:
    """Compute the layer as a transposed convolution; its own form, a product and depth-to-space, gives seven nodes."""
    params = module.variables["params"]
    # JAX correlates the kernel with the dilated input, so the kernel is flipped; (C, 2, 2, F) -> (2, 2, C, F).
    kernel = params["kernel"][:, ::-1, ::-1].transpose(1, 2, 0, 3)
    return lax.conv_transpose(x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + params["bias"]


def _squeeze_excite(module: SqueezeExcite, x: jax.Array, *, gate: Callable[..., jax.Array]) -> jax.Array:
    """Compute the layer with `jnp.mean`, which jax2onnx supports; `x.mean` gives a sum, a division and shape nodes."""
    params = module.variables["params"]
    pooled = jnp.mean(x, (1, 2), keepdims=True)
    hidden = nn.relu(_conv1x1(module, params["conv1"], pooled))
    return x * gate(_conv1x1(module, params["conv2"], hidden), slope=module.slope)


def _conv1x1(module: SqueezeExcite, params: Any, x: jax.Array) -> jax.Array:
    return module.ops.conv(x, params["kernel"], (1, 1)) + params["bias"]


def _hard_sigmoid_by_six(x: jax.Array, *, slope: float) -> jax.Array:
    """Compute `hard_sigmoid` with a clip at 6: TFLite has an operator for a clip at 1 that tf2onnx does not support."""
    return jnp.clip(6 * slope * x + 3, 0, 6) / 6


ONNX_FORMS: Forms = {
    TransposedConv2x2: _transposed_conv,
    SqueezeExcite: partial(_squeeze_excite, gate=hard_sigmoid),
}
INT8_FORMS: Forms = {TransposedConv2x2: _transposed_conv}
"""Forms for networks trained for int8, which have their own form of squeeze-and-excitation (`training.pact`)."""
TENSORFLOW_FORMS: Forms = {SqueezeExcite: partial(_squeeze_excite, gate=_hard_sigmoid_by_six)}
