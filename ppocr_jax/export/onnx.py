"""ONNX export with jax2onnx: any batch and image size, BatchNorm folded, each LSTM one node, graph fully simplified.

Weights are stored in half precision, but networks still compute in float32. Kernels are rounded to float16 once
(`models.io.round_kernels`). Each is stored as a float16 constant with a Cast, and with a scale per output if BatchNorm
was folded into it; runtimes evaluate this when they open the file. If the folded kernels were rounded instead, the ONNX
file would differ from the safetensors file of the same network.

Measured with the `ch` recognizer on one thread: 8.54 -> 4.35 MB, probabilities differ by 6e-7, opening takes the same
0.04 s of CPU time and 3 MB more (35 instead of 32).
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from flax import traverse_util
from jax2onnx import to_onnx
from jax2onnx.plugins import plugin_system

from ppocr_jax import __version__
from ppocr_jax.export.layer_forms import INT8_FORMS, ONNX_FORMS, with_forms
from ppocr_jax.export.onnx_ops import onnx_ops
from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import quantize_graph
from ppocr_jax.onnx_graph.simplify import FINAL, FORM, NAMED, apply, fold, spell_out_hard_swish
from ppocr_jax.training.network import TrainedNetwork, input_size
from ppocr_jax.training.pact import is_quantized

OPSET = 18  # August 2022: LSTM, HardSwish and ReduceMean as used here; supported by every runtime
INPUT_NAME = "images"
OUTPUT_NAME = "probability"
_PLUGINS = ("jax2onnx.plugins.jax", "jax2onnx.plugins.flax.linen")
_STANDARD_DOMAINS = ("", "ai.onnx")
_STORED_ELSEWHERE = {field.name for field in fields(NetworkSpec)} | {"normalization"}
_LEAST = 256  # elements: smaller constants are not worth two nodes
# Relative to a kernel's largest element: rounding error of float32 when a scale is multiplied in and divided out again.
_ROUNDING = 4e-6

# The detector halves its input five times, the recognizer its width two or three times. With symbolic sizes that are
# multiples of these factors, every inner shape is exact.
_TRACED_SIZE = {"det": ("32*h", "32*w"), "rec": (None, "8*w"), "cls": (None, None)}
_DIMENSIONS = {
    "det": (("batch", 3, "height", "width"), ("batch", "height", "width")),
    "rec": (("batch", 3, None, "width"), ("batch", "time", None)),
    "cls": (("batch", 3, None, None), ("batch", None)),
}


@cache
def _load_plugins() -> None:
    """Import jax2onnx's plugins for JAX and linen only.

    By default, jax2onnx imports all its plugins and examples, which build Equinox models with random weights: 12 s of
    CPU time before the first export, of which a tenth is needed.
    """
    for name in _PLUGINS:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            import_module(module.name)
    plugin_system._already_imported_plugins = True


def export_onnx(network: TrainedNetwork, path: str | Path) -> None:
    """Write a network as an ONNX file.

    Input "images": float32 (batch, 3, height, width), normalized as described in the file's metadata.
    Output "probability": (batch, height, width) for a detector, (batch, frames, classes) for a recognizer, (batch, 2)
    for a classifier.

    Args:
        network: The network.
        path: File to write.
    """
    height, width = input_size(network.spec)
    rows, columns = _TRACED_SIZE[network.task]
    shape: list[Any] = ["B", rows or height, columns or width, 3]
    int8 = is_quantized(network.variables)
    _load_plugins()
    with with_forms(INT8_FORMS if int8 else ONNX_FORMS):
        model = to_onnx(
            network.function(onnx_ops, cut=True),
            [shape],
            model_name=network.task,
            opset=OPSET,
            inputs_as_nchw=[0],
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    model = tidy(model, network.variables, int8=int8)
    _name_dimensions(model.graph, network.task)
    finish(model, network)
    onnx.save(model, path)


def tidy(model: onnx.ModelProto, variables: Mapping[str, Any] | None = None, *, int8: bool = False) -> onnx.ModelProto:
    """Return an equivalent, simplified model.

    `fold` folds BatchNorm into convolutions and removes layout changes, once instead of at every load, and keeps
    standard operators that any runtime supports. Activations, which JAX writes as several operations, become single
    operators that runtimes fuse with the preceding convolution: hard swish as one node instead of four halves the time
    of a depthwise convolution.

    Args:
        model: The output of a converter.
        variables: Variables of the network. If given, weights that lose nothing by it are stored in half precision.
        int8: Whether to compute in int8 between values that have a range, instead of storing half precision.

    Raises:
        onnx.checker.ValidationError: The result is not valid ONNX.
    """
    del model.graph.value_info[:]  # the shapes of inner values are wrong if jax2onnx has moved transpositions
    graph = Graph(fold(model.SerializeToString()))
    apply(NAMED, graph)
    graph.drop_unused()
    if int8:
        apply((spell_out_hard_swish,), graph)
        quantize_graph(graph)
    elif variables is not None:
        store_half(graph, variables)
    tidied = onnx.load_from_string(graph.to_bytes())
    kept = [opset for opset in tidied.opset_import if opset.domain in _STANDARD_DOMAINS]
    del tidied.opset_import[:]
    tidied.opset_import.extend(kept)
    onnx.checker.check_model(tidied, full_check=True)
    return tidied


def finish(model: onnx.ModelProto, network: TrainedNetwork) -> None:
    """Set the producer and metadata of a model, and check it.

    Raises:
        onnx.checker.ValidationError: The model is not valid.
    """
    metadata = {**file_metadata(network), FORM: FINAL}
    model.producer_name, model.producer_version = "ppocr_jax", metadata["ppocr_jax_version"]
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)


def file_metadata(network: TrainedNetwork) -> dict[str, str]:
    """Return the metadata of an ONNX file, which make it usable without its model folder.

    Values other than the task and the version are JSON. The keys are `task`, `normalization` (mean, std, channel
    order), `options` (resize rule or input size, and thresholds), `charset` for a recognizer (its characters in the
    order of classes 1, 2, ...), and `ppocr_jax_version`.
    """
    values = asdict(network.spec)
    options = {name: value for name, value in values.items() if name not in _STORED_ELSEWHERE}
    metadata = {
        "task": network.task,
        "normalization": json.dumps(values["normalization"], ensure_ascii=False),
        "options": json.dumps(options, ensure_ascii=False),
        "ppocr_jax_version": __version__,
    }
    if network.charset is not None:
        metadata["charset"] = json.dumps(list(network.charset.characters), ensure_ascii=False)
    return metadata


def _name_dimensions(graph: onnx.GraphProto, task: str) -> None:
    """Name the variable dimensions; jax2onnx's names ("32*h") are expressions that other tools cannot parse."""
    for value, names in zip((graph.input[0], graph.output[0]), _DIMENSIONS[task], strict=True):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if isinstance(name, str):
                dimension.dim_param = name


def store_half(graph: Graph, variables: Mapping[str, Any]) -> None:
    """Store the weights of an exported graph as float16 if they can be restored from it.

    Weights are restored exactly, or, if a scale per output was folded into them, up to rounding.

    Args:
        graph: Graph of the network; changed in place.
        variables: Variables of the network, with kernels from `models.io.round_kernels`.
    """
    kernels: dict[tuple[int, ...], list[np.ndarray]] = {}
    params: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(variables["params"]))
    for path, array in params.items():
        if path[-1] == "kernel" and np.array_equal(np.asarray(array, np.float16), array):
            for kernel in _as_convolution(np.asarray(array)):
                kernels.setdefault(kernel.shape, []).append(kernel)
    for name in dict.fromkeys(name for node in graph.nodes for name in node.input):  # ordered, for equal files
        weights = graph.constant(name)
        if weights is None or weights.size < _LEAST:
            continue
        half = weights.astype(np.float16)
        if np.array_equal(half, weights):
            graph.spell_out(name, half)
            continue
        for kernel in kernels.get(weights.shape, ()):
            scale = _scale(weights, kernel)
            if scale is not None:
                graph.spell_out(name, kernel.astype(np.float16), scale)
                break


def _as_convolution(kernel: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a Flax kernel in its possible layouts as an ONNX convolution: outputs, inputs, rows, columns."""
    if kernel.ndim == 3:  # depthwise: rows, columns, channels
        yield kernel.transpose(2, 0, 1)[:, None]
    elif kernel.ndim == 4:
        yield kernel.transpose(3, 2, 0, 1)
        # A transposed kernel (inputs, 2, 2, outputs), with the pixels of the patch in the channels, as
        # `onnx_graph.simplify` writes it.
        yield kernel.transpose(1, 2, 3, 0).reshape(-1, kernel.shape[0], 1, 1)


def _scale(weights: np.ndarray, kernel: np.ndarray) -> np.ndarray | None:
    """Return the factor per output by which `weights` differ from `kernel`, shaped for multiplication; None if none."""
    rows, source = (array.reshape(len(array), -1).astype(np.float64) for array in (weights, kernel))
    squares = (source**2).sum(axis=1)
    factors = np.where(squares > 0, (rows * source).sum(axis=1) / np.where(squares > 0, squares, 1), 1)
    if np.abs(rows - source * factors[:, None]).max() > _ROUNDING * np.abs(rows).max():
        return None
    return factors.astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))
