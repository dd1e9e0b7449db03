"""ONNX by jax2onnx: any batch and picture size, BatchNorm folded, the LSTM as one node, nothing left to simplify."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from jax2onnx import to_onnx

from ppocr_jax.export.half import store_half
from ppocr_jax.export.layer_forms import INT8_FORMS, ONNX_FORMS, with_forms
from ppocr_jax.export.metadata import file_metadata
from ppocr_jax.export.onnx_ops import onnx_ops
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import compute_with_bytes
from ppocr_jax.onnx_graph.simplify import FINAL, FORM, NAMED, apply, fold, spell_out_hard_swish
from ppocr_jax.training.network import TrainedNetwork, input_size
from ppocr_jax.training.pact import is_quantized

OPSET = 18  # of August 2022: LSTM, HardSwish and ReduceMean as used here, and every runtime has it
INPUT_NAME = "images"
OUTPUT_NAME = "probability"
_STANDARD_DOMAINS = ("", "ai.onnx")

# The detector halves its input five times, the recognizer the width two or three times: with sizes that are only known
# to be multiples, every shape inside is exact.
_TRACED_SIZE = {"det": ("32*h", "32*w"), "rec": (None, "8*w"), "cls": (None, None)}
_DIMENSIONS = {
    "det": (("batch", 3, "height", "width"), ("batch", "height", "width")),
    "rec": (("batch", 3, None, "width"), ("batch", "time", None)),
    "cls": (("batch", 3, None, None), ("batch", None)),
}


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


def _name_dimensions(graph: onnx.GraphProto, task: str) -> None:
    """Name what may vary; jax2onnx's own names ("32*h") are expressions that other tools do not read."""
    for value, names in zip((graph.input[0], graph.output[0]), _DIMENSIONS[task], strict=True):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if isinstance(name, str):
                dimension.dim_param = name
