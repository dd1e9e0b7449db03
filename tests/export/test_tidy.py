from collections import Counter

import numpy as np
import onnx
import pytest

from ppocr_jax.export.onnx import tidy

CONSTANTS = (
    "float zero = {0}, float half = {0.5}, float one = {1}, float fifth = {0.2}, float three = {3}, float six = {6}"
)


def parse(body: str) -> onnx.ModelProto:
    head = '<ir_version: 9, opset_import: ["": 18]>'
    return onnx.parser.parse_model(f"{head} g (float[B, 2, H, W] x) => (float[B, 2, P, Q] y) <{CONSTANTS}> {{{body}}}")


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(model).run(None, {"x": x})[0]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("y = Max(x, zero)", ["Relu"]),
        ("y = Max(zero, x)", ["Relu"]),
        ("a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six)", ["HardSwish"]),
        ("a = Add(three, x) b = Clip(a, zero, six) c = Mul(b, x) y = Div(c, six)", ["HardSwish"]),
        ("a = Mul(fifth, x) b = Add(a, half) y = Clip(b, zero, one)", ["HardSigmoid"]),
        ("y = ReduceMean <keepdims = 1> (x, spatial)", ["GlobalAveragePool"]),
        ('y = Einsum <equation = "abcd,de->abce"> (x, matrix)', ["MatMul"]),
        ("t = Transpose <perm = [0, 2, 3, 1]> (x) r = Relu(t) y = Transpose <perm = [0, 3, 1, 2]> (r)", ["Relu"]),
        # What looks alike but is not stays:
        ("y = Max(x, one)", ["Max"]),
        ("a = Add(x, three) b = Clip(a, zero, six) c = Mul(a, b) y = Div(c, six)", ["Add", "Clip", "Mul", "Div"]),
        ("a = Add(x, three) b = Clip(a, one, six) c = Mul(x, b) y = Div(c, six)", ["Add", "Clip", "Mul", "Div"]),
        ("a = Mul(fifth, x) b = Add(a, half) y = Clip(b, half, one)", ["Mul", "Add", "Clip"]),
        ("y = ReduceMean <keepdims = 1> (x, rows)", ["ReduceMean"]),
        ('y = Einsum <equation = "abcd,ed->abce"> (x, matrix)', ["Einsum"]),
    ],
)
def test_patterns(body, expected):
    model = parse(body)
    constants = {"spatial": np.array([2, 3]), "rows": np.array([2])}
    constants["matrix"] = np.random.default_rng(0).normal(0, 1, (4, 4)).astype(np.float32)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(v, k) for k, v in constants.items() if k in body)
    x = np.random.default_rng(1).normal(0, 4, (2, 2, 3, 4)).astype(np.float32)
    before = run(model, x)
    tidied = tidy(model)
    assert Counter(node.op_type for node in tidied.graph.node) == Counter(expected)
    np.testing.assert_allclose(run(tidied, x), before, atol=2e-6)
    used = {value for node in tidied.graph.node for value in node.input}
    assert {tensor.name for tensor in tidied.graph.initializer} <= used


def test_a_value_used_twice_survives():
    """The clip inside the hard swish is an output of its own here."""
    model = parse("a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) d = Div(c, six) y = Sub(d, b)")
    x = np.random.default_rng(1).normal(0, 4, (1, 2, 3, 4)).astype(np.float32)
    before = run(model, x)
    tidied = tidy(model)
    assert Counter(node.op_type for node in tidied.graph.node) == Counter(["Add", "Clip", "HardSwish", "Sub"])
    np.testing.assert_allclose(run(tidied, x), before, atol=2e-6)
