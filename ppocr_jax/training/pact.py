"""PACT: training a network to compute with bytes (Choi et al., arXiv 1805.06085, with PaddleSlim's changes).

A network is applied with its feature maps and weights rounded as `onnx_graph.int8` will write them, so that what is
trained, evaluated and exported is the same network. Rounding has no gradient; it is passed straight through.

    y = x - relu(x - alpha) + relu(-alpha - x)          clipped to -alpha..alpha; dL/dalpha is +1 above, -1 below
    q = round(y / s) + z within 0..255, (q - z) * s     s, z from the moving averages of y's least and greatest values

One `alpha` for each feature map is trained with the weights, the paper's form made symmetric for hard swish. Other
than PaddleSlim, whose bytes are signed, maps are rounded to unsigned bytes with a zero point: x86 has fast instructions
for these alone, and after ReLU or hard swish the signed ones lose half of their steps. Weights are symmetric int8 with
a scale for each output channel, of the weight's largest value. The stem's convolutions stay in float32, and so do
LSTM, dense layers and squeeze-and-excitation, whose large weights are rounded as they will be stored. BatchNorm uses
its running statistics, which are folded into the weights when a network is exported.

The clip values are a tree of their own among the parameters (`params["clips"]`), the moving averages among the
statistics (`batch_stats["ranges"]`).
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
RANGE_RATE = 0.9  # of the moving averages; PaddleSlim's
_LEAST_WEIGHT = 1e-6  # what has seen no batch yet gives nothing, not a division by zero
_IMAGE = 64  # pixels a side, where a network takes any: the names of its maps do not depend on it

Flat = dict[str, Any]


def clip(x: jax.Array, alpha: jax.Array) -> jax.Array:
    """Return x between -alpha and alpha, with a gradient for alpha."""
    return x - nn.relu(x - alpha) + nn.relu(-alpha - x)


def round_map(x: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Return a feature map as unsigned bytes hold it; the gradient is that of the identity.

    Args:
        x: of any shape.
        low, high: what the least and the greatest byte stand for, low <= 0 <= high.
    """
    scale = jnp.maximum(high - low, LEAST_RANGE) / LEVELS
    zero = jnp.round(-low / scale)
    steps = jnp.clip(jnp.round(x / scale) + zero, 0, LEVELS)
    return _straight_through(x, (steps - zero) * scale)


def round_weights(weights: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Return weights as int8 with a scale for each output holds them; the gradient is that of the identity.

    Args:
        weights: of any shape.
        axes: over which one output adds up.
    """
    largest = jnp.abs(weights).max(axis=axes, keepdims=True)
    scale = jnp.where(largest > 0, largest / WEIGHT_LEVELS, 1)
    return _straight_through(weights, jnp.round(weights / scale) * scale)


def _straight_through(x: jax.Array, rounded: jax.Array) -> jax.Array:
    return x + lax.stop_gradient(rounded - x)


def _gate_of_bytes(x: jax.Array) -> jax.Array:
    """Return the hard sigmoid of hard swish in 255ths, rounded as `onnx_graph.int8` does it: 1/2 is 128/255."""
    steps = jnp.clip(jnp.round(x * (LEVELS / 6)) + round(LEVELS / 2), 0, LEVELS)
    return _straight_through(hard_sigmoid(x, slope=1 / 6), steps / LEVELS)


def is_quantized(variables: Mapping[str, Any]) -> bool:
    """Return whether variables are those of a `QuantizedNetwork`."""
    return CLIPS in variables["params"]


def without_clips(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the network's own variables."""
    return {
        kind: {name: tree for name, tree in variables[kind].items() if name not in (CLIPS, RANGES)}
        for kind in variables
    }


def is_clip(path: str) -> bool:
    """Return whether the parameter of a path is a clip value."""
    return path.startswith(f"{CLIPS}/")


class QuantizedNetwork:
    """A network that computes as its int8 file will; takes the place of the linen module wherever one is applied.

    Attributes:
        guided: of the network, see `svtr`.
    """

    def __init__(self, build: Callable[..., nn.Module], *, ops: Ops | None = None, cut: bool = False) -> None:
        """Build the network.

        Args:
            build: from `ops` to a linen module.
            ops: forms of the basic operations; those of the default JAX backend if left out.
            cut: do not round, but cut feature maps to their ranges, for the exporter: `onnx_graph.int8` makes bytes of
                them.
        """
        self._build, self._ops, self._cut = build, ops or default_ops(), cut
        self._network = build(ops=_quantized_ops(self._ops))
        self.guided = getattr(self._network, "guided", False)

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Return random variables of the network itself."""
        return self._network.init(*args, **kwargs)

    def with_ops(self, change: Callable[[Ops], Ops]) -> QuantizedNetwork:
        """Return the network with other operations, which see what is rounded already; see `padding.with_ops`."""
        return QuantizedNetwork(self._build, ops=change(self._ops), cut=self._cut)

    def apply(self, variables: Mapping[str, Any], *args: Any, train: bool, mutable: Any = False, **kwargs: Any) -> Any:
        """Apply the network as `nn.Module.apply` does; `train` moves the averages of the ranges.

        Args:
            variables: with clip values and ranges, see `with_clips`.
            args, kwargs: of the network.
            train: whether the network is in training mode.
            mutable: collections to return beside the outputs: "batch_stats" or none.
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
        """Return a network's variables with clip values and empty ranges for all of its maps.

        Args:
            variables: of the network itself.
            spec: its description, for the size of its input.
            alpha: where all clip values start.
            students: with more than one, arrays have a leading student axis.
        """
        height, width = (getattr(spec, side, None) or _IMAGE for side in ("height", "width"))
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
    """One application of a network: which of its values are on a grid of bytes, and where the others are put on one."""

    def __init__(self, clips: Flat, ranges: Flat, *, train: bool, cut: bool, naming: bool = False) -> None:
        self.ranges = dict(ranges)
        self._clips, self._train, self._cut, self._naming = clips, train, cut, naming
        self._modules: list[nn.Module] = []
        self._counts: dict[str, int] = {}
        self._convolutions = 0
        # By identity: value -> the value, which must live as long as its number, and the same on the grid.
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
        """Return a value as bytes hold it; all who ask for the same value get the same."""
        if id(x) in self._on_grid:
            return self._on_grid[id(x)][1]
        module = "/".join(self._modules[-1].path)
        number = self._counts.get(module, 0)
        self._counts[module] = number + 1
        rounded = self._rounded(f"{module}/map_{number}", x)
        self.keep(x, rounded)
        return self.keep(rounded, rounded)

    def keep(self, x: Any, rounded: Any) -> Any:
        """Remember that a value is on the grid, or what it is there."""
        self._on_grid[id(x)] = (x, rounded)
        return rounded

    def is_on_grid(self, x: Any) -> bool:
        """Return whether bytes hold a value as it is."""
        return id(x) in self._on_grid and self._on_grid[id(x)][1] is x

    def _rounded(self, name: str, x: Any) -> Any:
        if self._naming:
            self.ranges[name] = None
            return x
        if name not in self._clips:  # of layers that only training has
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
        """Convolve; past the stem between bytes."""
        module = self._modules[-1]
        if isinstance(module, Conv1x1Bias | SqueezeExcite):
            return form(x, self.stored(kernel, axes), strides)
        self._convolutions += 1
        if not self._is_past_stem:
            return form(x, kernel, strides)
        y = form(self.on_grid(x), kernel if self._cut else round_weights(kernel, axes), strides)
        return self.on_grid(y) if isinstance(module, NeckConv) else y

    def stored(self, weights: Any, axes: tuple[int, ...]) -> Any:
        """Return weights of a layer in float32 as its file will hold them."""
        return weights if self._cut or weights.size < LEAST_STORED else round_weights(weights, axes)

    def _intercept(self, call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        """Stand for a module's `__call__`."""
        module = context.module
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        self._modules.append(module)
        try:
            form = _FORMS.get(type(module))
            return call(*args, **kwargs) if form is None else form(self, module, call, *args, **kwargs)
        finally:
            self._modules.pop()

    def batch_norm(self, module: nn.BatchNorm, call: Any, x: Any, **kwargs: Any) -> Any:
        """Normalize by the running statistics, whatever the mode."""
        params, statistics = module.variables.get("params", {}), module.variables["batch_stats"]
        factor, offset = _affine(params, statistics, module.epsilon)
        return x * factor + offset

    def conv_bn(self, module: ConvBN, call: Any, x: Any, *, train: bool) -> Any:
        """Convolution, BatchNorm folded into it, and activation; hard swish between bytes is done step by step."""
        params, statistics = module.variables["params"], module.variables["batch_stats"]
        factor, offset = _affine(params["bn"], statistics["bn"])
        conv = module.ops.depthwise_conv if module.depthwise else module.ops.conv
        y = conv(x, params["kernel"] * factor, module.strides) + offset
        if not self._is_past_stem:
            return module.activation(y)
        if module.activation is not hard_swish:
            return self.on_grid(module.activation(y))
        y = self.on_grid(y)
        return self.on_grid(hard_swish(y) if self._cut else y * _gate_of_bytes(y))

    def branch(self, module: DBBranch, call: Any, x: Any, *, train: bool) -> Any:
        """DB's head: the convolution between bytes, upsampling in float32; BatchNorm folded into both."""
        params, statistics = module.variables["params"], module.variables["batch_stats"]
        factor, offset = _affine(params["bn1"], statistics["bn1"])
        y = self.on_grid(nn.relu(module.ops.conv(x, params["kernel"] * factor, (1, 1)) + offset))
        factor, offset = _affine(params["bn2"], statistics["bn2"])
        up1 = {"kernel": params["up1"]["kernel"] * factor, "bias": params["up1"]["bias"] * factor + offset}
        y = nn.relu(cast("jax.Array", TransposedConv2x2(y.shape[-1]).apply({"params": up1}, y)))
        return cast("jax.Array", TransposedConv2x2(1).apply({"params": params["up2"]}, y)).squeeze(-1)

    def squeeze_excite(self, module: SqueezeExcite, call: Any, x: Any) -> Any:
        """Pooling and the two layers in float32, the product with the map between bytes."""
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
        """Return a unit, with its sum between bytes."""
        y = call(x, train=train)
        return self.on_grid(y) if self._is_past_stem else y

    def linear(self, module: Linear, call: Any, x: Any) -> Any:
        """Return a dense layer in float32."""
        params = module.variables["params"]
        return x @ self.stored(params["kernel"], (0,)) + params["bias"]


def _affine(params: Any, statistics: Any, epsilon: float = BN_EPSILON) -> tuple[Any, Any]:
    """Return factor and offset of BatchNorm by its running statistics; of NumPy arrays as such, for the exporter."""
    factor = (statistics["var"] + epsilon) ** -0.5 * params.get("scale", 1.0)
    return factor, params.get("bias", 0.0) - statistics["mean"] * factor


_FORMS: dict[type[nn.Module], Callable[..., Any]] = {
    nn.BatchNorm: _Pass.batch_norm,
    ConvBN: _Pass.conv_bn,
    DBBranch: _Pass.branch,
    SqueezeExcite: _Pass.squeeze_excite,
    InvertedResidual: _Pass.residual,
    Linear: _Pass.linear,
}


def _quantized_ops(ops: Ops) -> Ops:
    """Return `ops` that round while a `QuantizedNetwork` is applied, and are as they were otherwise."""

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
