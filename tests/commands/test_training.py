"""The training commands: what they ask for, and what they refuse before anything is compiled."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from ppocr_jax import cli
from ppocr_jax.commands import common
from ppocr_jax.config import ConfigError, LabelSource, RecConfig
from ppocr_jax.config_io import find_config, parse_command_line, presets

ROOT = Path(__file__).parents[2]
TASKS = ("det", "rec", "cls")


@pytest.mark.parametrize("task", TASKS)
def test_without_a_configuration_one_is_asked_for(task, capsys):
    assert cli.main([f"train-{task}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"ppocr-jax train-{task}: no configuration given: add --config")
    assert f"{task}/tiny" in error
    assert error.count("\n") == 1


def test_without_the_extra_one_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(common, "find_spec", lambda name: None if name == "orbax" else name)
    assert cli.main(["train-det", "--config", "det/tiny"]) == 1
    assert 'training needs orbax: pip install "ppocr-jax[train]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.name", "resnet"], "model.name: no network 'resnet'; choose from db_mobilenet_v3"),
        (["--train.key-metric", "acuracy"], "train.key_metric: no metric 'acuracy'; choose from accuracy"),
        (["--train.work-dir", "/proc/nowhere"], "train.work_dir: cannot write into /proc/nowhere"),
        (["--model.charset", "nowhere.txt"], "nowhere.txt"),
        (["--train.init", "nowhere"], "nowhere"),
        (["--data.val-labels", "nowhere.txt"], "nowhere.txt"),
        (["--data.train-labels", "latin.txt"], "0 of 2 lines used; 2 outside the charset"),
        (["--data.train-labels", "broken.txt"], "0 of 1 lines used; 1 whose image cannot be read"),
        (["--data.train-labels", "gone.txt"], "0 of 1 lines used; 1 whose image is missing (such as gone.png)"),
        (["--data.val-labels", "gone.txt"], "gone.txt: all 1 images are missing, such as gone.png"),
        (["--data.synthetic.corpus", "cp1252.txt"], "corpus file cp1252.txt:1: not UTF-8"),
        (["--data.synthetic.backgrounds", "gone.txt"], "background gone.txt: no images"),
        (["--data.widths", "65"], "data.widths must be multiples of 4 and at least half of data.height (32), not [65]"),
        (["--data.widths", "12", "64"], "not [12, 64]"),
        (["--data.height", "64"], "data.height: crnn_lcnet cannot read lines 64 pixels high"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_the_first_compile(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_text("a.png\tЖЖ\nb.png\tДД\n", encoding="utf-8")
    Path("broken.txt").write_text("broken.png\ttotal\n", encoding="utf-8")
    Path("broken.png").write_bytes(b"no image")
    Path("gone.txt").write_text("gone.png\ttotal\n", encoding="utf-8")
    Path("cp1252.txt").write_bytes("Größe\n".encode("cp1252"))
    monkeypatch.setattr("jax.stages.Lowered.compile", None)
    words = ["train-rec", "--config", "rec/tiny", "--train.work-dir", "run", "--train.steps", "1"]
    assert cli.main([*words, *flags]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_presets_have_names():
    assert {"det/en", "rec/en", "cls/en", "det/ppocr_v2_cml"} <= set(presets())
    assert find_config("det/en") == find_config("configs/det/en.toml").resolve() == ROOT / "configs/det/en.toml"
    with pytest.raises(ConfigError, match="no configuration file or preset det/enn; the presets are"):
        find_config("det/enn")


def test_label_files_are_flags():
    words = ["--config", "rec/en", "--data.train_labels", "a.txt", "b.txt", "--train.steps", "3"]
    config = parse_command_line(RecConfig, "", words)
    assert config.data.train_labels == (LabelSource("a.txt"), LabelSource("b.txt"))
    assert config.data.val_labels[0].path == "datasets/sroie/val/label.txt"
    assert config.train.steps == 3


@pytest.mark.slow
def test_a_wheel_holds_the_presets(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "configs").glob("*/*.toml"):
        name = f"ppocr_jax/configs/{path.parent.name}/{path.name}"
        assert name in names
        tomllib.loads(zipfile.ZipFile(wheel).read(name).decode())
