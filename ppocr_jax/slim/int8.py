"""Networks that compute with bytes: static quantization of a model folder's ONNX files, for CPUs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime

from ppocr_jax import __version__
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, write_model_json
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import STEM, UNCHANGED, Range, compute_with_bytes, set_ranges
from ppocr_jax.onnx_graph.simplify import SIMPLER, apply, fold, spell_out_hard_swish

# What lies between convolutions has to be quantized with them, or every one is followed by a way to float32 and back.
# Measured against convolutions alone: 8 % less time for the detector, 13 % for the recognizer.
_OPERATORS = ("Conv", "Relu", "Add", "Mul", "MaxPool", "Concat", "Resize")
_HEAD = 2
_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU")
_POOLING = ("GlobalAveragePool", "ReduceMean")
_OF_EACH_CHANNEL = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "HardSwish", "Clip", "Add", "BatchNormalization")
_LEAST_OPSET = 13  # the first whose QuantizeLinear has a scale for each channel


def check_folder(model: ModelFolder, folder: Path) -> None:
    """Refuse what cannot become the folder of a quantized model, before the long work.

    Raises:
        UserError: it is the model's own, or no folder.
    """
    if folder.resolve() == model.path.resolve():
        raise UserError(f"{folder} is the folder of the model itself: name another one for the quantized networks")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"cannot write {folder}: it is a file; name a folder")


def quantize_to_folder(
    model: ModelFolder, inputs: Mapping[str, Sequence[np.ndarray]], folder: Path, *, seven_bits: bool = False
) -> ModelFolder:
    """Write a model folder with some networks quantized and the others copied.

    Weights for the JAX backend and for fine-tuning are left out: they would belong to other networks.

    Args:
        model: the model.
        inputs: task -> what its network is calibrated with, see `quantize_network`.
        folder: the new model folder; made where it does not exist.
        seven_bits: see `quantize_network`.

    Returns:
        the new model.

    Raises:
        ModelError: the model lacks one of the networks, or its ONNX file.
        UserError: see `check_folder`.
        OSError: the folder cannot be written.
    """
    check_folder(model, folder)
    sources = {task: model.file(task, "onnx") for task in TASKS if task in inputs or getattr(model, task) is not None}
    folder.mkdir(parents=True, exist_ok=True)
    networks = {task: replace(model.spec(task), onnx=f"{task}.onnx", safetensors=None) for task in sources}
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        for task, path in sources.items():
            target = Path(workspace) / f"{task}.onnx"
            if task in inputs:
                target.write_bytes(quantize_network(path.read_bytes(), inputs[task], seven_bits=seven_bits))
            else:
                shutil.copyfile(path, target)
        for file in Path(workspace).iterdir():
            shutil.copyfile(file, folder / file.name)  # not moved: what is there keeps its permissions
    provenance = {
        **model.provenance,
        **{task: _origin(model, task, len(inputs[task]), seven_bits) for task in inputs},
    }
    quantized = replace(model, path=folder, name=f"{model.name}-int8", provenance=provenance, **networks)
    write_model_json(quantized)
    return quantized


def _origin(model: ModelFolder, task: str, calibrated_with: int, seven_bits: bool) -> dict[str, object]:
    known = model.provenance.get(task, {})
    facts = known if isinstance(known, Mapping) else {"from": known}
    versions = {"onnxruntime": onnxruntime.__version__, "ppocr_jax": __version__}
    return {**facts, "int8": {"of": model.name, "inputs": calibrated_with, "seven_bits": seven_bits, **versions}}


def quantize_network(model: bytes, inputs: Sequence[np.ndarray], *, seven_bits: bool = False) -> bytes:
    """Return a network whose convolutions, and what lies between them, compute with bytes (`onnx_graph.int8`).

    The range of a feature map is the mean, over the inputs, of its least and greatest values: one odd input then costs
    no resolution. What `float_nodes` names is left in float32, and what is neither a convolution nor lies between some.

    Args:
        model: an ONNX file with one input (N, 3, H, W).
        inputs: what it is calibrated with, at least one (N, H, W, 3) float32, normalized.
        seven_bits: of weights, for x86 CPUs without VNNI: their sums of two products of 8 bits overflow.

    Returns:
        an ONNX file with the same input, output and metadata.
    """
    graph = Graph(model)
    if graph.opset < _LEAST_OPSET:
        plain = onnx.version_converter.convert_version(onnx.load_from_string(model), _LEAST_OPSET)
        graph = Graph(plain.SerializeToString())
    given = onnx.load_from_string(graph.to_bytes())
    graph = Graph(fold(given.SerializeToString()))
    apply((*SIMPLER, spell_out_hard_swish), graph)
    plain = graph.to_bytes()
    graph = Graph(plain)
    set_ranges(graph, measured_ranges(plain, between_convolutions(graph), inputs))
    compute_with_bytes(graph, seven_bits=seven_bits)
    quantized = onnx.load_from_string(graph.to_bytes())
    for name in ("metadata_props", "opset_import"):  # ONNX Runtime adds its own
        del getattr(quantized, name)[:]
        getattr(quantized, name).extend(getattr(given, name))
    quantized.producer_name, quantized.producer_version = given.producer_name, given.producer_version
    onnx.checker.check_model(quantized)
    return quantized.SerializeToString()


def between_convolutions(graph: Graph) -> list[str]:
    """Return the feature maps that shall be bytes: what layers that are not `float_nodes` take and make."""
    apart = float_nodes(graph)
    values: dict[str, None] = {}
    for node in graph.nodes:
        if node.output[0] in apart or node.op_type not in _OPERATORS:
            continue
        made = () if node.op_type in UNCHANGED else node.output
        for value in (*node.input, *made):
            user, maker = graph.only_user(value), graph.maker(value)
            if maker is None or value in graph.outputs:
                continue
            if user is not None and user.op_type == "Relu" and user.output[0] not in apart:
                continue  # the Relu is done by quantizing its result
            if maker.op_type in UNCHANGED and maker.output[0] not in apart:
                continue  # has the range of what it was made of
            if maker.op_type == "HardSigmoid" and maker.output[0] not in apart:
                continue  # between bytes it has a range of its own
            values[value] = None
    return list(values)


def measured_ranges(network: bytes, values: Sequence[str], inputs: Sequence[np.ndarray]) -> dict[str, Range]:
    """Run a network on inputs; return the mean of the least, and that of the greatest, number of each value."""
    model = onnx.load_from_string(network)
    del model.graph.output[:]
    for value in values:
        for op_type in ("ReduceMin", "ReduceMax"):
            name = f"{value}/{op_type}"
            model.graph.node.append(onnx.helper.make_node(op_type, [value], [name], keepdims=0))
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ()))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ends = [
        session.run(None, {model.graph.input[0].name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))}) for x in inputs
    ]
    means = np.mean(np.asarray(ends, np.float64), axis=0).reshape(-1, 2)
    return {value: (float(low), float(high)) for value, (low, high) in zip(values, means, strict=True)}


def float_nodes(graph: Graph) -> set[str]:
    """Return what nodes that stay in float32 make: stem, squeeze-and-excitation branches, and head."""
    branches = _branches(graph)
    return branches | _stem(graph, branches) | _head(graph)


def _branches(graph: Graph) -> set[str]:
    """Return what is computed with one number for each channel, from pooling up to where that scales a feature map."""
    values: set[str] = set()
    for node in graph.nodes:
        fed = {value for value in node.input if not graph.is_constant(value)}
        if node.op_type in _POOLING or (node.op_type in _OF_EACH_CHANNEL and fed and fed <= values):
            values.update(node.output)
    return values


def _stem(graph: Graph, branches: set[str]) -> set[str]:
    """Return what is made before the convolution that follows the first `STEM`."""
    values: set[str] = set()
    count = 0
    for node in graph.nodes:
        count += node.op_type == "Conv" and node.output[0] not in branches
        if count > STEM:
            break
        values.update(node.output)
    return values


def _head(graph: Graph) -> set[str]:
    """Return what the last two layers with weights make, and what comes after them.

    DB's upsampling, the classes of a recognizer or a classifier: an error here is not averaged out any more.
    """
    values: set[str] = set()
    ahead = [(output, 0) for output in graph.outputs]
    while ahead:
        value, layers = ahead.pop()
        node = graph.maker(value)
        if node is None or layers == _HEAD:
            continue
        values.update(node.output)
        layers += node.op_type in _WEIGHTED
        ahead += [(before, layers) for before in node.input]
    return values
