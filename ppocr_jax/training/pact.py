"""PACT: quantization-aware training for int8 (Choi et al., arXiv 1805.06085, with PaddleSlim's changes).

Feature maps and weights are rounded in the forward pass as `onnx_graph.int8` will write them, so the network that is
trained, evaluated and exported is the same. Gradients pass straight through the rounding.

    y = x - relu(x - alpha) + relu(-alpha - x)          clipped to -alpha..alpha; dy/dalpha is +1 above, -1 below
    q = round(y / s) + z within 0..255, (q - z) * s     s, z from moving averages of the minimum and maximum of y

One `alpha` per feature map is trained with the weights. It is the paper's clipping made symmetric for hard swish.
Unlike PaddleSlim, which uses signed bytes, feature maps are rounded to unsigned bytes with a zero point: only these
have fast instructions on x86, and after ReLU or hard swish signed bytes lose half of their steps. Weights are symmetric
int8 with a scale per output channel, from the channel's largest absolute value. The stem's convolutions,
LSTM, dense layers and squeeze-and-excitation compute in float32, but their large weights are rounded as they will be
stored. BatchNorm uses its running statistics, which are folded into the weights at export.

The clip values are a separate tree in the parameters (`params["clips"]`), the moving averages in the statistics
(`batch_stats["ranges"]`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util
from jax import lax

from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.models.db import DBBranch, NeckConv, TransposedConv2x2
from ppocr_jax.models.layers import BN_EPSILON, Conv1x1Bias, ConvBN, Linear, SqueezeExcite, hard_sigmoid, hard_swish
from ppocr_jax.models.mobilenet_v3 import InvertedResidual
from ppocr_jax.models.ops import LSTMWeights, Ops, Strides, default_ops
from ppocr_jax.onnx_graph.int8 import LEAST_RANGE, LEAST_STORED, LEVELS, STEM, WEIGHT_LEVELS

CLIPS, RANGES = "clips", "ranges"
RANGE_RATE = 0.9  # decay of the moving averages, as in PaddleSlim
_LEAST_WEIGHT = 1e-6  # avoids dividing by zero before the first batch
_ANY_SIDE = 64  # pixels, for networks that take any size; the names of their maps do not depend on it

Flat = dict[str, Any]


def clip(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """Return x clipped to -alpha..alpha, with a gradient for alpha."""
    return x - nn.relu(x - alpha) + nn.relu(-alpha - x)


def round_map(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Round a feature map to unsigned bytes; the gradient is that of the identity.

    Args:
        x: Array of any shape.
        low, high: Values of the bytes 0 and 255, low <= 0 <= high.
    """
    scale = jnp.maximum(high - low, LEAST_RANGE) / LEVELS
    zero = jnp.round(-low / scale)
    steps = jnp.clip(jnp.round(x / scale) + zero, 0, LEVELS)
    return _straight_through(x, (steps - zero) * scale)


def round_weights(weights: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Round weights to int8 with a scale per output; the gradient is that of the identity.

    Args:
        weights: Array of any shape.
        axes: Axes over which an output is summed.
    """
    largest = jnp.abs(weights).max(axis=axes, keepdims=True)
    scale = jnp.where(largest > 0, largest / WEIGHT_LEVELS, 1)
    return _straight_through(weights, jnp.round(weights / scale) * scale)


def _straight_through(x: jax.Array, rounded: jax.Array) -> jax.Array:
    return x + lax.stop_gradient(rounded - x)


def _rounded_gate(x: jax.Array) -> jax.Array:
    """Return hard swish's hard sigmoid rounded to 255ths as in `onnx_graph.int8`: 1/2 becomes 128/255."""
    steps = jnp.clip(jnp.round(x * (LEVELS / 6)) + round(LEVELS / 2), 0, LEVELS)
    return _straight_through(hard_sigmoid(x, slope=1 / 6), steps / LEVELS)


def is_quantized(variables: Mapping[str, Any]) -> bool:
    """Return whether the variables belong to a `QuantizedNetwork`."""
    return CLIPS in variables["params"]


def without_clips(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's own variables, without clip values and ranges."""
    return {
        kind: {name: tree for name, tree in variables[kind].items() if name not in (CLIPS, RANGES)}
        for kind in variables
    }


def is_clip(path: str) -> bool:
    """Return whether the parameter at `path` is a clip value."""
    return path.startswith(f"{CLIPS}/")


class QuantizedNetwork:
    """A network that computes like its int8 file; a replacement for its linen module.

    Attributes:
        guided: As in the network, see `svtr`.
    """

    def __init__(self, build: Callable[..., nn.Module], *, ops: Ops | None = None, cut: bool = False) -> None:
        """Build the network.

        Args:
            build: Function from `ops` to a linen module.
            ops: Implementations of the basic operations; by default those for the default JAX backend.
            cut: Clip feature maps to their ranges instead of rounding, for the exporter: `onnx_graph.int8` then
                quantizes them.
        """
        self._build, self._ops, self._cut = build, ops or default_ops(), cut
        self._network = build(ops=_quantized_ops(self._ops))
        self.guided = getattr(self._network, "guided", False)

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Return random variables of the network itself, without clip values and ranges."""
        return self._network.init(*args, **kwargs)

    def with_ops(self, change: Callable[[Ops], Ops]) -> QuantizedNetwork:
        """Return the network with other operations, which get the rounded values; see `padding.with_ops`."""
        return QuantizedNetwork(self._build, ops=change(self._ops), cut=self._cut)

    def apply(self, variables: Mapping[str, Any], *args: Any, train: bool, mutable: Any = False, **kwargs: Any) -> Any:
        """Apply the network like `nn.Module.apply`; with `train` the moving averages of the ranges are updated.

        Args:
            variables: Variables with clip values and ranges, see `with_clips`.
            args, kwargs: Arguments of the network.
            train: Whether the network is in training mode.
            mutable: Collections to return with the outputs: "batch_stats" or none.
        """
        clips = _flat(variables["params"][CLIPS])
        run = _Pass(clips, _flat(variables["batch_stats"][RANGES]), train=train, cut=self._cut)
        with run:
            result = self._network.apply(without_clips(variables), *args, train=train, mutable=mutable, **kwargs)
        if mutable is False:
            return result
        outputs, changed = cast("tuple[Any, dict[str, Any]]", result)
        statistics = {**changed.get("batch_stats", {}), RANGES: _nested(run.ranges)}
        return outputs, {**changed, "batch_stats": statistics}

    def with_clips(
        self, variables: Mapping[str, Any], spec: NetworkSpec, alpha: float, *, students: int = 1
    ) -> dict[str, Any]:
        """Return a network's variables with clip values and empty ranges for all of its feature maps.

        Args:
            variables: Variables of the network itself.
            spec: Its description, for the size of its input.
            alpha: Initial clip value.
            students: With more than one, arrays have a leading student axis.
        """
        height, width = (getattr(spec, side, None) or _ANY_SIDE for side in ("height", "width"))
        with _Pass({}, {}, train=False, cut=False, naming=True) as run:
            image = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
            one = variables if students == 1 else jax.tree.map(lambda array: array[0], dict(variables))
            jax.eval_shape(lambda v, x: self._network.apply(v, x, train=False), dict(one), image)
        each = () if students == 1 else (students,)
        clips = {name: jnp.full(each, alpha, jnp.float32) for name in run.ranges}
        ranges = {name: jnp.zeros((*each, 3), jnp.float32) for name in run.ranges}
        return {
            **variables,
            "params": {**variables["params"], CLIPS: _nested(clips)},
            "batch_stats": {**variables.get("batch_stats", {}), RANGES: _nested(ranges)},
        }


def _flat(tree: Mapping[str, Any]) -> Flat:
    return traverse_util.flatten_dict(dict(tree), sep="/")


def _nested(flat: Flat) -> dict[str, Any]:
    return traverse_util.unflatten_dict(flat, sep="/")


_running: ContextVar[_Pass | None] = ContextVar("running", default=None)


class _Pass:
    """One application of a network: tracks which values are already rounded to a byte grid, and rounds the others.

    In the names here, a value is "on the grid" if bytes represent it exactly.
    """

    def __init__(self, clips: Flat, ranges: Flat, *, train: bool, cut: bool, naming: bool = False) -> None:
        self.ranges = dict(ranges)
        self._clips, self._train, self._cut, self._naming = clips, train, cut, naming
        self._modules: list[nn.Module] = []
        self._counts: dict[str, int] = {}
        self._convolutions = 0
        # id(value) -> (value, rounded value); keeping the value alive keeps its id unique.
        self._on_grid: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> _Pass:
        self._token = _running.set(self)
        self._interception = nn.intercept_methods(self._intercept)
        self._interception.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._interception.__exit__(*error)
        _running.reset(self._token)

    @property
    def _is_past_stem(self) -> bool:
        return self._convolutions > STEM

    def on_grid(self, x: Any) -> Any:
        """Return the rounded value; the same value is always rounded only once."""
        if id(x) in self._on_grid:
            return self._on_grid[id(x)][1]
        module = "/".join(self._modules[-1].path)
        number = self._counts.get(module, 0)
        self._counts[module] = number + 1
        rounded = self._rounded(f"{module}/map_{number}", x)
        self.keep(x, rounded)
        return self.keep(rounded, rounded)

    def keep(self, x: Any, rounded: Any) -> Any:
        """Remember the rounded form of a value; it may be the value itself."""
        self._on_grid[id(x)] = (x, rounded)
        return rounded

    def is_on_grid(self, x: Any) -> bool:
        """Return whether bytes represent the value exactly."""
        return id(x) in self._on_grid and self._on_grid[id(x)][1] is x

    def _rounded(self, name: str, x: Any) -> Any:
        if self._naming:
            self.ranges[name] = None
            return x
        if name not in self._clips:  # a layer that only training has
            return x
        if self._cut:
            weight, low, high = (float(number) for number in self.ranges[name])
            if not weight:
                raise UserError(
                    "this run has no ranges for int8 yet: it was stopped before its first step; train it further"
                )
            return jnp.clip(x, np.float32(min(low / weight, 0)), np.float32(max(high / weight, 0)))
        alpha = self._clips[name]
        clipped = clip(x, alpha)
        if self._train:
            seen = lax.stop_gradient(jnp.stack([jnp.ones(()), clipped.min(), clipped.max()]))
            self.ranges[name] = RANGE_RATE * self.ranges[name] + seen
        weight, low, high = lax.stop_gradient(self.ranges[name])
        weight = jnp.maximum(weight, _LEAST_WEIGHT)
        return round_map(clipped, jnp.minimum(low / weight, 0), jnp.maximum(high / weight, 0))

    def convolve(self, form: Callable[..., Any], x: Any, kernel: Any, strides: Strides, axes: tuple[int, ...]) -> Any:
        """Convolve; after the stem with rounded input and weights, otherwise in float32."""
        module = self._modules[-1]
        if isinstance(module, Conv1x1Bias | SqueezeExcite):
            return form(x, self.stored(kernel, axes), strides)
        self._convolutions += 1
        if not self._is_past_stem:
            return form(x, self.stored(kernel, axes), strides)
        y = form(self.on_grid(x), kernel if self._cut else round_weights(kernel, axes), strides)
        return self.on_grid(y) if isinstance(module, NeckConv) else y

    def stored(self, weights: Any, axes: tuple[int, ...]) -> Any:
        """Return the weights of a float32 layer as its file will store them."""
        return weights if self._cut or weights.size < LEAST_STORED else round_weights(weights, axes)

    def _intercept(self, call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        """Replace a module's `__call__` by its quantized form, if it has one."""
        module = context.module
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        self._modules.append(module)
        try:
            form = _QUANTIZED_CALLS.get(type(module))
            return call(*args, **kwargs) if form is None else form(self, module, call, *args, **kwargs)
        finally:
            self._modules.pop()

    def batch_norm(self, module: nn.BatchNorm, call: Any, x: Any, **kwargs: Any) -> Any:
        """Normalize by the running statistics in every mode."""
        params, statistics = module.variables.get("params", {}), module.variables["batch_stats"]
        factor, offset = _affine(params, statistics, module.epsilon)
        return x * factor + offset

    def conv_bn(self, module: ConvBN, call: Any, x: Any, *, train: bool) -> Any:
        """Convolve with BatchNorm folded into the kernel, then activate; hard swish is rounded step by step."""
        params, statistics = module.variables["params"], module.variables["batch_stats"]
        factor, offset = _affine(params["bn"], statistics["bn"])
        conv = module.ops.depthwise_conv if module.depthwise else module.ops.conv
        y = conv(x, params["kernel"] * factor, module.strides) + offset
        if not self._is_past_stem:
            return module.activation(y)
        if module.activation is not hard_swish:
            return self.on_grid(module.activation(y))
        y = self.on_grid(y)
        return self.on_grid(hard_swish(y) if self._cut else y * _rounded_gate(y))

    def branch(self, module: DBBranch, call: Any, x: Any, *, train: bool) -> Any:
        """DB's head: rounded convolution, upsampling in float32; BatchNorm folded into both."""
        params, statistics = module.variables["params"], module.variables["batch_stats"]
        factor, offset = _affine(params["bn1"], statistics["bn1"])
        y = self.on_grid(nn.relu(module.ops.conv(x, params["kernel"] * factor, (1, 1)) + offset))
        factor, offset = _affine(params["bn2"], statistics["bn2"])
        up1 = {"kernel": params["up1"]["kernel"] * factor, "bias": params["up1"]["bias"] * factor + offset}
        y = nn.relu(cast("jax.Array", TransposedConv2x2(y.shape[-1]).apply({"params": up1}, y)))
        return cast("jax.Array", TransposedConv2x2(1).apply({"params": params["up2"]}, y)).squeeze(-1)

    def squeeze_excite(self, module: SqueezeExcite, call: Any, x: Any) -> Any:
        """Pool and apply the two layers in float32; round the gate and its product with the map."""
        params = module.variables["params"]

        def layer(name: str, x: Any) -> Any:
            return module.ops.conv(x, params[name]["kernel"], (1, 1)) + params[name]["bias"]

        hidden = nn.relu(layer("conv1", module.ops.mean(x)))
        gate = hard_sigmoid(layer("conv2", hidden), slope=module.slope)
        if not self._is_past_stem:
            return x * gate
        rounded = jnp.clip(gate, 0, 1) if self._cut else _straight_through(gate, jnp.round(gate * LEVELS) / LEVELS)
        return self.on_grid(x * rounded)

    def residual(self, module: nn.Module, call: Any, x: Any, *, train: bool) -> Any:
        """Apply a unit and round its sum."""
        y = call(x, train=train)
        return self.on_grid(y) if self._is_past_stem else y

    def linear(self, module: Linear, call: Any, x: Any) -> Any:
        """Apply a dense layer in float32."""
        params = module.variables["params"]
        return x @ self.stored(params["kernel"], (0,)) + params["bias"]


def _affine(params: Any, statistics: Any, epsilon: float = BN_EPSILON) -> tuple[Any, Any]:
    """Return BatchNorm's factor and offset from its running statistics; NumPy arrays for NumPy input (exporter)."""
    factor = (statistics["var"] + epsilon) ** -0.5 * params.get("scale", 1.0)
    return factor, params.get("bias", 0.0) - statistics["mean"] * factor


_QUANTIZED_CALLS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.BatchNorm: _Pass.batch_norm,
    ConvBN: _Pass.conv_bn,
    DBBranch: _Pass.branch,
    SqueezeExcite: _Pass.squeeze_excite,
    InvertedResidual: _Pass.residual,
    Linear: _Pass.linear,
}


def _quantized_ops(ops: Ops) -> Ops:
    """Return `ops` that round while a `QuantizedNetwork` is applied, and are unchanged otherwise."""

    def convolution(form: Callable[..., Any], axes: tuple[int, ...]) -> Callable[..., Any]:
        def convolve(x: Any, kernel: Any, strides: Strides) -> Any:
            run = _running.get()
            return form(x, kernel, strides) if run is None else run.convolve(form, x, kernel, strides, axes)

        return convolve

    def upsample(x: Any, factor: int) -> Any:
        run = _running.get()
        if run is None:
            return ops.upsample(x, factor)
        x = run.on_grid(x)
        larger = ops.upsample(x, factor)
        return run.keep(larger, larger)

    def max_pool(x: Any) -> Any:
        run, y = _running.get(), ops.max_pool(x)
        return run.keep(y, y) if run is not None and run.is_on_grid(x) else y

    def bilstm(x: Any, weights: LSTMWeights) -> Any:
        run = _running.get()
        if run is None:
            return ops.bilstm(x, weights)
        first, recurrent = (run.stored(kernel, (1,)) for kernel in (weights.input, weights.recurrent))
        return ops.bilstm(x, LSTMWeights(first, recurrent, weights.bias))

    return ops._replace(
        conv=convolution(ops.conv, (0, 1, 2)),
        depthwise_conv=convolution(ops.depthwise_conv, (0, 1)),
        upsample=upsample,
        max_pool=max_pool,
        bilstm=bilstm,
    )
