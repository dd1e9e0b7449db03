"""Programs of Paddle 3. No package has a genuine one: genuine programs of Paddle 2 are written as Paddle 3 writes."""

from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.cli import main
from ppocr_jax.convert.paddle_inference import paddle_to_onnx
from ppocr_jax.convert.paddle_program import find_paddle_model, read_paddle_model
from ppocr_jax.models.io import WeightsError
from tests.convert.pir_files import Writer, parameters
from tests.convert.test_paddle_inference import model
from tests.models.test_ops import lstm_by_hand


def outputs(data: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def as_paddle_3(program: bytes, stored: bytes) -> bytes:
    """Write a program of Paddle 2 as Paddle 3 would."""
    operators, arrays = read_paddle_model(program, stored)
    shapes = {name: array.shape for name, array in arrays.items()}
    ranks = {op.inputs["X"][0]: op.attributes["rank"] for op in operators if op.inputs.get("X") and op.type != "concat"}
    ranks = {name: rank for name, rank in ranks.items() if rank is not None}
    writer = Writer(shapes, {**ranks, **{name: len(shape) for name, shape in shapes.items()}})
    for op in operators:
        roles = ("Out", "Output", "Y")
        results = [name for role in roles for name in op.outputs.get(role, [])]
        writer.operator(op.type, op.inputs, {k: v for k, v in op.attributes.items() if k != "op_callstack"}, *results)
    return writer.program()


@pytest.mark.parametrize(
    ("kind", "shape"), [("cls", (2, 3, 48, 192)), ("det", (1, 3, 96, 160)), ("rec", (2, 3, 48, 160))]
)
def test_it_computes_what_the_same_program_of_paddle_2_computes(kind, shape):
    program, stored = model(kind)
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    new = paddle_to_onnx(as_paddle_3(program, stored), stored)
    np.testing.assert_allclose(outputs(new, x), outputs(paddle_to_onnx(program, stored), x), atol=1e-6)


def test_the_command_takes_it(tmp_path, capsys):
    program, stored = model("cls")
    (tmp_path / "inference.json").write_bytes(as_paddle_3(program, stored))
    (tmp_path / "inference.pdiparams").write_bytes(stored)
    (tmp_path / "converted").mkdir()
    assert find_paddle_model(tmp_path) == (tmp_path / "inference.json", tmp_path / "inference.pdiparams")
    given = tmp_path / "inference.json"
    assert main(["convert", str(given), "--output", str(tmp_path / "converted" / "cls.safetensors")]) == 0
    assert "direction_mobilenet_v3 (scale 0.35)" in capsys.readouterr().out


def dense_layer() -> tuple[Writer, dict[str, np.ndarray]]:
    """Return what Paddle's guide shows of the format: data, matmul, add, relu, full, scale, fetch."""
    rng = np.random.default_rng(1)
    arrays = {"fc_0.w_0": rng.normal(size=(3, 5)), "fc_0.b_0": rng.normal(size=5)}
    writer = Writer({name: array.shape for name, array in arrays.items()}, {"x": 4, "product": 4})
    writer.operator("feed", {}, {}, "x")
    writer.operator("matmul_v2", {"X": ["x"], "Y": ["fc_0.w_0"]}, {"trans_x": False, "trans_y": False}, "product")
    writer.operator("elementwise_add", {"X": ["product"], "Y": ["fc_0.b_0"]}, {}, "sum")
    writer.operator("relu", {"X": ["sum"]}, {}, "active")
    writer.operator("scale", {"X": ["active"]}, {"scale": 2.0, "bias": 1.0, "bias_after_scale": True}, "scaled")
    writer.operator("fetch", {"X": ["scaled"]}, {"name": "fetch_name_0", "col": 0}, "fetched")
    return writer, arrays


def test_a_dense_layer():
    writer, arrays = dense_layer()
    x = np.random.default_rng(2).normal(size=(2, 3, 4, 3)).astype(np.float32)
    expected = 2 * np.maximum(x @ arrays["fc_0.w_0"] + arrays["fc_0.b_0"], 0) + 1
    np.testing.assert_allclose(outputs(paddle_to_onnx(writer.program(), parameters(arrays)), x), expected, atol=1e-5)


def test_a_bidirectional_lstm():
    """Of PP-OCRv2's recognizer; weights of both directions, then biases."""
    rng, hidden = np.random.default_rng(3), 4
    shapes = [(4 * hidden, 3), (4 * hidden, hidden)] * 2 + [(4 * hidden,)] * 4
    arrays = {f"lstm_0.w_{i}": rng.normal(size=shape) for i, shape in enumerate(shapes)}
    writer = Writer({name: array.shape for name, array in arrays.items()}, {"image": 4, "row": 3, "x": 3})
    writer.operator("feed", {}, {}, "image")
    writer.operator("squeeze2", {"X": ["image"]}, {"axes": [2]}, "row")
    writer.operator("transpose2", {"X": ["row"]}, {"axis": [2, 0, 1]}, "x")
    for state in ("h", "c"):
        writer.add("1.full_with_tensor", [], {"value": 0.0}, state)
    given = {"is_bidirec": True, "hidden_size": hidden, "input_size": 3, "num_layers": 1, "mode": "LSTM"}
    weights = {"Input": ["x"], "PreState": ["h", "c"], "WeightList": list(arrays)}
    writer.operator("rnn", weights, given, "states", "dropped", "last")
    writer.operator("fetch", {"X": ["states"]}, {"name": "out", "col": 0}, "fetched")
    x = rng.normal(size=(6, 2, 3)).astype(np.float32)
    image = np.ascontiguousarray(x.transpose(1, 2, 0)[:, :, None])  # (batch, channels, 1, frames)
    got = outputs(paddle_to_onnx(writer.program(), parameters(arrays)), image)
    w = list(arrays.values())
    sequence = x.swapaxes(0, 1)
    forward = lstm_by_hand(sequence, w[0].T, w[1].T, w[4] + w[5])
    backward = lstm_by_hand(sequence[:, ::-1], w[2].T, w[3].T, w[6] + w[7])[:, ::-1]
    np.testing.assert_allclose(got, np.concatenate([forward, backward], axis=-1).swapaxes(0, 1), atol=1e-5)


def test_unknown_operations_are_named():
    writer, arrays = dense_layer()
    writer.add("1.flash_attn", [1], {}, "mixed")
    with pytest.raises(WeightsError, match="an operation 'flash_attn', which is not supported"):
        paddle_to_onnx(writer.program(), parameters(arrays))


@settings(max_examples=150)
@given(st.data())
def test_damaged_programs_raise_nothing_else(data):
    """Any part of a program may be missing or be something else."""
    writer, arrays = dense_layer()
    program = json.loads(writer.program())
    at = program
    while True:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(list(keys)))
        deeper = isinstance(at[key], dict | list) and len(at[key])
        if not deeper or data.draw(st.booleans()):
            at[key] = data.draw(st.sampled_from([None, -7, 10**30, "?", [], {}, [[[]]], {"#": {}}]))
            break
        at = at[key]
    with suppress(WeightsError):  # no other error, and none where the part says nothing of the network
        paddle_to_onnx(json.dumps(program).encode(), parameters(arrays))


def test_other_json_and_deep_json_are_refused():
    for other in (b"{}", b'{"base_code": 3}', b'{"a":' * 100_000, json.dumps({"base_code": {"magic": "?"}}).encode()):
        with pytest.raises(WeightsError, match="not a Paddle inference model"):
            paddle_to_onnx(other, b"")
