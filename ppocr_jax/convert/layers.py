"""Layers with weights, in order, of an ONNX file and of a network, and their comparison by kind and shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import traverse_util

from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.ops import native_ops
from ppocr_jax.onnx_graph.graph import Graph, Node, attributes

TRAINING_PARTS = {"threshold": "the threshold branch, which only training needs"}
"""Parts of a network that are not in its inference file."""


class Layer(NamedTuple):
    """A layer with weights, of a file or of a network.

    Attributes:
        kind: "conv", "transposed", "linear", "lstm" or "layer norm".
        shape: Shape of the weights in ONNX's layout; for an LSTM, (input features, hidden features).
        name: Name of the weights in a file; path of the module in a network.
        weights: The arrays in a file: one, or an LSTM's input weights, recurrent weights and biases. () for a network.
        bias: Array (outputs,) or None in a file; whether there is a bias in a network.
        norm: The following BatchNorm, or None: (scale, offset, mean, variance) in a file, its path in a network.
    """

    kind: str
    shape: tuple[int, ...]
    name: str
    weights: tuple[np.ndarray, ...] = ()
    bias: np.ndarray | bool | None = None
    norm: Any = None


def layers_of_file(graph: Graph) -> list[Layer]:
    """Return the layers with weights in the order of the file, each with its bias and BatchNorm.

    Raises:
        WeightsError: An LSTM is not bidirectional, or weights of an LSTM or BatchNorm are not constant.
    """
    layers = []
    for node in graph.nodes:
        if node.op_type == "LSTM":
            constants = [graph.constant(name) for name in node.input[1:4]]
            weights = tuple(array for array in constants if array is not None)
            if len(weights) < 3 or attributes(node).get("direction") != "bidirectional":
                raise WeightsError(f"the LSTM {node.output[0]!r} is not a bidirectional one with constant weights")
            layers.append(Layer("lstm", (weights[0].shape[2], weights[1].shape[2]), node.input[1], weights))
            continue
        if (scaled := _layer_norm(graph, node)) is not None:
            layers.append(scaled)
            continue
        kind = {"Conv": "conv", "ConvTranspose": "transposed", "MatMul": "linear", "Gemm": "linear"}.get(node.op_type)
        kernel = graph.constant(node.input[1]) if kind is not None and len(node.input) > 1 else None
        if kernel is None:
            continue
        if node.op_type == "Gemm" and attributes(node).get("transB", 0):
            kernel = kernel.T
        bias = graph.constant(node.input[2]) if len(node.input) > 2 else None
        channels = kernel.shape[0] if kind == "conv" else kernel.shape[1]
        last = graph.only_user(node.output[0])
        if bias is None and last is not None and last.op_type == "Add":
            bias = _bias(graph, last, channels)
            last = last if bias is None else graph.only_user(last.output[0])
        norm = None
        if last is not None and last.op_type == "BatchNormalization":
            norm = tuple(graph.constant(name) for name in last.input[1:5])
            if any(array is None for array in norm):
                raise WeightsError(f"the BatchNorm {last.output[0]!r} has parameters that are not constant")
        layers.append(Layer(str(kind), kernel.shape, node.input[1], (kernel,), bias, norm))
    return layers


def _layer_norm(graph: Graph, node: Node) -> Layer | None:
    """Return a layer normalization; most exporters write it as several nodes ending with Div, Mul and Add."""
    if node.op_type == "LayerNormalization" and len(node.input) == 3:
        scale, offset = (graph.constant(name) for name in node.input[1:])
    else:
        last = graph.only_user(node.output[0]) if node.op_type == "Div" else None
        added = graph.only_user(last.output[0]) if last is not None and last.op_type == "Mul" else None
        if last is None or added is None or added.op_type != "Add":
            return None
        scale, offset = (next(iter(_vectors(graph, each)), None) for each in (last, added))
    if scale is None or offset is None:
        return None
    return Layer("layer norm", scale.shape, node.output[0], (scale,), offset)


def _vectors(graph: Graph, node: Node) -> list[np.ndarray]:
    """Return the operands of a node that are one-dimensional constants of more than one element."""
    arrays = [graph.constant(name) for name in node.input]
    return [array for array in arrays if array is not None and array.ndim == 1 and array.size > 1]


def _bias(graph: Graph, node: Node, channels: int) -> np.ndarray | None:
    """Return the constant operand of an addition if it has one element per channel; otherwise None."""
    for name in node.input:
        array = graph.constant(name)
        if array is not None and array.size == channels:
            return array.ravel()
    return None


def layers_of_network(spec: NetworkSpec) -> tuple[list[Layer], Mapping[str, Any]]:
    """Return the layers of a network in the order of their calls, and the shapes of all its variables."""
    model = build_model(spec.network, ops=native_ops, **spec.options)
    called: list[str] = []

    def note(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.method_name == "__call__":
            called.append("/".join(context.module.path))
        return call(*args, **kwargs)

    # The height must be the network's own: recognizers for 48 pixels accept 32, but not the other way round.
    image = jnp.zeros((1, getattr(spec, "height", 64), getattr(spec, "width", None) or 64, 3))
    with nn.intercept_methods(note):
        shapes = jax.eval_shape(lambda key: model.init(key, image, train=False), jax.random.key(0))
    flat: dict[str, Any] = traverse_util.flatten_dict(shapes["params"], sep="/")
    statistics = traverse_util.flatten_dict(shapes["batch_stats"], sep="/")
    own: dict[str, dict[str, tuple[int, ...]]] = {}
    for path, array in flat.items():
        place, _, leaf = path.rpartition("/")
        own.setdefault(place, {})[leaf] = array.shape
    layers: list[Layer] = []
    for place in called:
        leaves = own.get(place, {})
        if place.split("/")[0] in TRAINING_PARTS:
            continue
        if "scale" in leaves and f"{place}/mean" in statistics:
            layers[-1] = layers[-1]._replace(norm=place)
        elif "scale" in leaves:
            layers.append(Layer("layer norm", leaves["scale"], place))
        elif "input_kernel" in leaves:
            _, inputs, gates = leaves["input_kernel"]
            layers.append(Layer("lstm", (inputs, gates // 4), place))
        elif "kernel" in leaves:
            kind, shape = _onnx_layout(leaves["kernel"], place)
            layers.append(Layer(kind, shape, place, bias="bias" in leaves))
    return layers, shapes


def _onnx_layout(shape: Sequence[int], place: str) -> tuple[str, tuple[int, ...]]:
    """Return the kind of layer and the ONNX shape of a Flax kernel."""
    if len(shape) == 2:
        return "linear", tuple(shape)
    if len(shape) == 3:  # depthwise: rows, columns, channels
        return "conv", (shape[2], 1, *shape[:2])
    if place.rpartition("/")[2] in ("up1", "up2"):  # inputs, rows, columns, outputs
        return "transposed", (shape[0], shape[3], *shape[1:3])
    return "conv", (shape[3], shape[2], *shape[:2])


def our_layout(layer: Layer, kernel: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return an ONNX kernel in the layout of Flax."""
    if layer.kind == "linear":
        return kernel
    if layer.kind == "transposed":
        return kernel.transpose(0, 2, 3, 1)
    return kernel[:, 0].transpose(1, 2, 0) if len(shape) == 3 else kernel.transpose(2, 3, 1, 0)


def difference_of(ours: Sequence[Layer], found: Sequence[Layer]) -> tuple[int, str] | None:
    """Return the number of layers that differ and a description of the first; None if all layers match."""
    left = list(found)
    missing = []
    for layer in ours:
        match = next((other for other in left if fits(layer, other)), None)
        if match is None:
            missing.append(layer)
        else:
            left = [other for other in left if other is not match]
    if not missing and not left:
        return None
    parts = (
        [f"{len(missing)} of its layers are missing, such as {missing[0].name} {missing[0].shape}"] if missing else []
    )
    parts += [f"{len(left)} layers have no place, such as {left[0].name!r} {left[0].shape}"] if left else []
    return len(missing) + len(left), " and ".join(parts)


def fits(ours: Layer, other: Layer) -> bool:
    """Return whether a layer of a file matches one of a network; a bias may be the rest of a folded BatchNorm."""
    like = (ours.kind, ours.shape) == (other.kind, other.shape)
    return like and (
        ours.norm is not None or ours.kind not in ("conv", "linear") or ours.bias == (other.bias is not None)
    )
