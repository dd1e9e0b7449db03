"""Convert third-party inference files (ONNX) to Flax variables by the kinds, shapes and order of their layers.

Inference files do not contain the names of a checkpoint or the parts that only training needs, and some exporters fold
BatchNorm into convolutions. But their layers are in the order in which the network calls them, as in ppocr_jax.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from ppocr_jax.convert.layers import (
    TRAINING_PARTS,
    Layer,
    difference_of,
    fits,
    layers_of_file,
    layers_of_network,
    our_layout,
)
from ppocr_jax.export.parity import TOLERANCE, ParityError
from ppocr_jax.images import load_image
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import (
    FOREIGN_RECOGNIZER,
    SPECS,
    ClassifierSpec,
    DetectorSpec,
    NetworkSpec,
    RecognizerSpec,
)
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.mobilenet_v3 import LARGE_LAST, SMALL_LAST
from ppocr_jax.models.ops import native_ops
from ppocr_jax.models.pp_lcnet import BLOCKS
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.simplify import prepare
from ppocr_jax.preprocess import line_batch
from ppocr_jax.training.network import TrainedNetwork

# Positions of the input, forget, cell and output gates in ONNX's order (input, output, forget, cell).
_GATES = (0, 2, 3, 1)
_EPSILON = 1e-5  # of BatchNorm, here and in Paddle
_IMAGE = Path(__file__).parent / "receipt.jpg"
_LINES = ((38, 84, 84, 444), (84, 122, 84, 444))  # the first two lines of the receipt: top, bottom, left, right
_HEIGHTS = {"svtr_lcnet": 48}  # line height in pixels; other recognizers: 32


class Converted(NamedTuple):
    """A network of ppocr_jax with the weights of a file.

    Attributes:
        spec: Builder and options, with PP-OCR's input size, normalization and thresholds.
        variables: "params" and "batch_stats", as float32 NumPy arrays.
        initialized: Descriptions of the parts that are not in the file and have random weights.
        tensors: Number of tensors taken from the file.
    """

    spec: NetworkSpec
    variables: dict[str, Any]
    initialized: tuple[str, ...]
    tensors: int


def convert_inference_file(data: bytes, network: str | None = None) -> Converted:
    """Return the network in an ONNX file as a network of ppocr_jax.

    Args:
        data: Contents of an ONNX file.
        network: Name of a builder in `ppocr_jax.models`; default: detected.

    Raises:
        OnnxFileError: It is not an ONNX file, or an incomplete one.
        WeightsError: It contains no network of ppocr_jax.
    """
    graph = Graph(data)
    graph.fold_constants()
    found = layers_of_file(graph)
    if network is not None and network not in _NETWORKS:
        raise WeightsError(f"inference files contain no network {network!r}; choose from {', '.join(_NETWORKS)}")
    reasons = []
    for name in _NETWORKS if network is None else [network]:
        task, options = _NETWORKS[name]
        inferred = options(found)
        if inferred is None:
            continue
        spec = SPECS[task](network=name, options=inferred)
        if isinstance(spec, RecognizerSpec):
            spec = replace(spec, height=_HEIGHTS.get(name, spec.height), **FOREIGN_RECOGNIZER)
        problem = difference_of(layers_of_network(spec)[0], found)
        if problem is None:
            return _filled(spec, found)
        reasons.append((problem[0], f"{name}: {problem[1]}"))
    nearest = f"; the nearest is {min(reasons)[1]}" if reasons else ""
    raise WeightsError(
        f"its {len(found)} layers match no network of ppocr_jax{nearest}; it can be used as it is (--det, --rec, --cls)"
    )


def parity(data: bytes, converted: Converted) -> float:
    """Return the largest difference of probabilities between a file and the converted network on a real image.

    Raises:
        ModelError: ONNX Runtime cannot open the file.
        ParityError: ONNX Runtime cannot run the file, the difference is above `TOLERANCE`, or the shapes differ.
    """
    images = _images(converted.spec)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{converted.spec.task}.onnx"
        path.write_bytes(prepare(data, faster=False).model)  # repaired, like the converted network
        try:
            expected = OnnxBackend(path, threads=1, device="cpu", as_is=True)(images)
        except RuntimeError as error:  # raised by ONNX Runtime
            raise ParityError(f"the file cannot be run: {str(error).splitlines()[0]}") from error
    got = TrainedNetwork(converted.spec, converted.variables).compiled()(images)
    if got.shape != expected.shape:
        raise ParityError(f"the file gives {expected.shape} for an image of {images.shape}, the network {got.shape}")
    difference = float(np.abs(got - expected).max())
    if not difference <= TOLERANCE:
        raise ParityError(
            f"the file's network is none of ours: as {converted.spec.network} it differs by {difference:.1e} on an "
            f"image, more than {TOLERANCE:.0e}; nothing was written"
        )
    return difference


def _images(spec: NetworkSpec) -> np.ndarray:
    """Return a receipt, or two of its lines, as input of the network."""
    image = load_image(_IMAGE)
    if isinstance(spec, RecognizerSpec | ClassifierSpec):
        lines = [image[top:bottom, left:right] for top, bottom, left, right in _LINES]
        width = getattr(spec, "width", None) or 320
        return line_batch(lines, height=spec.height, width=width, normalization=spec.normalization)
    assert isinstance(spec, DetectorSpec)
    return spec.normalization(image)[None]


def _filled(spec: NetworkSpec, found: Sequence[Layer]) -> Converted:
    """Return the network with the weights of the file's layers.

    A layer is paired with the next layer of the file of its kind and shape after the previous pair, or, if there is
    none, with the first unpaired one: both call layers in the same order, except for the levels of a pyramid.

    Raises:
        WeightsError: The file has a BatchNorm that the network does not have, or lacks a part of the network.
    """
    ours, shapes = layers_of_network(spec)
    arrays: dict[str, Any] = traverse_util.flatten_dict(dict(shapes), sep="/")
    flat = {path: array.shape for path, array in arrays.items()}
    values: dict[str, np.ndarray] = {}
    left, at, tensors = dict(enumerate(found)), 0, 0
    for layer in ours:
        same = [k for k, other in left.items() if fits(layer, other)]
        at = next((k for k in same if k > at), same[0])
        other = left.pop(at)
        place = f"params/{layer.name}"
        if layer.kind == "layer norm":
            tensors += 2
            values |= {f"{place}/scale": other.weights[0], f"{place}/bias": np.asarray(other.bias)}
            continue
        if layer.kind == "lstm":
            tensors += 3
            values |= {f"{place}/{name}": array for name, array in _lstm(other).items()}
            continue
        values[f"{place}/kernel"] = our_layout(layer, other.weights[0], flat[f"{place}/kernel"])
        tensors += 1 + (other.bias is not None) + 4 * (other.norm is not None)
        channels = values[f"{place}/kernel"].shape[-1]
        bias = np.zeros(channels, np.float32) if other.bias is None else np.asarray(other.bias)
        if layer.norm is not None:
            scale, offset, mean, variance = other.norm or _identity(channels, bias)
            if other.norm is not None and not layer.bias:
                mean = mean - bias
            for name, array in (("params/{}/scale", scale), ("params/{}/bias", offset)):
                values[name.format(layer.norm)] = array
            values[f"batch_stats/{layer.norm}/mean"] = mean
            values[f"batch_stats/{layer.norm}/var"] = variance
        elif other.norm is not None:
            raise WeightsError(f"the file has a BatchNorm behind {other.name!r}, {spec.network} none at {layer.name}")
        if layer.bias:
            values[f"{place}/bias"] = bias if layer.norm is None or other.norm is not None else np.zeros_like(bias)
    initialized = sorted({path.split("/")[1] for path in flat.keys() - values.keys()})
    unknown = [part for part in initialized if part not in TRAINING_PARTS]
    if unknown:
        raise WeightsError(f"the file lacks {', '.join(unknown)} of {spec.network}")
    if initialized:
        values |= _random(spec, initialized)
    variables = traverse_util.unflatten_dict(
        {tuple(path.split("/")): np.ascontiguousarray(array, np.float32) for path, array in values.items()}
    )
    return Converted(spec, variables, tuple(TRAINING_PARTS[part] for part in initialized), tensors)


def _identity(channels: int, bias: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return a BatchNorm that only adds a bias, for a convolution into which its BatchNorm was folded."""
    ones = np.ones(channels, np.float32)
    return ones * np.float32(np.sqrt(1 + _EPSILON)), bias, np.zeros(channels, np.float32), ones


def _lstm(layer: Layer) -> dict[str, np.ndarray]:
    """Return the Flax arrays of a bidirectional LSTM layer, with the directions stacked."""

    def ours(array: np.ndarray) -> np.ndarray:
        """Return an array (2, 4H, ...) with its gates in the order of ppocr_jax."""
        gates = np.split(array, 4, axis=1)
        return np.concatenate([gates[k] for k in _GATES], axis=1)

    kernel, recurrent, biases = layer.weights
    input_bias, recurrent_bias = np.split(biases, 2, axis=1)
    return {
        "input_kernel": ours(kernel).transpose(0, 2, 1),
        "recurrent_kernel": ours(recurrent).transpose(0, 2, 1),
        "input_bias": ours(input_bias),
        "recurrent_bias": ours(recurrent_bias),
    }


def _random(spec: NetworkSpec, parts: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the initial variables of some parts of a network."""
    model = build_model(spec.network, ops=native_ops, **spec.options)
    image = jnp.zeros((1, getattr(spec, "height", 64), getattr(spec, "width", None) or 64, 3))

    def initial(key: jax.Array) -> dict[str, Any]:  # returns only these parts, so that the rest is not compiled
        variables = model.init(key, image, train=False)
        return {name: {part: tree[part] for part in parts if part in tree} for name, tree in variables.items()}

    variables = jax.jit(initial)(jax.random.key(0))
    return {path: np.asarray(array) for path, array in traverse_util.flatten_dict(variables, sep="/").items()}


def _widest(found: Sequence[Layer]) -> int:
    """Return the largest number of outputs of a 1x1 convolution, which is that of the backbone's last one."""
    return max((layer.shape[0] for layer in found if layer.kind == "conv" and layer.shape[2:] == (1, 1)), default=0)


def _of_kind(found: Sequence[Layer], kind: str) -> list[Layer]:
    return [layer for layer in found if layer.kind == kind]


def _detector(found: Sequence[Layer], full: int | None = None) -> dict[str, Any] | None:
    """Return the options of a detector, or None; `full` is the width of the backbone's last layer at multiplier 1."""
    upsampling = _of_kind(found, "transposed")
    if len(upsampling) != 2 or _of_kind(found, "linear"):
        return None
    # Each pyramid level has a quarter of the neck's channels, and the head a quarter of their sum.
    return {
        "channels": 4 * upsampling[0].shape[0],
        **({} if full is None else {"scale": round(_widest(found) / full, 2)}),
    }


def _recognizer(found: Sequence[Layer], full: int | None = None) -> dict[str, Any] | None:
    """Return the options of a recognizer, or None; `full` is the width of the backbone's last layer at multiplier 1."""
    lstm, linear = _of_kind(found, "lstm"), _of_kind(found, "linear")
    if not lstm or not linear:
        return None
    scale = {} if full is None else {"scale": round(_widest(found) / full, 2)}
    return {"num_classes": linear[-1].shape[1], "hidden": lstm[0].shape[1], **scale}


def _attending_recognizer(found: Sequence[Layer]) -> dict[str, Any] | None:
    """Return the options of PP-OCRv3's recognizer, which has self-attention and no LSTM, or None."""
    linear = _of_kind(found, "linear")
    if len(linear) < 2 or _of_kind(found, "lstm"):
        return None
    scale = round(_widest(found) / BLOCKS[-1].width, 2)
    return {"num_classes": linear[-1].shape[1], "hidden": linear[0].shape[0], "scale": scale}


def _classifier(found: Sequence[Layer]) -> dict[str, Any] | None:
    """Return the options of a direction classifier, or None."""
    linear = _of_kind(found, "linear")
    if len(linear) != 1 or linear[0].shape[1] != 2 or _of_kind(found, "lstm"):
        return None
    return {"scale": round(linear[0].shape[0] / SMALL_LAST, 2)}


# Network -> its task, and a function that infers its options from the layers of a file (None: another network).
_NETWORKS: dict[str, tuple[str, Any]] = {
    "db_mobilenet_v3": ("det", lambda found: _detector(found, LARGE_LAST)),
    "db_rse_fpn": ("det", lambda found: _detector(found, LARGE_LAST)),
    "db_resnet18": ("det", _detector),
    "crnn_lcnet": ("rec", lambda found: _recognizer(found, BLOCKS[-1].width)),
    "crnn_mobilenet_v3": ("rec", lambda found: _recognizer(found, SMALL_LAST)),
    "crnn_resnet34": ("rec", _recognizer),
    "svtr_lcnet": ("rec", _attending_recognizer),
    "direction_mobilenet_v3": ("cls", _classifier),
}
