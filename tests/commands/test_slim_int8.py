"""`ppocr-jax slim int8`: its report and what it refuses."""

import json

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.cli import main
from ppocr_jax.commands import common, slim
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.slim import int8
from ppocr_jax.slim.int8 import Comparison

EN = load_model_folder("en")


def test_table_lines_up():
    row = Comparison("det", (2.0, 0.5), (60.0, 30.0), 0.00123, 0.5, 0.987, 7)
    header, line = slim.format_comparisons([row]).splitlines()
    assert len(header) == len(line)
    assert line.split() == ["det", "2.00", "0.50", "60.0", "30.0", "2.00x", "0.00123", "0.500", "98.7%", "7"]


def test_inputs_that_are_compared_were_not_calibrated_with():
    seen = [np.full(1, k) for k in range(10)]
    calibration_inputs, compared = slim._split(seen)
    assert [int(x[0]) for x in compared] == [3, 7]
    assert len(calibration_inputs) == 8
    few = slim._split(seen[:7])
    assert few == (seen[:7], seen[:7])


@pytest.fixture
def blank(tmp_path):
    path = tmp_path / "blank.png"
    Image.new("RGB", (64, 64), "white").save(path)
    return path


@pytest.fixture
def complaint(capsys):
    """Runs the command with wrong arguments; gives its one line on standard error."""

    def run(*arguments):
        assert main(["slim", "int8", *map(str, arguments)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    return run


def test_images_without_text(complaint, blank, tmp_path):
    message = complaint("en", "--images", blank, "--output", tmp_path / "new")
    assert "nothing to calibrate" in message
    assert "found no text in the images (1 given)" in message
    assert not (tmp_path / "new").exists()


def test_no_images(complaint, tmp_path):
    assert "no such file" in complaint("en", "--images", tmp_path / "none", "--output", tmp_path / "new")
    (tmp_path / "empty").mkdir()
    assert "contains no images" in complaint("en", "--images", tmp_path / "empty", "--output", tmp_path / "new")


def test_unknown_tasks_and_networks_that_are_not_there(complaint, blank, tmp_path):
    rest = ["--images", blank, "--output", tmp_path / "new", "--tasks"]
    assert "no task 'text'" in complaint("en", *rest, "text")
    (tmp_path / "cls").mkdir()
    (tmp_path / "cls" / "model.json").write_text(
        json.dumps({"schema": 1, "name": "none", "version": "1", "charset": [], "provenance": {}})
    )
    description = json.loads((EN.path / "model.json").read_text(encoding="utf-8"))
    description["det"].update(onnx=str(EN.path / "det.onnx"), safetensors=None)
    del description["cls"], description["rec"], description["language"]
    (tmp_path / "det").mkdir()
    (tmp_path / "det" / "model.json").write_text(json.dumps(description), encoding="utf-8")
    assert "no 'cls' network" in complaint(tmp_path / "det", *rest, "cls")
    assert "neither a detector nor" in complaint(tmp_path / "cls", *rest[:-1])


def test_folders_that_cannot_be_written(complaint, blank, tmp_path, monkeypatch):
    assert "it is a file" in complaint("en", "--images", blank, "--output", blank)
    assert "folder of the model itself" in complaint(EN.path, "--images", blank, "--output", EN.path)
    monkeypatch.setattr(int8, "record_inputs", lambda *args: {"det": [np.zeros((1, 32, 32, 3), np.float32)]})
    monkeypatch.setattr(int8, "quantize_network", lambda *args, **options: b"")
    assert "cannot write" in complaint("en", "--images", blank, "--output", blank / "new")


def test_a_missing_package_is_named(complaint, blank, tmp_path, monkeypatch):
    monkeypatch.setattr(common, "find_spec", lambda name: None)
    assert "needs onnx: pip install" in complaint("en", "--images", blank, "--output", tmp_path / "new")
