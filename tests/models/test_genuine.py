"""PP-OCRv3's networks against PaddleOCR's released files: their weights in our variables give their outputs.

A file names its arrays after Paddle's parameters, numbered in the order of creation: `conv2d_47.w_0`, `linear_2.b_0`.
The order of our layers is written out here by hand, from the published networks.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import traverse_util
from PIL import Image

from ppocr_jax.models import build_model, outputs_of
from ppocr_jax.models.ops import cpu_ops
from tests.helpers import QUICK_COMPILE
from tests.released import release_or_skip

onnx = pytest.importorskip("onnx")

NORM_LEAVES = {"w_0": "scale", "b_0": "bias", "w_1": "mean", "w_2": "var"}
LEVELS = (2, 3, 4, 5)
DETECTOR = {
    "conv2d": [
        "backbone/conv",
        *(f"backbone/unit_{i}/{part}" for i in range(15) for part in ("expand", "depthwise", "project")),
        "backbone/last",
        *(f"neck/{kind}{i}{part}" for i in LEVELS for kind in ("in", "p") for part in ("", "/se/conv1", "/se/conv2")),
        "probability",
    ],
    "conv2d_transpose": ["probability/up1", "probability/up2"],
}
DETECTOR["batch_norm"] = [
    *(f"{name}/bn" for name in DETECTOR["conv2d"] if name.startswith("backbone")),
    "probability/bn1",
    "probability/bn2",
]
EXCITED = (11, 12)
BLOCK = ("depthwise", "se/conv1", "se/conv2", "pointwise")
RECOGNIZER = {
    "conv2d": [
        "backbone/conv1",
        *(
            f"backbone/block_{i}/{part}"
            for i in range(13)
            for part in BLOCK
            if not part.startswith("se/") or i in EXCITED
        ),
        *(f"neck/conv{i}" for i in range(1, 6)),
    ],
    "layer_norm": [*(f"neck/block_{i}/norm{j}" for i in range(2) for j in (1, 2)), "neck/norm"],
    "linear": [
        *(f"neck/block_{i}/{part}" for i in range(2) for part in ("mixer/qkv", "mixer/proj", "fc1", "fc2")),
        "head/fc",
    ],
    "batch_norm2d": [f"neck/conv{i}/bn" for i in range(1, 6)],
}
RECOGNIZER["batch_norm"] = [
    f"{name}/bn" for name in RECOGNIZER["conv2d"] if name.startswith("backbone") and "/se/" not in name
]


EXAMPLE = Path(__file__).parents[2] / "examples" / "receipt.jpg"


def receipt(box, size, mean, std):
    """Return part of the example image, in BGR as PaddleOCR's networks take it, and its mirror image."""
    image = Image.open(EXAMPLE).convert("RGB").crop(box).resize(size[::-1], Image.Resampling.BILINEAR)
    pixels = (np.asarray(image, np.float32)[..., ::-1] / 255 - mean) / std
    return np.stack([pixels, pixels[:, ::-1]]).astype(np.float32)


PAGE = receipt((100, 60, 660, 340), (160, 320), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
LINE = receipt((196, 88, 548, 131), (48, 320), 0.5, 0.5)  # "BLUE HERON GROCERS"


def arrays_by_kind(path):
    """Kind of layer -> its layers in order of creation: {"w_0": array, ...}."""
    numbered: dict[str, dict[int, dict[str, np.ndarray]]] = {}
    for node in onnx.load(path).graph.node:
        match = re.fullmatch(r"(\D\w*)_(\d+)\.([wb]_\d)", node.output[0])
        if node.op_type == "Constant" and match:
            kind, number, leaf = match.groups()
            numbered.setdefault(kind, {}).setdefault(int(number), {})[leaf] = onnx.numpy_helper.to_array(
                node.attribute[0].t
            )
    return {kind: [layers[number] for number in sorted(layers)] for kind, layers in numbered.items()}


def placed(kind, name, leaf, array):
    """Collection and path of an array in our variables, and the array in our layout."""
    if "norm" in kind:
        leaf = NORM_LEAVES[leaf]
        return ("batch_stats" if leaf in ("mean", "var") else "params", f"{name}/{leaf}", array)
    if leaf == "b_0":
        return "params", f"{name}/bias", array.reshape(-1)
    if kind == "conv2d_transpose":
        array = array.transpose(0, 2, 3, 1)
    elif kind == "conv2d":
        array = array[:, 0].transpose(1, 2, 0) if name.endswith("depthwise") else array.transpose(2, 3, 1, 0)
    return "params", f"{name}/kernel", array


@cache
def model_and_variables(network, file):
    layers = DETECTOR if network == "db_rse_fpn" else RECOGNIZER
    found = arrays_by_kind(file)
    assert {kind: len(rows) for kind, rows in found.items()} == {kind: len(names) for kind, names in layers.items()}
    variables: dict[str, dict[str, np.ndarray]] = {"params": {}, "batch_stats": {}}
    for kind, names in layers.items():
        for name, row in zip(names, found[kind], strict=True):
            for leaf, array in row.items():
                collection, path, value = placed(kind, name, leaf, array)
                variables[collection][path] = value
    options = {"num_classes": variables["params"]["head/fc/bias"].size} if network == "svtr_lcnet" else {}
    model = build_model(network, ops=cpu_ops, **options)
    nested = {name: traverse_util.unflatten_dict(flat, sep="/") for name, flat in variables.items()}
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), np.zeros((1, 32, 64, 3), np.float32), train=False))
    ours = traverse_util.flatten_dict(shapes, sep="/")
    theirs = traverse_util.flatten_dict(nested, sep="/")
    # The threshold branch is for training alone, so the file lacks it.
    assert {k: v.shape for k, v in ours.items() if "/threshold/" not in k} == {k: v.shape for k, v in theirs.items()}
    return model, nested


def both(network, file, images):
    """Return the outputs of our network and of the file."""
    import onnxruntime

    model, variables = model_and_variables(network, file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2)})
    ours = jax.jit(lambda v, x: outputs_of(model, v, x), compiler_options=QUICK_COMPILE)(variables, images)
    return ours, theirs


@pytest.mark.parametrize("release", ["ppocr-v3", "ppocr-v3-en"])
def test_detector(release):
    ours, theirs = both("db_rse_fpn", release_or_skip(release)["det"], PAGE)
    assert (theirs > 0.3).mean() > 0.02, "a map without text would show nothing"
    np.testing.assert_allclose(ours["probability"], theirs[:, 0], atol=1e-4)


@pytest.mark.parametrize("release", ["ppocr-v3", "ppocr-v3-en", "ppocr-v3-japan"])
def test_recognizer(release):
    ours, theirs = both("svtr_lcnet", release_or_skip(release)["rec"], LINE)
    assert theirs.shape[1] == 320 // 8
    assert (theirs.argmax(-1) > 0).sum() > 5, "a line of blanks would show nothing"
    np.testing.assert_allclose(ours["probabilities"], theirs, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(ours["probabilities"]).argmax(-1), theirs.argmax(-1))
