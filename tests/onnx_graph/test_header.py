"""What an ONNX file says of its network, against the onnx package and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.model_folder import BUILTIN_FOLDER
from ppocr_jax.onnx_graph.messages import OnnxFileError, Value, read_header, take_weights

onnx = pytest.importorskip("onnx", reason="needs ppocr-jax[export]")
FILES = sorted(BUILTIN_FOLDER.glob("en/*.onnx"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_headers_say_what_onnx_runtime_says(path: Path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    header = read_header(path)
    assert header.inputs == tuple(Value(i.name, tuple(i.shape)) for i in session.get_inputs())
    assert header.outputs == tuple(Value(o.name, tuple(o.shape)) for o in session.get_outputs())
    assert header.metadata == session.get_modelmeta().custom_metadata_map


def test_weights_listed_as_inputs_are_none_and_open_sizes_have_no_number(tmp_path):
    weights = onnx.numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
    values = [
        onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [-1, "n", 3]),
        onnx.helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, [2, 3]),
    ]
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", values, [output], [weights])), tmp_path / "m")
    header = read_header(tmp_path / "m")
    assert header.inputs == (Value("x", (None, "n", 3)),)
    assert header.outputs == (Value("y", None),)


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"\x3a\xff\x7f", b"hello"])
def test_what_is_no_model_is_named(tmp_path, data):
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(OnnxFileError, match=r"cannot load .*m\.onnx"):
        read_header(tmp_path / "m.onnx")
    with pytest.raises(OnnxFileError, match="No such file"):
        read_header(tmp_path / "none.onnx")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_weights_are_taken_out_in_the_order_of_the_file(path: Path):
    data = path.read_bytes()
    skeleton, weights = take_weights(data)
    tensors = [t for t in onnx.load(path).graph.initializer if len(t.raw_data) >= 1024]
    assert [bytes(w) for w in weights] == [t.raw_data for t in tensors]
    assert len(skeleton) + sum(map(len, weights)) < 1.01 * len(data)
    left = onnx.load_from_string(skeleton)
    assert [t.name for t in left.graph.initializer] == [t.name for t in onnx.load(path).graph.initializer]
    assert left.graph.node == onnx.load(path).graph.node


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes):
    try:
        skeleton, weights = take_weights(data)
    except (ValueError, IndexError):
        return
    assert (skeleton, weights) == (data, [])  # nothing that short holds large weights
