"""Inference files of others become networks of ours: told by layers, complete, and computing the same."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.convert.inference_file import convert_inference_file, parity
from ppocr_jax.convert.paddle import variables_from_paddle
from ppocr_jax.errors import UserError
from ppocr_jax.export.parity import ParityError
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER
from ppocr_jax.models.io import WeightsError
from ppocr_jax.onnx_graph.messages import OnnxFileError
from tests.helpers import golden_tensors
from tests.models.reference import NETWORKS, description, model_and_shapes
from tests.released import release_or_skip

onnx = pytest.importorskip("onnx", reason="needs ppocr-jax[export]")
TRAINING_PART = "threshold"


def inference_file(tensors) -> bytes:
    """A file with the layers of a checkpoint, in PaddleOCR's order of creation; it cannot be run."""
    nodes, constants, left = [], [], dict(tensors)

    def constant(*arrays):
        names = [f"w{len(constants) + k}" for k in range(len(arrays))]
        constants.extend(onnx.numpy_helper.from_array(a, n) for a, n in zip(arrays, names, strict=True))
        return names

    def add(op_type, *inputs, **attributes):
        before = nodes[-1].output[0] if nodes else "x"
        nodes.append(onnx.helper.make_node(op_type, [before, *inputs], [f"v{len(nodes)}"], **attributes))

    for name in tensors:
        if name not in left or name.startswith("head.thresh"):
            continue
        array, stem = left.pop(name), name.rpartition(".")[0]
        if name.endswith("weight_ih_l0") or name.endswith("weight_ih_l1"):
            parts = [left.pop(name.replace("weight_ih", kind)) for kind in ("weight_hh", "bias_ih", "bias_hh")]
            back = [left.pop(f"{name.replace('weight_ih', kind)}_reverse") for kind in ("weight_ih", "weight_hh")]
            back += [left.pop(f"{name.replace('weight_ih', kind)}_reverse") for kind in ("bias_ih", "bias_hh")]
            both = [np.stack([gates(f), gates(b)]) for f, b in zip((array, *parts), back, strict=True)]
            lstm = (*both[:2], np.concatenate(both[2:], axis=1))
            add("LSTM", *constant(*lstm), direction="bidirectional", hidden_size=parts[0].shape[1])
        elif f"{stem}._mean" in left:
            others = [left.pop(f"{stem}.{part}") for part in ("bias", "_mean", "_variance")]
            add("BatchNormalization", *constant(array, *others))
        else:
            op_type = (
                "MatMul" if array.ndim == 2 else "ConvTranspose" if re.search(r"binarize\.conv[23]", name) else "Conv"
            )
            add(op_type, *constant(array))
            bias = left.pop(f"{stem}.bias", None)
            if bias is not None:
                add("Add", *constant(bias if array.ndim == 2 else bias[None, :, None, None]))
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [value("x", 1, None)], [value(nodes[-1].output[0], 1, None)], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)]).SerializeToString()


def gates(array):
    """Paddle's order of the gates (input, forget, cell, output) -> ONNX's."""
    i, f, c, o = np.split(array, 4)
    return np.concatenate([i, o, f, c])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_papers_networks_finds_its_place(name):
    """Against the names of a checkpoint, which an inference file has lost."""
    tensors = {k: v for k, v in golden_tensors(description(name)).items() if ".cell_" not in k}
    converted = convert_inference_file(inference_file(tensors))
    assert converted.spec.network == NETWORKS[name][0]
    expected = flat(variables_from_paddle(tensors, model_and_shapes(name)[1]))
    got = flat(converted.variables)
    assert got.keys() == expected.keys()
    for path, array in expected.items():
        if TRAINING_PART not in path:
            np.testing.assert_array_equal(got[path], array, err_msg="/".join(path))
    assert bool(converted.initialized) == name.startswith("det")


def flat(variables):
    return traverse_util.flatten_dict(variables)


def test_folded_batch_norm_becomes_one_that_changes_nothing():
    data = (BUILTIN_FOLDER / "en" / "rec.onnx").read_bytes()
    converted = convert_inference_file(data)
    assert converted.spec.network == "crnn_lcnet"
    means = [array for path, array in flat(converted.variables["batch_stats"]).items() if path[-1] == "mean"]
    assert not any(array.any() for array in means)
    assert parity(data, converted) < 1e-5
    wrong = flat(converted.variables)
    wrong["params", "head", "fc2", "bias"] = wrong["params", "head", "fc2", "bias"] + np.linspace(0, 1, 101)
    with pytest.raises(ParityError, match=r"as crnn_lcnet it differs by .* nothing was written"):
        parity(data, converted._replace(variables=traverse_util.unflatten_dict(wrong)))


@cache
def detector_layers():
    return {k: v for k, v in golden_tensors(description("det_student")).items() if ".cell_" not in k}


def test_what_is_too_many_or_too_few_is_named():
    tensors = detector_layers()
    fewer = {k: v for k, v in tensors.items() if not k.startswith("neck.p3")}
    with pytest.raises(WeightsError, match=r"nearest is db_mobilenet_v3: 1 of its layers are missing"):
        convert_inference_file(inference_file(fewer))
    more = {**tensors, "neck.p6_conv.weight": np.zeros((24, 96, 3, 3), np.float32)}
    with pytest.raises(WeightsError, match=r"1 layers have no place, such as 'w\d+' \(24, 96, 3, 3\)"):
        convert_inference_file(inference_file(more))
    with pytest.raises(WeightsError, match="no network 'svtr'"):
        convert_inference_file(inference_file(tensors), "svtr")


@pytest.mark.parametrize("part", [0, 1, 7, 400, 100_000])
def test_truncated_files_are_refused_in_one_line(part):
    data = inference_file(detector_layers())[:part]
    with pytest.raises((OnnxFileError, WeightsError)) as caught:
        convert_inference_file(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("release", "kind", "network"),
    [
        ("ppocr-v2", "det", "db_mobilenet_v3"),
        ("ppocr-v2", "rec", "crnn_lcnet"),
        ("ppocr-v3", "det", "db_rse_fpn"),
        ("ppocr-v3-en", "rec", "svtr_lcnet"),
    ],
)
def test_genuine_files_compute_the_same(release, kind, network):
    """As released; the classifier's file goes through the command line in tests/commands."""
    data = release_or_skip(release)[kind].read_bytes()
    converted = convert_inference_file(data)
    assert converted.spec.network == network
    assert parity(data, converted) < 5e-5


def test_networks_that_are_not_here_are_told():
    data = release_or_skip("ppocr-v4")["rec"].read_bytes()
    with pytest.raises(UserError, match=r"its \d+ layers match no network of ppocr_jax"):
        convert_inference_file(data)
