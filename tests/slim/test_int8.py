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
from onnx import TensorProto, helper, numpy_helper

from ppocr_jax import OCR
from ppocr_jax.cli import main
from ppocr_jax.inference.backends import OnnxBackend, make_backend
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.simplify import apply, simplify
from ppocr_jax.slim.int8 import STEM, float_nodes, gate_on_bytes, name_nodes

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
        assert slim("en", "--pictures", EXAMPLES / "receipt.jpg", EXAMPLES / "form.jpg", "--output", folder) == 0
    return SimpleNamespace(folder=folder, model_folder=load_model_folder(folder), table=out.getvalue().splitlines())


def graph_that_runs(path, tmp_path):
    """The graph as ONNX Runtime has optimized it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    model = simplify(path.read_bytes())
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return onnx.load(tmp_path / "optimized.onnx").graph


def test_folder_is_complete_and_says_what_it_is(quantized):
    assert sorted(path.name for path in quantized.folder.iterdir()) == [
        "cls.onnx",
        "det.onnx",
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


# Beside the weights in full precision, of which the shipped files hold half the bytes; of the recognizer 1.6 MB are
# the LSTM.
@pytest.mark.parametrize(("task", "ratio"), [("det", 0.4), ("rec", 0.62)])
def test_files_are_smaller(quantized, task, ratio):
    sizes = [model_folder.file(task, "onnx").stat().st_size for model_folder in (EN, quantized.model_folder)]
    assert sizes[1] < ratio * 2 * sizes[0]


@pytest.mark.parametrize("task", ["det", "rec"])
def test_convolutions_run_in_int8_and_gates_cost_nothing(quantized, task, tmp_path):
    before = onnx.load_from_string(simplify(EN.file(task, "onnx").read_bytes())).graph
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
        assert (after.op_type, makers.get(after.input[1])) == ("Conv", None)  # its weights are a constant
    assert users["images"].op_type == "Conv"


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
    arguments = ["en", "--pictures", EXAMPLES / "sign.jpg", "--output", tmp_path, "--tasks", "cls", "--no-vnni"]
    assert slim(*arguments) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "cls"
    model_folder = load_model_folder(tmp_path)
    assert model_folder.provenance["cls"]["int8"]["seven_bits"]
    weights = [
        t for t in onnx.load(model_folder.file("cls", "onnx")).graph.initializer if t.data_type == TensorProto.INT8
    ]
    largest = max(int(np.abs(numpy_helper.to_array(tensor).astype(int)).max()) for tensor in weights)
    assert 60 <= largest <= 64


@pytest.mark.parametrize(("alpha", "beta"), [(1 / 6, 0.5), (0.2, 0.5)])
def test_gate_on_bytes_is_a_hard_sigmoid(alpha, beta):
    constants = {"scale": np.float32(0.05), "zero": np.uint8(120), "out": np.float32(1 / 255), "out_zero": np.uint8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("HardSigmoid", ["d"], ["g"], "gate", alpha=alpha, beta=beta),
        helper.make_node("QuantizeLinear", ["g", "out", "out_zero"], ["gq"]),
        helper.make_node("DequantizeLinear", ["gq", "out", "out_zero"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "gate",
        [value("x", TensorProto.FLOAT, [None])],
        [value("y", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.array(v), k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    changed = Graph(model.SerializeToString())
    apply((gate_on_bytes,), changed)
    model = onnx.load_from_string(changed.to_bytes())
    assert "HardSigmoid" not in {node.op_type for node in model.graph.node}
    assert len(model.graph.initializer) == 6
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.linspace(-6, 6, 97, dtype=np.float32)
    (y,) = session.run(None, {"x": x})
    assert np.abs(y - np.clip(alpha * x + beta, 0, 1)).max() < alpha * 0.025 + 1.1 / 255


def test_hard_sigmoid_between_floats_stays():
    graph = Graph(EN.file("rec", "onnx").read_bytes())  # those of squeeze-and-excitation, not quantized
    apply((gate_on_bytes,), graph)
    assert sum(node.op_type == "HardSigmoid" for node in graph.nodes) == 2


def test_float_nodes_of_the_classifier():
    graph = Graph(EN.file("cls", "onnx").read_bytes())
    name_nodes(graph)
    kept = [node for node in graph.nodes if node.name in float_nodes(graph)]
    assert sum(node.op_type == "GlobalAveragePool" for node in kept) == 9
    assert sum(node.op_type == "Conv" for node in kept) == STEM + 2 * 9 + 1  # the head: the last one, and Gemm
    assert {"Gemm", "Softmax"} <= {node.op_type for node in kept}
