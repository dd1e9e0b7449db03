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
from ppocr_jax.inference.onnx_simplify import simplify
from ppocr_jax.slim.int8_graph import float_nodes, gates_on_bytes, name_nodes, spell_out_hard_swish

# What lies between convolutions has to be quantized with them, or every one is followed by a way to float32 and back.
# Measured against convolutions alone: 8 % less time for the detector, 13 % for the recognizer.
_OPERATORS = ["Conv", "Relu", "Add", "Mul", "MaxPool", "Concat", "Resize"]


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
    greatest values: one odd input then costs no resolution. What `int8_graph.float_nodes` names is left in float32, and
    what is neither a convolution nor lies between some: LSTM, matrix products, softmax.

    Args:
        model: an ONNX file with one input (N, 3, H, W).
        inputs: what it is calibrated with, at least one (N, H, W, 3) float32, normalized.
        seven_bits: of weights, for x86 CPUs without VNNI: their sums of two products of 8 bits overflow.

    Returns:
        an ONNX file with the same input, output and metadata.
    """
    original = onnx.load_from_string(simplify(model))
    spell_out_hard_swish(original.graph)
    with tempfile.TemporaryDirectory() as workspace:
        result = _quantized(original, inputs, Path(workspace), seven_bits)
    gates_on_bytes(result)
    _sign_like(result, original)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def _quantized(
    model: onnx.ModelProto, inputs: Sequence[np.ndarray], workspace: Path, seven_bits: bool
) -> onnx.ModelProto:
    plain, prepared, quantized = (str(workspace / f"{name}.onnx") for name in ("plain", "prepared", "quantized"))
    onnx.save(model, plain)
    quant_pre_process(plain, prepared, skip_symbolic_shape=True)  # which would need sympy, and helps transformers only
    network = onnx.load(prepared)
    name_nodes(network.graph)
    onnx.save(network, prepared)
    quantize_static(
        prepared,
        quantized,
        _Inputs(network.graph.input[0].name, inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_OPERATORS,
        nodes_to_exclude=sorted(float_nodes(network.graph)),
        per_channel=True,
        reduce_range=seven_bits,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={"CalibMovingAverage": True},  # of all inputs at once: their plain mean
    )
    return onnx.load(quantized)


class _Inputs(CalibrationDataReader):
    """Hands images (N, H, W, 3) to ONNX Runtime's calibration, as (N, 3, H, W)."""

    def __init__(self, name: str, images: Sequence[np.ndarray]) -> None:
        self._name = name
        self._left = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        images = next(self._left, None)
        return None if images is None else {self._name: np.ascontiguousarray(images.transpose(0, 3, 1, 2))}


def _sign_like(model: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Metadata and names as in the file that was quantized; no shapes of inner values."""
    del model.metadata_props[:], model.graph.value_info[:]
    model.metadata_props.extend(original.metadata_props)
    model.producer_name, model.producer_version = original.producer_name, original.producer_version
    model.graph.name = original.graph.name
