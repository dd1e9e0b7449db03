"""`ppocr-jax slim prune`."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from ppocr_jax.cli import main
from ppocr_jax.config import DetConfig
from ppocr_jax.config_io import load_config
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER
from ppocr_jax.training.detection import network_spec
from ppocr_jax.training.network import variable_shapes
from ppocr_jax.training.run import sized_as_start
from ppocr_jax.training.trained import load_trained, transfer

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = BUILTIN_FOLDER / "en" / "det.safetensors"
DRAWN = ["--count", "3", "--seed", "5"]


def test_a_detector_pruned_by_a_share_is_where_training_starts(tmp_path, capsys):
    output = tmp_path / "new" / "pruned.safetensors"
    assert main(["slim", "prune", str(WEIGHTS), "--output", str(output), "--ratio", "0.5", "--neck", "48"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^last +480 -> 240$", printed, re.MULTILINE)
    before, after = (int(n.replace(",", "")) for n in re.search(r"parameters: ([\d,]+) -> ([\d,]+)", printed).groups())
    assert 0.2 * before < after < 0.4 * before
    assert f"--train.init {output}" in printed
    config = load_config(DetConfig, ROOT / "configs/det/tiny.toml")
    config = sized_as_start(replace(config, train=replace(config.train, init=str(output))))
    assert config.model.neck_channels == 48
    assert config.model.last == 240
    shapes = variable_shapes(network_spec(config))
    start = transfer(
        load_trained(output).variables, jax.tree.map(lambda like: np.zeros(like.shape), shapes), output, None, None
    )
    jax.tree.map(np.testing.assert_array_equal, start, dict(load_trained(output).variables))


def test_a_detector_pruned_by_its_losses(tmp_path, capsys):
    labels = tmp_path / "pages"
    assert main(["synth", "det", *DRAWN, "--output", str(labels)]) == 0
    arguments = ["slim", "prune", str(WEIGHTS), "--labels", str(labels / "label.txt"), "--limit", "2"]
    assert main([*arguments, "--max-loss", "0", "--multiple", "64", "--output", str(tmp_path / "p.safetensors")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Hmean [01]\.\d{4}", printed)
    assert re.search(r"^expansions/14 +prune \d+% \(loss at ", printed, re.MULTILINE)
    assert re.search(r"^expansions/0 +prune 0% \(too few channels to prune any\)$", printed, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([str(BUILTIN_FOLDER / "en" / "rec.safetensors")], "'rec' network, not 'det'"),
        (["nowhere"], "no training run or weights file nowhere"),
        ([str(WEIGHTS), "--labels", "nowhere.txt"], "nowhere.txt"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    assert main(["slim", "prune", *arguments, "--output", str(tmp_path / "p.safetensors")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize("output", ["file/p.safetensors", "folder", "/proc/p.safetensors"])
def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys, monkeypatch, output):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("ppocr_jax.training.trained.load_trained", None)  # not called
    assert main(["slim", "prune", str(WEIGHTS), "--output", str(tmp_path / output)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot write" in line


def test_an_existing_output_is_kept_if_the_network_cannot_be_read(tmp_path, capsys):
    output = tmp_path / "p.safetensors"
    output.write_bytes(b"old")
    assert main(["slim", "prune", "nowhere", "--output", str(output)]) == 1
    assert "no training run" in capsys.readouterr().err
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("p.safetensors", b"old")]


def test_all_of_a_layer_cannot_go(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["slim", "prune", str(WEIGHTS), "--ratio", "1", "--output", str(tmp_path / "p.safetensors")])
    assert stop.value.code == 2
    assert "nothing would be left" in capsys.readouterr().err
