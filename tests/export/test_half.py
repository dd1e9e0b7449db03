"""Weights in half precision: smaller files that compute what the float32 network computes."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from flax import traverse_util

from ppocr_jax.export.model_folder import _share_files
from ppocr_jax.export.onnx import store_half
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER, ModelError, load_model_folder, write_model_json
from ppocr_jax.models.io import load_safetensors, round_kernels, save_safetensors
from ppocr_jax.onnx_graph.graph import Graph

RNG = np.random.default_rng(5)


def float_bytes(model: bytes) -> int:
    return sum(t.dims and np.prod(t.dims) * 4 for t in onnx.load_from_string(model).graph.initializer)


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def folded(kernels, scales):
    """Convolutions with BatchNorm folded in: a 3x3, a depthwise and a 1x1 one, whose kernels are half precision."""
    nodes, constants, value = [], [], "x"
    for k, (kernel, scale) in enumerate(zip(kernels, scales, strict=True)):
        weights = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.transpose(2, 0, 1)[:, None]
        weights = (weights * scale[:, None, None, None]).astype(np.float32)
        constants.append(onnx.numpy_helper.from_array(weights, f"w{k}"))
        groups = len(weights) if kernel.ndim == 3 else 1
        attributes = {"kernel_shape": weights.shape[2:], "group": groups}
        nodes.append(onnx.helper.make_node("Conv", [value, f"w{k}"], [f"v{k}"], **attributes))
        value = f"v{k}"
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [info("x", 1, ["n", 3, "h", "w"])], [info(value, 1, ["n", "c", "a", "b"])], constants
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


def test_folded_kernels_are_half_precision_times_a_scale():
    shapes = [(3, 3, 3, 32), (5, 5, 32), (1, 1, 32, 64)]
    variables = round_kernels({"params": {f"c{k}": {"kernel": RNG.normal(0, 1, s)} for k, s in enumerate(shapes)}})
    kernels = [variables["params"][f"c{k}"]["kernel"].astype(np.float32) for k in range(3)]
    data = folded(kernels, [RNG.normal(0, 1, s[-1]) for s in shapes]).SerializeToString()
    graph = Graph(data)
    store_half(graph, variables)
    smaller = graph.to_bytes()
    onnx.checker.check_model(onnx.load_from_string(smaller), full_check=True)
    halves = [t for t in onnx.load_from_string(smaller).graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert {tuple(t.dims) for t in halves} == {(32, 3, 3, 3), (32, 1, 5, 5), (64, 32, 1, 1)}
    assert len(smaller) < 0.66 * len(data)  # small kernels: names and scales weigh
    x = RNG.normal(0, 1, (1, 3, 16, 20)).astype(np.float32)
    expected = run(data, x)
    np.testing.assert_allclose(run(smaller, x), expected, atol=2e-6 * np.abs(expected).max())
    # The toolkit sees float32 constants again, and writes them so.
    again = Graph(smaller)
    assert {node.op_type for node in again.nodes} == {"Conv"}
    np.testing.assert_allclose(run(again.to_bytes(), x), expected, atol=2e-6 * np.abs(expected).max())


def test_weights_that_would_lose_something_stay():
    kernel = RNG.normal(0, 1, (3, 3, 3, 32)).astype(np.float32)
    graph = Graph(folded([kernel], [np.ones(32)]).SerializeToString())
    store_half(graph, {"params": {"c": {"kernel": kernel}}})
    assert [node.op_type for node in graph.nodes] == ["Conv"]


def test_a_network_of_ours_shrinks_by_half_and_computes_the_same():
    """The Chinese recognizer, whose kernels had been rounded before it was stored."""
    data = (BUILTIN_FOLDER / "ch" / "rec.onnx").read_bytes()
    graph = Graph(data)
    store_half(graph, round_kernels(load_safetensors(BUILTIN_FOLDER / "ch" / "rec.safetensors")))
    smaller = graph.to_bytes()
    assert len(smaller) < 0.53 * float_bytes(Graph(data).to_bytes())
    x = RNG.normal(0, 1, (2, 3, 32, 160)).astype(np.float32)
    np.testing.assert_allclose(run(smaller, x), run(data, x), atol=5e-6)


def test_safetensors_hold_half_precision_where_nothing_is_lost(tmp_path):
    variables = {
        "params": {"a": {"kernel": RNG.normal(0, 1, (64, 64)), "bias": RNG.normal(0, 1, 64)}},
        "batch_stats": {"a": {"var": np.full(64, 1e5)}},
    }
    rounded = round_kernels(
        traverse_util.unflatten_dict(
            {k: v.astype(np.float32) for k, v in traverse_util.flatten_dict(variables).items()}
        )
    )
    save_safetensors(tmp_path / "half.safetensors", rounded)
    assert (tmp_path / "half.safetensors").stat().st_size < 64 * 64 * 2 + 1200
    read = traverse_util.flatten_dict(load_safetensors(tmp_path / "half.safetensors"))
    for path, array in traverse_util.flatten_dict(rounded).items():
        assert read[path].dtype == np.float32
        np.testing.assert_array_equal(read[path], array)


def test_a_network_that_a_neighbor_holds_is_referred_to(tmp_path):
    from dataclasses import replace
    from shutil import copytree

    copytree(BUILTIN_FOLDER / "en", tmp_path / "en")
    copytree(BUILTIN_FOLDER / "en", tmp_path / "other")
    (tmp_path / "other" / "rec.safetensors").write_bytes(b"another one")
    other = _share_files(load_model_folder(tmp_path / "other"), load_model_folder(tmp_path / "en"))
    write_model_json(replace(other, name="other"))
    read = load_model_folder(tmp_path / "other")
    assert (read.det.onnx, read.det.safetensors) == ("../en/det.onnx", "../en/det.safetensors")
    assert read.rec.onnx == "rec.onnx"
    assert not (tmp_path / "other" / "det.onnx").exists()
    assert read.file("det", "onnx").is_file()
    assert _share_files(read, load_model_folder(tmp_path / "en")).det == read.det  # once more: nothing is taken away
    own = load_model_folder(tmp_path / "en")
    assert _share_files(own, own) == own
    assert own.file("det", "onnx").is_file()
    (tmp_path / "en" / "det.onnx").unlink()
    with pytest.raises(ModelError, match="not in the folder"):
        load_model_folder(tmp_path / "other")
