"""Networks that compute with bytes: static quantization of a model folder's ONNX files, for CPUs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ppocr_jax import __version__
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, write_model_json
from ppocr_jax.onnx_graph.graph import Graph, Node, attributes, make_node
from ppocr_jax.onnx_graph.simplify import SIMPLER, apply, spell_out_hard_swish

# What lies between convolutions has to be quantized with them, or every one is followed by a way to float32 and back.
# Measured against convolutions alone: 8 % less time for the detector, 13 % for the recognizer.
_OPERATORS = ["Conv", "Relu", "Add", "Mul", "MaxPool", "Concat", "Resize"]


STEM = 4
"""Convolutions at the input that stay in float32. Alone in int8 they change a network's output up to five times as
much as later ones: each of their few channels matters. In float32 they take no longer."""
_HEAD = 2
_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU")
_POOLING = ("GlobalAveragePool", "ReduceMean")
_OF_EACH_CHANNEL = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "HardSwish", "Clip", "Add", "BatchNormalization")


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
    """A network whose convolutions, and what lies between them, compute with bytes.

    Static quantization in QDQ form: int8 weights with a scale per channel, uint8 activations with one per feature map,
    as the VNNI instructions of x86 take them. The range of a feature map is the mean, over the inputs, of its least and
    greatest values: one odd input then costs no resolution. What `float_nodes` names is left in float32, and
    what is neither a convolution nor lies between some: LSTM, matrix products, softmax.

    Args:
        model: an ONNX file with one input (N, 3, H, W).
        inputs: what it is calibrated with, at least one (N, H, W, 3) float32, normalized.
        seven_bits: of weights, for x86 CPUs without VNNI: their sums of two products of 8 bits overflow.

    Returns:
        an ONNX file with the same input, output and metadata.
    """
    graph = Graph(model)
    apply((*SIMPLER, spell_out_hard_swish), graph)
    plain = onnx.load_from_string(graph.to_bytes())
    with tempfile.TemporaryDirectory() as workspace:
        result = Graph(_quantized(plain, inputs, Path(workspace), seven_bits))
    apply((gate_on_bytes,), result)
    quantized = onnx.load_from_string(result.to_bytes())
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(plain.metadata_props)
    quantized.producer_name, quantized.producer_version = plain.producer_name, plain.producer_version
    quantized.graph.name = plain.graph.name
    onnx.checker.check_model(quantized)
    return quantized.SerializeToString()


def _quantized(model: onnx.ModelProto, inputs: Sequence[np.ndarray], workspace: Path, seven_bits: bool) -> bytes:
    plain, prepared, quantized = (workspace / f"{name}.onnx" for name in ("plain", "prepared", "quantized"))
    onnx.save(model, plain)
    # Symbolic shapes would need sympy, and help transformers only.
    quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
    graph = Graph(prepared.read_bytes())
    name_nodes(graph)
    prepared.write_bytes(graph.to_bytes())
    quantize_static(
        str(prepared),
        str(quantized),
        _Inputs(graph.inputs[0], inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_OPERATORS,
        nodes_to_exclude=sorted(float_nodes(graph)),
        per_channel=True,
        reduce_range=seven_bits,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True},  # of all inputs at once: their plain mean
    )
    return quantized.read_bytes()


class _Inputs(CalibrationDataReader):
    """Hands images (N, H, W, 3) to ONNX Runtime's calibration, as (N, 3, H, W)."""

    def __init__(self, name: str, images: Sequence[np.ndarray]) -> None:
        self._name = name
        self._left = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        images = next(self._left, None)
        return None if images is None else {self._name: np.ascontiguousarray(images.transpose(0, 3, 1, 2))}


def name_nodes(graph: Graph) -> None:
    """Give every node a name of its own: quantization chooses nodes by name."""
    for number, node in enumerate(graph.nodes):
        node.name = f"{number}_{node.op_type}"


def float_nodes(graph: Graph) -> set[str]:
    """Return names of the nodes that stay in float32: stem, squeeze-and-excitation branches, and head."""
    branches = _branches(graph)
    return branches | _stem(graph, branches) | _head(graph)


def _branches(graph: Graph) -> set[str]:
    """Nodes that compute with one number for each channel, from pooling up to where that scales a feature map."""
    names, values = set(), set()
    for node in graph.nodes:
        fed = {value for value in node.input if not graph.is_constant(value)}
        if node.op_type in _POOLING or (node.op_type in _OF_EACH_CHANNEL and fed and fed <= values):
            names.add(node.name)
            values.update(node.output)
    return names


def _stem(graph: Graph, branches: set[str]) -> set[str]:
    """All nodes before the convolution that follows the first `STEM`, the activation between them included."""
    names: set[str] = set()
    count = 0
    for node in graph.nodes:
        count += node.op_type == "Conv" and node.name not in branches
        if count > STEM:
            break
        names.add(node.name)
    return names


def _head(graph: Graph) -> set[str]:
    """The last two layers with weights, and what comes after them.

    DB's upsampling, the classes of a recognizer or a classifier: an error here is not averaged out any more.
    """
    names: set[str] = set()
    ahead = [(output, 0) for output in graph.outputs]
    while ahead:
        value, layers = ahead.pop()
        node = graph.maker(value)
        if node is None or layers == _HEAD:
            continue
        names.add(node.name)
        layers += node.op_type in _WEIGHTED
        ahead += [(before, layers) for before in node.input]
    return names


def gate_on_bytes(graph: Graph, node: Node) -> bool:
    """Hard sigmoid between quantized values by quantizing alone: what lies outside 0..1 is clipped by it.

    DequantizeLinear, HardSigmoid, QuantizeLinear becomes DequantizeLinear, QuantizeLinear with a scale such that the
    bytes 0..255 are the gate 0..1; from there on they are read so. One pass over the feature map less.
    """
    before = graph.maker(node.input[0], "DequantizeLinear") if node.op_type == "HardSigmoid" else None
    quantize = graph.only_user(node.output[0]) if before is not None else None
    dequantize = graph.only_user(quantize.output[0]) if quantize is not None else None
    if quantize is None or dequantize is None:
        return False
    if (quantize.op_type, dequantize.op_type) != ("QuantizeLinear", "DequantizeLinear"):
        return False
    given = attributes(node)
    alpha, beta = given.get("alpha", 0.2), given.get("beta", 0.5)
    scale, zero, gate_scale, gate_zero = (
        graph.add_constant(node.output[0], np.array(number))
        for number in (
            np.float32(1 / (255 * alpha)),
            np.uint8(np.clip(round(255 * beta), 0, 255)),
            np.float32(1 / 255),
            np.uint8(0),
        )
    )
    gate, value = quantize.output[0], dequantize.output[0]
    new = [
        make_node("QuantizeLinear", [node.input[0], scale, zero], gate),
        make_node("DequantizeLinear", [gate, gate_scale, gate_zero], value),
    ]
    graph.replace([node, quantize, dequantize], new)
    return True
