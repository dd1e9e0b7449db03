import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from ppocr_jax import __version__
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.inference.ocr import OCR


@pytest.fixture(params=["det", "cls", "rec"])
def task(request) -> str:
    return request.param


@pytest.fixture
def model(exported, task) -> onnx.ModelProto:
    return onnx.load(exported.folder / f"{task}.onnx")


def count(model: onnx.ModelProto, *op_types: str) -> int:
    return sum(node.op_type in op_types for node in model.graph.node)


def images_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)


def test_files_compute_what_the_networks_compute(exported, task):
    rows = exported.reports[task]
    assert len({row.shape for row in rows}) == 3
    assert len({row.shape[0] for row in rows}) > 1
    assert all(row.max_abs_diff < 1e-4 for row in rows)


def test_random_networks_tell_something(exported):
    """Were outputs nearly constant, the test above would show nothing."""
    det = OnnxBackend(exported.folder / "det.onnx", threads=1)(images_of(1, 96, 96, 3))
    assert np.quantile(det, 0.1) < 0.2
    assert np.quantile(det, 0.9) > 0.8
    rec = OnnxBackend(exported.folder / "rec.onnx", threads=1)(images_of(1, 32, 320, 3))
    assert rec.max() > 0.5
    assert len(set(rec[0].argmax(-1))) > 2


@pytest.mark.parametrize(
    ("task", "size", "result"),
    [
        ("det", (96, 32), (96, 32)),
        ("cls", (48, 192), (2,)),
        ("rec", (32, 44), (11, 101)),
        ("rec", (32, 1000), (250, 101)),
    ],
)
def test_any_batch_and_size(exported, task, size, result):
    backend = OnnxBackend(exported.folder / f"{task}.onnx", threads=1)
    images = images_of(5, *size, 3)
    together = backend(images)
    assert together.shape == (5, *result)
    np.testing.assert_allclose(together[3:4], backend(images[3:4]), atol=2e-5)
    if task != "det":
        np.testing.assert_allclose(together.sum(-1), 1, rtol=1e-5)


def test_one_lstm_node_per_layer(exported):
    graph = onnx.load(exported.folder / "rec.onnx").graph
    layers = [node for node in graph.node if node.op_type == "LSTM"]
    assert len(layers) == 2
    for node in layers:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert (attributes["direction"], attributes["hidden_size"]) == (b"bidirectional", 24)
    assert not any(node.op_type in ("Loop", "Scan", "If") for node in graph.node)


def test_graphs_are_small(model, task):
    assert count(model, "BatchNormalization", "Shape", "Gather", "Clip", "Div", "Einsum") == (task == "cls")
    assert count(model, "Transpose") <= {"det": 1, "cls": 0, "rec": 4}[task]
    assert count(model, "HardSwish") == {"det": 20, "cls": 18, "rec": 27}[task]


def test_only_the_probability_branch_is_exported(exported, networks):
    """The threshold branch is as large as the probability branch; its weights must not be in the file."""
    graph = onnx.load(exported.folder / "det.onnx").graph
    stored = sum(np.prod(tensor.dims) for tensor in graph.initializer)
    params = networks["det"].variables["params"]
    sizes = {name: sum(leaf.size for leaf in _leaves(tree)) for name, tree in params.items()}
    needed = sizes["backbone"] + sizes["neck"] + sizes["probability"]
    assert 0.9 * needed < stored < 1.02 * needed


def _leaves(tree: dict) -> list[np.ndarray]:
    return [leaf for value in tree.values() for leaf in (_leaves(value) if isinstance(value, dict) else [value])]


def test_files_are_valid_and_use_standard_operators(model, task):
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert not model.graph.value_info
    (value,) = model.graph.input
    dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    height, width = {"det": ("height", "width"), "cls": (48, 192), "rec": (32, "width")}[task]
    assert (value.name, dims) == ("images", ["batch", 3, height, width])
    assert [output.name for output in model.graph.output] == ["probability"]


def test_files_say_what_they_are(model, task):
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["task"] == task
    assert metadata["ppocr_jax_version"] == __version__
    assert json.loads(metadata["normalization"])["channel_order"] == "bgr"
    options = json.loads(metadata["options"])
    if task == "det":
        assert (options["limit_side"], options["limit_type"]) == (960, "max")
        assert options["postprocess"]["unclip_ratio"] == 1.5
    elif task == "cls":
        assert (options["height"], options["width"], options["labels"]) == (48, 192, ["0", "180"])
        assert (options["threshold"], options["long_lines"]) == (0.9, "squeeze")
    else:
        assert (options["height"], options["min_width"]) == (32, RecognizerSpec().min_width)
    characters = json.loads(metadata.get("charset", "null"))
    assert characters is None if task != "rec" else len(characters) == 100


def test_the_examples_of_jax2onnx_are_not_imported():
    """They would take longer than the export. In a process of its own: other tests may import them."""
    program = """
import sys
import jax.numpy as jnp
from jax2onnx import to_onnx
from ppocr_jax.export.onnx import _load_plugins
_load_plugins()
model = to_onnx(lambda x: jnp.tanh(x) + 1, [("B", 3)])
assert {node.op_type for node in model.graph.node} == {"Tanh", "Add"}, model.graph.node
print([name for name in sys.modules if name.startswith("jax2onnx.plugins.examples.")])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr


def test_ocr_reads_with_the_folder(exported):
    page = OCR(exported.folder, threads=1)(np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8))
    assert (page.width, page.height) == (160, 96)
