"""A checkpoint of PaddleOCR goes through the command line, and what comes out computes what PaddleOCR computes."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from ppocr_jax.charset import Charset
from ppocr_jax.cli import main
from ppocr_jax.commands import common, convert
from tests.convert.checkpoints import write_pdparams
from tests.helpers import golden_tensors
from tests.models.reference import GOLDEN, description
from tests.released import release_or_skip

CHARACTERS = [chr(code) for code in range(0x21, 0x21 + 95)]  # and a space and the blank: 97 classes


@cache
def tensors_of(name):
    return golden_tensors(description(name))


@cache
def golden(name):
    with np.load(GOLDEN / "nets.npz") as arrays:
        return {k.removeprefix(name + "."): arrays[k] for k in arrays.files if k.startswith(name + ".")}


def dictionary(folder, lines=CHARACTERS):
    path = folder / "dict.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def call(tmp_path):
    """`convert` of a network's golden tensors, to out.safetensors; gives the exit code."""

    def run(name, *arguments, prefix="", **layout):
        tensors = {prefix + key: array for key, array in tensors_of(name).items()}
        path = write_pdparams(tmp_path / "best_accuracy.pdparams", tensors, **layout)
        return main(["convert", str(path), "--output", str(tmp_path / "out.safetensors"), *map(str, arguments)])

    return run


def computed(path, name):
    """Output of a converted network for the golden input."""
    from ppocr_jax.training.trained import load_trained

    return load_trained(path).compiled()(golden(name)["x"].transpose(0, 2, 3, 1))


def test_detector(call, tmp_path, capsys):
    out = tmp_path / "new" / "folder" / "out.safetensors"
    assert call("det_student", "--output", out, protocol=2) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("db_mobilenet_v3 (scale 0.5, channels 96): ")
    assert line.endswith(f" tensors, 583,234 parameters -> {out}")
    probability = computed(out, "det_student")
    np.testing.assert_allclose(probability, golden("det_student")["eval_out"][:, 0], atol=1e-4)


def test_recognizer(call, tmp_path, capsys):
    """As a student of U-DML, whose tensors are tuples; the dictionary lacks the space, as PaddleOCR's do."""
    assert call("rec_v2_c97", "--charset", dictionary(tmp_path), prefix="Student.", layout="tuples") == 0
    assert "(num_classes 97, scale 0.5, hidden 64, learner Student of Student): " in capsys.readouterr().out
    from ppocr_jax.training.trained import load_trained

    network = load_trained(tmp_path / "out.safetensors", task="rec")
    assert network.charset == Charset((*CHARACTERS, " "))
    assert (network.spec.height, network.spec.min_width) == (32, 320)
    probabilities = computed(tmp_path / "out.safetensors", "rec_v2_c97")
    np.testing.assert_allclose(probabilities, golden("rec_v2_c97")["eval_out"], atol=1e-4)


def test_a_dictionary_that_has_the_space_already(call, tmp_path, capsys):
    """PaddleOCR's en_dict.txt ends with a space, and `use_space_char` adds another: class 95 is never trained."""
    assert call("rec_v2_c97", "--charset", dictionary(tmp_path, [*CHARACTERS[:94], " "])) == 0
    assert "without the unused classes 95)" in capsys.readouterr().out
    from ppocr_jax.training.trained import load_trained

    network = load_trained(tmp_path / "out.safetensors")
    assert network.charset == Charset((*CHARACTERS[:94], " "))
    head, theirs = network.variables["params"]["head"]["fc2"], tensors_of("rec_v2_c97")
    np.testing.assert_array_equal(head["kernel"], np.delete(theirs["head.fc2.weight"], 95, axis=1))
    np.testing.assert_array_equal(head["bias"], np.delete(theirs["head.fc2.bias"], 95))


@pytest.mark.slow
def test_classifier_exports_without_further_options(call, tmp_path, monkeypatch):
    pytest.importorskip("jax2onnx", reason="needs ppocr-jax[export]")
    from ppocr_jax.export import model_folder
    from ppocr_jax.export.parity import ParityRow
    from ppocr_jax.inference.backends import OnnxBackend

    # Compiling the network to compare with takes seconds; here the file is compared with PaddleOCR's output.
    monkeypatch.setattr(model_folder, "parity_report", lambda *_: [ParityRow((1, 48, 192, 3), 0.0)])
    assert call("cls") == 0
    assert main(["export", str(tmp_path / "out.safetensors"), "--output", str(tmp_path / "model")]) == 0
    probabilities = OnnxBackend(tmp_path / "model" / "cls.onnx", threads=1)(golden("cls")["x"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(probabilities, golden("cls")["eval_out"], atol=1e-4)
    described = json.loads((tmp_path / "model" / "model.json").read_text())["cls"]
    assert (described["normalization"]["channel_order"], described["options"]) == ("bgr", {"scale": 0.35})


def test_training_starts_from_it(call, tmp_path):
    """What `train.init` does: all arrays fit, and a recognizer's classes go by character."""
    import jax

    from ppocr_jax.inference.model_folder import RecognizerSpec
    from ppocr_jax.training.network import variable_shapes
    from ppocr_jax.training.trained import load_trained, transfer

    assert call("rec_v2_c97", "--charset", dictionary(tmp_path)) == 0
    source = load_trained(tmp_path / "out.safetensors", task="rec")
    charset = Charset((" ", "A", "€"))
    shapes = variable_shapes(RecognizerSpec(network="crnn_lcnet", options={"num_classes": 4}))
    random = jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan, leaf.dtype), shapes)
    start = transfer(source.variables, random, "out.safetensors", source.charset, charset)
    bias, theirs = start["params"]["head"]["fc2"].pop("bias"), tensors_of("rec_v2_c97")["head.fc2.bias"]
    np.testing.assert_array_equal(bias, [theirs[0], theirs[96], theirs[1 + CHARACTERS.index("A")], np.nan])
    assert np.isnan(start["params"]["head"]["fc2"].pop("kernel")[:, 3]).all()
    assert not any(np.isnan(array).any() for array in jax.tree.leaves(start))


def test_learner_and_network_reach_where_they_must(call, tmp_path, capsys):
    assert call("cls", "--learner", "Teacher", prefix="Student.") == 1
    assert "no learner 'Teacher': choose one of Student" in capsys.readouterr().err
    assert call("cls", "--network", "db_resnet18") == 1
    assert "not the tensors of db_resnet18" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("rec_v2_c97", [], "a recognizer with 97 classes: add --charset FILE"),
        ("rec_v2_c97", ["--charset", "en"], "en has 100 characters for 97 classes"),
        (
            "rec_v2_c97",
            ["--charset", "missing.txt"],
            "no charset 'missing.txt': neither a file nor",
        ),
        ("cls", ["--charset", "en"], "without characters (direction_mobilenet_v3): omit --charset"),
    ],
)
def test_characters_that_do_not_fit(call, tmp_path, capsys, name, arguments, message):
    path = dictionary(tmp_path)
    assert call(name, *[argument.format(dict=path) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def error_of(capsys, *arguments):
    assert main(["convert", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ppocr-jax convert: ")
    assert error.count("\n") == 1
    return error


def test_files_that_cannot_be_read_or_written(tmp_path, capsys, monkeypatch):
    out = tmp_path / "out.safetensors"
    assert "no weights file" in error_of(capsys, tmp_path / "missing", "--output", out)
    weights = write_pdparams(tmp_path / "cls.pdparams", tensors_of("cls"))
    assert "File exists" in error_of(capsys, weights, "--output", weights / "out.safetensors")
    assert "it is a folder" in error_of(capsys, weights, "--output", tmp_path)
    monkeypatch.setattr(convert, "_check_output", lambda path: None)  # as if the folder went away meanwhile
    assert "cannot write" in error_of(capsys, weights, "--output", tmp_path / "no" / "out.safetensors")


@pytest.mark.parametrize("name", ["model.json", "config.json"])
def test_not_beside_a_description_of_other_weights(tmp_path, capsys, name):
    """They would be described by that file from then on."""
    (tmp_path / name).write_text("{}")
    error = error_of(capsys, tmp_path / "any", "--output", tmp_path / "out.safetensors")
    assert f"contains {name}, which describes other weights: choose another folder" in error


def test_missing_packages_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(common, "find_spec", lambda name: None if name == "flax" else object())
    error = error_of(capsys, tmp_path / "any", "--output", tmp_path / "out.safetensors")
    assert 'needs flax: pip install "ppocr-jax[train]"' in error


def test_an_inference_file_says_what_became_of_it(tmp_path, capsys):
    """PaddleOCR's classifier as released, to training and to reading with JAX."""
    source = release_or_skip("ppocr-v2")["cls"]
    out = tmp_path / "cls.safetensors"
    assert main(["convert", str(source), "--output", str(out)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("direction_mobilenet_v3 (scale 0.35): ")
    assert second.startswith("all 213 tensors of the file are used; outputs differ by ")
    from ppocr_jax.inference.backends import OnnxBackend
    from ppocr_jax.inference.jax_backend import JaxBackend
    from ppocr_jax.training.trained import load_trained

    network = load_trained(out)
    images = golden("cls")["x"].transpose(0, 2, 3, 1)
    jax_backend = JaxBackend("cls", out, network=network.spec.network, options=network.spec.options)
    expected = OnnxBackend(source, threads=1)(images)
    np.testing.assert_allclose(jax_backend(images), expected, atol=1e-5)


def test_inference_files_that_cannot_be_converted(tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert "cannot read" in error_of(capsys, tmp_path / "missing.onnx", "--output", out)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07" + b"\xff" * 40)
    assert "broken.onnx cannot be converted: not an ONNX model" in error_of(
        capsys, tmp_path / "broken.onnx", "--output", out
    )
    assert "omit --learner" in error_of(capsys, tmp_path / "broken.onnx", "--output", out, "--learner", "Student")
    assert not out.exists()
