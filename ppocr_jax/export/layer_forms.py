"""Layers whose plain form converts badly, in forms that converters know: active inside `exportable_layers()`.

The networks stay as they are: Flax lets a caller stand in for a module's `__call__` (`nn.intercept_methods`). Inside it
a module's variables are those given to `apply`; as NumPy arrays they become constants of the exported graph.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from ppocr_jax.models.db import TransposedConv2x2
from ppocr_jax.models.layers import SqueezeExcite, hard_sigmoid


def exportable_layers() -> AbstractContextManager[Any]:
    """Use the forms of this file for every network applied inside the context."""
    return nn.intercept_methods(_intercept)


def _intercept(next_fun: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    form = _FORMS.get(type(context.module))
    if form is None or context.method_name != "__call__" or context.module.is_initializing():
        return next_fun(*args, **kwargs)
    return form(context.module, *args, **kwargs)


def _transposed_conv(module: TransposedConv2x2, x: jax.Array) -> jax.Array:
    """As a transposed convolution: the product with depth-to-space becomes seven nodes with shape arithmetic."""
    params = module.variables["params"]
    # JAX correlates with the dilated input, so the taps come in reverse; (C, 2, 2, F) -> (2, 2, C, F).
    kernel = params["kernel"][:, ::-1, ::-1].transpose(1, 2, 0, 3)
    return lax.conv_transpose(x, kernel, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")) + params["bias"]


def _squeeze_excite(module: SqueezeExcite, x: jax.Array) -> jax.Array:
    """With `jnp.mean`, which jax2onnx knows; `x.mean` becomes a sum, a division and shape arithmetic."""
    params = module.variables["params"]
    pooled = jnp.mean(x, (1, 2), keepdims=True)
    hidden = nn.relu(_conv1x1(module, params["conv1"], pooled))
    return x * hard_sigmoid(_conv1x1(module, params["conv2"], hidden), slope=module.slope)


def _conv1x1(module: SqueezeExcite, params: Any, x: jax.Array) -> jax.Array:
    return module.ops.conv(x, params["kernel"], (1, 1)) + params["bias"]


_FORMS: dict[type[nn.Module], Callable[..., jax.Array]] = {
    TransposedConv2x2: _transposed_conv,
    SqueezeExcite: _squeeze_excite,
}
