"""ONNX by jax2onnx: any batch and image size, BatchNorm folded, the LSTM as one node, nothing left to simplify.

Weights are stored in half precision, for networks that compute in float32 as before: kernels are rounded to float16
once (`models.io.round_kernels`); each is a float16 constant and a Cast, and a product with a scale for each output
where BatchNorm was folded into it; runtimes work that out when they open the file. Rounding the folded kernels instead
would make the ONNX file another network than the safetensors file beside it.

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
from ppocr_jax.onnx_graph.int8 import compute_with_bytes
from ppocr_jax.onnx_graph.simplify import FINAL, FORM, NAMED, apply, fold, spell_out_hard_swish
from ppocr_jax.training.network import TrainedNetwork, input_size
from ppocr_jax.training.pact import is_quantized

OPSET = 18  # of August 2022: LSTM, HardSwish and ReduceMean as used here, and every runtime has it
INPUT_NAME = "images"
OUTPUT_NAME = "probability"
_PLUGINS = ("jax2onnx.plugins.jax", "jax2onnx.plugins.flax.linen")
_STANDARD_DOMAINS = ("", "ai.onnx")
_STORED_ELSEWHERE = {field.name for field in fields(NetworkSpec)} | {"normalization"}
_LEAST = 256  # numbers: smaller constants are not worth two nodes
# Of a kernel's largest number: what float32 leaves when a scale is multiplied in and taken out again.
_ROUNDING = 4e-6

# The detector halves its input five times, the recognizer the width two or three times: with sizes that are only known
# to be multiples, every shape inside is exact.
_TRACED_SIZE = {"det": ("32*h", "32*w"), "rec": (None, "8*w"), "cls": (None, None)}
_DIMENSIONS = {
    "det": (("batch", 3, "height", "width"), ("batch", "height", "width")),
    "rec": (("batch", 3, None, "width"), ("batch", "time", None)),
    "cls": (("batch", 3, None, None), ("batch", None)),
}


@cache
def _load_plugins() -> None:
    """Import how jax2onnx writes JAX's and linen's operations, and keep it from importing the rest.

    What it finds by itself includes all of its examples, which build models of Equinox with random weights: 12 s of CPU
    before the first export, a tenth of which is needed.
    """
    for name in _PLUGINS:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            import_module(module.name)
    plugin_system._already_imported_plugins = True


def export_onnx(network: TrainedNetwork, path: str | Path) -> None:
    """Write a network as an ONNX file.

    Input "images": float32 (batch, 3, height, width), normalized as the file's metadata says. Output "probability":
    (batch, height, width) for a detector, (batch, frames, classes) for a recognizer, (batch, 2) for a classifier.

    Args:
        network: the network.
        path: the file to write.
    """
    height, width = input_size(network.spec)
    rows, columns = _TRACED_SIZE[network.task]
    shape: list[Any] = ["B", rows or height, columns or width, 3]
    with_bytes = is_quantized(network.variables)
    _load_plugins()
    with with_forms(INT8_FORMS if with_bytes else ONNX_FORMS):
        model = to_onnx(
            network.function(onnx_ops, cut=True),
            [shape],
            model_name=network.task,
            opset=OPSET,
            inputs_as_nchw=[0],
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
        )
    model = tidy(model, network.variables, with_bytes=with_bytes)
    _name_dimensions(model.graph, network.task)
    finish(model, network)
    onnx.save(model, path)


def tidy(
    model: onnx.ModelProto, variables: Mapping[str, Any] | None = None, *, with_bytes: bool = False
) -> onnx.ModelProto:
    """Return the same function with BatchNorm folded into convolutions, layout changes canceled, activations named.

    What `fold` does, once here instead of at every load, give a graph in standard operators
    that any runtime can read. Activations, which JAX spells out, become operators that fuse with the convolution before
    them: hard swish as one node instead of four halves the time of a depthwise convolution.

    Args:
        model: what a converter wrote.
        variables: of the network, whose kernels are then stored in half precision where nothing is lost by it.
        with_bytes: what has a range is computed in int8 instead.

    Raises:
        onnx.checker.ValidationError: the result is not valid ONNX.
    """
    del model.graph.value_info[:]  # jax2onnx's shapes of inner values can be wrong once it has moved transpositions
    graph = Graph(fold(model.SerializeToString()))
    apply(NAMED, graph)
    graph.drop_unused()
    if with_bytes:
        apply((spell_out_hard_swish,), graph)
        compute_with_bytes(graph)
    elif variables is not None:
        store_half(graph, variables)
    tidied = onnx.load_from_string(graph.to_bytes())
    kept = [opset for opset in tidied.opset_import if opset.domain in _STANDARD_DOMAINS]
    del tidied.opset_import[:]
    tidied.opset_import.extend(kept)
    onnx.checker.check_model(tidied, full_check=True)
    return tidied


def finish(model: onnx.ModelProto, network: TrainedNetwork) -> None:
    """Sign a model, put the metadata in, and check it.

    Raises:
        onnx.checker.ValidationError: the model is not valid.
    """
    metadata = {**file_metadata(network), FORM: FINAL}
    model.producer_name, model.producer_version = "ppocr_jax", metadata["ppocr_jax_version"]
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)


def file_metadata(network: TrainedNetwork) -> dict[str, str]:
    """Return key-value pairs for an ONNX file, so that it is usable without its model folder.

    Values other than the task and the version are JSON. `task`; `normalization` (mean, std, channel order); `options`:
    resize rule or input size, and thresholds; `charset` of a recognizer: its characters in the order of classes 1, 2,
    ...; `ppocr_jax_version`.
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
    """Name what may vary; jax2onnx's own names ("32*h") are expressions that other tools do not read."""
    for value, names in zip((graph.input[0], graph.output[0]), _DIMENSIONS[task], strict=True):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if isinstance(name, str):
                dimension.dim_param = name


def store_half(graph: Graph, variables: Mapping[str, Any]) -> None:
    """Store the weights of an exported graph as float16, wherever they can be widened to just what they are.

    Args:
        graph: of the network.
        variables: of the network, with kernels from `models.io.round_kernels`.
    """
    kernels: dict[tuple[int, ...], list[np.ndarray]] = {}
    params: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(variables["params"]))
    for path, array in params.items():
        if path[-1] == "kernel" and np.array_equal(np.asarray(array, np.float16), array):
            for kernel in _as_convolution(np.asarray(array)):
                kernels.setdefault(kernel.shape, []).append(kernel)
    for name in dict.fromkeys(name for node in graph.nodes for name in node.input):  # in order: the same file each time
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
    """Yield a kernel of ours in the layouts that it may have as an ONNX convolution: outputs, inputs, rows, columns."""
    if kernel.ndim == 3:  # depthwise: rows, columns, channels
        yield kernel.transpose(2, 0, 1)[:, None]
    elif kernel.ndim == 4:
        yield kernel.transpose(3, 2, 0, 1)
        # A transposed one (inputs, 2, 2, outputs), with the pixels of its patch as channels (`onnx_graph.simplify`).
        yield kernel.transpose(1, 2, 3, 0).reshape(-1, kernel.shape[0], 1, 1)


def _scale(weights: np.ndarray, kernel: np.ndarray) -> np.ndarray | None:
    """Return the factor of each output, shaped to be multiplied, where weights are a kernel times that; else None."""
    rows, source = (array.reshape(len(array), -1).astype(np.float64) for array in (weights, kernel))
    squares = (source**2).sum(axis=1)
    factors = np.where(squares > 0, (rows * source).sum(axis=1) / np.where(squares > 0, squares, 1), 1)
    if np.abs(rows - source * factors[:, None]).max() > _ROUNDING * np.abs(rows).max():
        return None
    return factors.astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))
