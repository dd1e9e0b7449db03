"""A toy script that toy networks read: so the whole pipeline runs for real, without trained weights.

On black, a line is a gray bar that begins with a white block and holds one stripe per character: red "a", green "b",
blue "c". The detector finds whatever is not black, the classifier looks for the white block, the recognizer for pure
colors. All three are hand-made ONNX graphs that look at colors after the default normalizations (BGR).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ppocr_jax.charset import Charset
from ppocr_jax.geometry import CropGrowth
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, ModelFolder, RecognizerSpec, write_model_json

CHARSET = Charset(("a", "b", "c"))
COLORS = {"a": (255, 0, 0), "b": (0, 255, 0), "c": (0, 0, 255)}
GRAY = (128, 128, 128)


def paint_line(text: str, *, height: int = 24) -> np.ndarray:
    """A line image (height, w, 3) RGB of square blocks: white, for each character a gap and its color, a gap."""
    blocks = [(255, 255, 255)] + [color for c in text for color in (GRAY, COLORS[c])] + [GRAY]
    return np.repeat(np.repeat(np.array([blocks], np.uint8), height, axis=1), height, axis=0)


def paint_page(size: tuple[int, int], lines: list[tuple[str, tuple[int, int], float]]) -> np.ndarray:
    """A black page (height, width) with lines of (text, center (x, y), clockwise rotation in degrees)."""
    page = np.zeros((*size, 3), np.uint8)
    for text, center, angle in lines:
        line = paint_line(text)
        h, w = line.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), -angle, 1.0)
        matrix[:, 2] += (center[0] - w / 2, center[1] - h / 2)
        page = np.maximum(page, cv2.warpAffine(line, matrix, size[::-1], flags=cv2.INTER_NEAREST))
    return page


def write_model(folder: Path, *, classes: int = CHARSET.num_classes) -> ModelFolder:
    """The toy networks as a model folder; `classes` other than the charset's makes one that contradicts itself."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"charset": '["a", "b", "c"]', "task": "rec"}
    _save(folder / "det.onnx", *_detector(), ["N", "H", "W"], {"task": "det"})
    _save(folder / "cls.onnx", *_classifier(), ["N", 2], {"task": '"cls"'})
    _save(folder / "rec.onnx", *_recognizer(classes), ["N", "T", classes], metadata)
    model_folder = ModelFolder(
        folder,
        "stripes",
        "1",
        CHARSET,
        det=DetectorSpec(onnx="det.onnx"),
        cls=ClassifierSpec(onnx="cls.onnx"),
        rec=RecognizerSpec(onnx="rec.onnx", growth=CropGrowth(0, 0, 0, 0)),
        provenance={"made by": "hand"},
    )
    write_model_json(model_folder)
    return model_folder


def _detector() -> tuple[list, dict]:
    """Probability 0.9 where any channel is brighter than about 40 of 255, else 0.1."""
    nodes = [
        helper.make_node("ReduceMax", ["images", "channel"], ["brightest"], keepdims=0),
        helper.make_node("Greater", ["brightest", "limit"], ["bright"]),
        helper.make_node("Where", ["bright", "yes", "no"], ["output"]),
    ]
    return nodes, {"channel": np.array([1]), "limit": np.float32(-1.2), "yes": np.float32(0.9), "no": np.float32(0.1)}


def _classifier() -> tuple[list, dict]:
    """Class "180" where the right half holds more white than the left."""
    nodes = [
        helper.make_node("ReduceMin", ["images", "channel"], ["darkest"], keepdims=0),
        helper.make_node("Relu", ["darkest"], ["white"]),
        helper.make_node("Split", ["white"], ["left", "right"], axis=2, num_outputs=2),
        helper.make_node("ReduceMean", ["left", "plane"], ["left_mean"], keepdims=0),
        helper.make_node("ReduceMean", ["right", "plane"], ["right_mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["left_mean", "channel"], ["left_column"]),
        helper.make_node("Unsqueeze", ["right_mean", "channel"], ["right_column"]),
        helper.make_node("Concat", ["left_column", "right_column"], ["both"], axis=1),
        helper.make_node("Mul", ["both", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["output"], axis=1),
    ]
    return nodes, {"channel": np.array([1]), "plane": np.array([1, 2]), "sharpness": np.float32(200)}


def _recognizer(classes: int) -> tuple[list, dict]:
    """Frames of 4 pixels; a channel far above the two others is its character (channels come as blue, green, red)."""
    kernel = np.zeros((classes, 3, 1, 1), np.float32)
    for k, channel in ((1, 2), (2, 1), (3, 0)):
        kernel[k, :, 0, 0] = -10
        kernel[k, channel, 0, 0] = 20
    bias = np.zeros(classes, np.float32)
    bias[0] = 6
    nodes = [
        helper.make_node("AveragePool", ["images"], ["frames"], kernel_shape=[32, 4], strides=[32, 4]),
        helper.make_node("Conv", ["frames", "kernel", "bias"], ["scores"], kernel_shape=[1, 1]),
        helper.make_node("Squeeze", ["scores", "rows"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["logits"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["logits"], ["output"], axis=2),
    ]
    return nodes, {"kernel": kernel, "bias": bias, "rows": np.array([2])}


def _save(path: Path, nodes: list, constants: dict, output_shape: list, metadata: dict[str, str]) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output_shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, path)
