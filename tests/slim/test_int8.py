"""Quantized networks: complete, smaller, really in int8, and reading nearly the same."""

import difflib
import io
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from ppocr_jax import OCR
from ppocr_jax.cli import main
from ppocr_jax.inference.backends import OnnxBackend, make_backend
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import STEM
from ppocr_jax.onnx_graph.simplify import prepare
from ppocr_jax.slim.int8 import float_nodes

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EN = load_model_folder("en")
FLOAT_CONVOLUTIONS = {"det": STEM + 2, "rec": STEM + 4}  # and DB's last two; and two squeeze-and-excitation branches


def slim(*arguments):
    return main(["slim", "int8", *map(str, arguments)])


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """What `slim int8` wrote and printed."""
    folder, out = tmp_path_factory.mktemp("models") / "deep" / "int8", io.StringIO()
    with redirect_stdout(out):
        assert slim("en", "--images", EXAMPLES / "receipt.jpg", EXAMPLES / "form.jpg", "--output", folder) == 0
    return SimpleNamespace(folder=folder, model_folder=load_model_folder(folder), table=out.getvalue().splitlines())


def graph_that_runs(path, tmp_path):
    """The graph as ONNX Runtime has optimized it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    model = prepare(path.read_bytes()).model
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return onnx.load(tmp_path / "optimized.onnx").graph


def test_folder_is_complete_and_says_what_it_is(quantized):
    assert sorted(path.name for path in quantized.folder.iterdir()) == [
        "cls.onnx",
        "det.onnx",
        "language.npz",
        "model.json",
        "rec.onnx",
    ]
    assert quantized.model_folder.name == "en-int8"
    assert quantized.model_folder.charset == EN.charset
    assert [quantized.model_folder.spec(task).safetensors for task in ("det", "cls", "rec")] == [None] * 3
    assert quantized.model_folder.provenance["det"]["from"] == EN.provenance["det"]["from"]
    assert quantized.model_folder.provenance["det"]["int8"]["of"] == "en"
    assert "int8" not in quantized.model_folder.provenance["cls"]
    assert quantized.model_folder.file("cls", "onnx").read_bytes() == EN.file("cls", "onnx").read_bytes()


@pytest.mark.parametrize("task", ["det", "rec"])
def test_files_keep_their_metadata(quantized, task):
    before, after = make_backend(EN, task), make_backend(quantized.model_folder, task)  # the latter checks it, too
    assert after.header == before.header
    model = onnx.load(quantized.model_folder.file(task, "onnx"))
    assert model.producer_name == "ppocr_jax"
    assert not model.graph.value_info


# Beside half precision, whose files hold two bytes a weight; the detector's nodes for its ranges weigh more.
@pytest.mark.parametrize(("task", "ratio"), [("det", 0.66), ("rec", 0.57)])
def test_files_are_smaller_than_half_precision(quantized, task, ratio):
    sizes = [model_folder.file(task, "onnx").stat().st_size for model_folder in (EN, quantized.model_folder)]
    assert sizes[1] < ratio * sizes[0]


@pytest.mark.parametrize("task", ["det", "rec"])
def test_convolutions_run_in_int8_and_gates_cost_nothing(quantized, task, tmp_path):
    before = onnx.load_from_string(prepare(EN.file(task, "onnx").read_bytes()).model).graph
    convolutions = sum(node.op_type == "Conv" for node in before.node)
    names = [node.op_type for node in graph_that_runs(quantized.model_folder.file(task, "onnx"), tmp_path).node]
    assert names.count("QLinearConv") == convolutions - FLOAT_CONVOLUTIONS[task]
    assert names.count("QLinearMul") >= sum(node.op_type == "HardSwish" for node in before.node) - STEM


def test_what_loses_accuracy_stays_float(quantized):
    graph = onnx.load(quantized.model_folder.file("rec", "onnx")).graph
    makers = {value: node.op_type for node in graph.node for value in node.output}
    users = {value: node for node in graph.node for value in node.input}
    for op_type in ("LSTM", "MatMul", "Softmax"):
        nodes = [node for node in graph.node if node.op_type == op_type]
        assert nodes
        assert all(makers.get(value) != "DequantizeLinear" for node in nodes for value in node.input)
    for pooled in (node for node in graph.node if node.op_type == "GlobalAveragePool"):
        after = users[pooled.output[0]]
        assert (after.op_type, makers.get(after.input[1])) == ("Conv", "Mul")  # of a scale and what is stored
    assert users["images"].op_type == "Conv"
    # Gates of the stem's hard swishes and of two squeeze-and-excitation branches; between bytes there are none.
    assert sum(node.op_type == "HardSigmoid" for node in graph.node) == STEM + 2


def test_weights_outside_are_stored_as_bytes_and_read_as_floats(quantized):
    """Within half a step of what they are, one step being the largest of a row / 127."""
    exact, stored = (
        Graph(EN.file("rec", "onnx").read_bytes()),
        Graph(quantized.model_folder.file("rec", "onnx").read_bytes()),
    )
    pairs = zip(*([n for n in g.nodes if n.op_type == "LSTM"] for g in (exact, stored)), strict=True)
    for before, after in pairs:
        for place in (1, 2):
            rows, got = exact.constant(before.input[place]), stored.constant(after.input[place])
            error = np.abs(rows - got)
            assert error.max() > 0
            assert (error <= 0.5001 / 127 * np.abs(rows).max(axis=2, keepdims=True)).all()


@pytest.mark.parametrize("name", ["receipt.jpg", "sign.jpg"])
def test_reads_nearly_the_same(quantized, name):
    expected, got = (OCR(model)(EXAMPLES / name).text for model in ("en", quantized.folder))
    assert len(expected) > 20
    assert difflib.SequenceMatcher(None, expected, got, autojunk=False).ratio() > 0.9


def test_simplifying_changes_nothing(quantized):
    images = np.random.default_rng(0).normal(0, 1, (2, 32, 96, 3)).astype(np.float32)
    path = quantized.model_folder.file("rec", "onnx")
    assert np.allclose(OnnxBackend(path)(images), OnnxBackend(path, as_is=True)(images), atol=1e-5)


def test_report(quantized):
    header, det, rec = (line.split() for line in quantized.table)
    assert header[0] == "network"
    assert (det[0], rec[0]) == ("det", "rec")
    assert float(det[1]) == pytest.approx(EN.file("det", "onnx").stat().st_size / 1e6, abs=0.01)
    assert float(rec[2]) == pytest.approx(quantized.model_folder.file("rec", "onnx").stat().st_size / 1e6, abs=0.01)
    for row in (det, rec):
        assert float(row[3]) > 0
        assert 0 < float(row[6]) < 0.02
        assert float(row[8].rstrip("%")) > 80


def test_classifier_with_weights_of_seven_bits(tmp_path, capsys):
    arguments = ["en", "--images", EXAMPLES / "sign.jpg", "--output", tmp_path, "--tasks", "cls", "--no-vnni"]
    assert slim(*arguments) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "cls"
    model_folder = load_model_folder(tmp_path)
    assert model_folder.provenance["cls"]["int8"]["seven_bits"]
    graph = onnx.load(model_folder.file("cls", "onnx")).graph
    between_bytes = {node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights = [t for t in graph.initializer if t.data_type == TensorProto.INT8 and t.name in between_bytes]
    largest = max(int(np.abs(numpy_helper.to_array(tensor).astype(int)).max()) for tensor in weights)
    assert 60 <= largest <= 64


def test_float_nodes_of_the_classifier():
    graph = Graph(EN.file("cls", "onnx").read_bytes())
    kept = [node for node in graph.nodes if node.output[0] in float_nodes(graph)]
    assert sum(node.op_type == "GlobalAveragePool" for node in kept) == 9
    assert sum(node.op_type == "Conv" for node in kept) == STEM + 2 * 9 + 1  # the head: the last one, and Gemm
    assert {"Gemm", "Softmax"} <= {node.op_type for node in kept}
