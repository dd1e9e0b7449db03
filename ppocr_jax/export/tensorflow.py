"""Export to SavedModel, TFLite and ONNX through TensorFlow, for inputs of one fixed size.

jax2tf used to give a TensorFlow graph of single operations, which tf2onnx could read. It now gives one operation that
contains a whole XLA program, which only the TFLite converter can split. ONNX is therefore made from the .tflite file.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import onnx
import tensorflow as tf
import tf2onnx  # pyright: ignore[reportMissingImports] -- an extra
from flax import linen as nn
from jax.experimental import jax2tf

from ppocr_jax.errors import UserError
from ppocr_jax.export.layer_forms import TENSORFLOW_FORMS, with_forms
from ppocr_jax.export.onnx import INPUT_NAME, OPSET, OUTPUT_NAME, finish, tidy
from ppocr_jax.export.parity import ParityRow, check_parity, parity_report
from ppocr_jax.models.ops import LSTMWeights, native_ops
from ppocr_jax.training.network import TrainedNetwork, input_size

Size = tuple[int, int, int]

DEFAULT_SIZES: dict[str, Size] = {"det": (1, 640, 640), "cls": (1, 48, 192), "rec": (1, 32, 320)}
SMALLER = ("float16", "int8")
"""Types of weights in smaller .tflite files; feature maps stay in float32."""
_MULTIPLES = {"det": (32, 32), "cls": (1, 1), "rec": (1, 4)}


def export_fixed_size(
    network: TrainedNetwork, folder: str | Path, size: Size | None = None, *, smaller: Sequence[str] = ()
) -> list[ParityRow]:
    """Write a network as SavedModel, TFLite and ONNX files for one input size.

    The files are named by task and size: det_1x640x640_saved_model/, det_1x640x640.tflite and det_1x640x640.onnx. The
    first two take NHWC images, the ONNX file NCHW images like that of `export_onnx`. Nothing is written if the output
    of the ONNX file differs from that of the network.

    Args:
        network: The network.
        folder: Folder to write to; created if it does not exist.
        size: Batch, height and width of the input; default: `DEFAULT_SIZES`.
        smaller: Types from `SMALLER`; for each, an approximate file such as det_1x640x640_float16.tflite is written.

    Returns:
        The difference between the ONNX file and the network.

    Raises:
        UserError: The network does not accept that size.
        ParityError: The output of the ONNX file differs from that of the network.
        OSError: The folder cannot be written.
    """
    size = size or DEFAULT_SIZES[network.task]
    _check_size(network, size)
    shape = (*size, 3)
    stem = f"{network.task}_{'x'.join(map(str, size))}"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        saved_model, tflite, onnx_file = (
            Path(workspace) / f"{stem}{end}" for end in ("_saved_model", ".tflite", ".onnx")
        )
        _save_model(network, shape, saved_model)
        tflite.write_bytes(_tflite(saved_model))
        _convert_to_onnx(tflite, network, onnx_file)
        rows = parity_report(onnx_file, network.compiled(), [shape])
        check_parity(rows, onnx_file.name)
        shutil.copytree(saved_model, folder / saved_model.name, dirs_exist_ok=True)
        for kind in smaller:
            (folder / f"{stem}_{kind}.tflite").write_bytes(_tflite(saved_model, kind))
        for file in (tflite, onnx_file):
            shutil.copyfile(file, folder / file.name)
    return rows


def _tflite(saved_model: Path, kind: str = "float32") -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if kind in SMALLER:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]  # int8 weights unless a type is given
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _check_size(network: TrainedNetwork, size: Size) -> None:
    wanted, multiples = input_size(network.spec), _MULTIPLES[network.task]
    for name, side, fixed, multiple in zip(("height", "width"), size[1:], wanted, multiples, strict=True):
        if fixed is not None and side != fixed:
            raise UserError(f"the {network.task!r} network takes a {name} of {fixed}, not {side}")
        if side % multiple:
            raise UserError(f"the {network.task!r} network takes a {name} that is a multiple of {multiple}, not {side}")


def _save_model(network: TrainedNetwork, shape: tuple[int, ...], path: Path) -> None:
    predict = tf.function(
        jax2tf.convert(network.function(FIXED_SIZE_OPS), with_gradient=False),
        input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)],
        autograph=False,
    )
    module: Any = tf.Module()
    with with_forms(TENSORFLOW_FORMS):
        signature = predict.get_concrete_function()
    module.predict = predict
    tf.saved_model.save(module, str(path), signatures=signature)


def _convert_to_onnx(tflite: Path, network: TrainedNetwork, path: Path) -> None:
    model = _from_tflite(tflite)
    _rename(model.graph)
    model = tidy(model)
    finish(model, network)
    onnx.save(model, path)


def _from_tflite(path: Path) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated", category=UserWarning)
        name = f"serving_default_{INPUT_NAME}:0"
        return tf2onnx.convert.from_tflite(str(path), opset=OPSET, inputs_as_nchw=[name])[0]


def _rename(graph: onnx.GraphProto) -> None:
    """Rename the input and the output of a graph to `INPUT_NAME` and `OUTPUT_NAME`."""
    names = {graph.input[0].name: INPUT_NAME, graph.output[0].name: OUTPUT_NAME}
    graph.input[0].name, graph.output[0].name = INPUT_NAME, OUTPUT_NAME
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(value, value) for value in values]


def bilstm_unrolled(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """Compute `models.ops.bilstm_scan`, (B, T, C) -> (B, T, 2H), unrolled: ONNX lacks the operations of `lax.scan`."""
    forward, backward = (LSTMWeights(*(leaf[direction] for leaf in weights)) for direction in (0, 1))
    return jnp.concatenate([_unrolled(x, forward), _unrolled(x[:, ::-1], backward)[:, ::-1]], axis=-1)


def _unrolled(x: jax.Array, weights: LSTMWeights) -> jax.Array:
    """Compute one direction, (B, T, C) -> (B, T, H)."""
    gates = x @ weights.input + weights.bias
    h = c = jnp.zeros((x.shape[0], weights.recurrent.shape[0]), x.dtype)
    outputs = []
    for t in range(x.shape[1]):
        i, f, g, o = jnp.split(gates[:, t] + h @ weights.recurrent, 4, axis=-1)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h = nn.sigmoid(o) * jnp.tanh(c)
        outputs.append(h)
    return jnp.stack(outputs, axis=1)


def max_pool_2x2(x: jax.Array) -> jax.Array:
    """Compute `models.ops.max_pool_2x2` as one pooling operation."""
    return nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))


FIXED_SIZE_OPS = native_ops._replace(max_pool=max_pool_2x2, bilstm=bilstm_unrolled)
