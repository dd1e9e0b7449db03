"""Configuration: what overrides what, and what a wrong file is told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from ppocr_jax.config import (
    ClsConfig,
    ConfigError,
    DetConfig,
    ImageConfig,
    LabelSource,
    OptimizerConfig,
    RecConfig,
    TrainConfig,
)
from ppocr_jax.config_io import from_dict, load_config, parse_command_line, save_config, to_dict

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = {"det": DetConfig, "rec": RecConfig, "cls": ClsConfig}

REC_TOML = """
name = "small"

[[data.train_labels]]
path = "a/label.txt"
case = "blind"
weight = 2

[[data.train_labels]]
path = "b/rec_label.txt"
format = "ppocr-rec"

[data]
widths = [64, 128]

[data.synthetic]
corpus = ["words.txt"]

[optimizer]
learning_rate = 1
clip_norm = 5.0

[train]
steps = 10
"""


def _toml(tmp_path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_overrides_the_tasks_defaults_key_by_key(tmp_path):
    config = load_config(RecConfig, _toml(tmp_path, REC_TOML))
    default = RecConfig()
    assert config.name == "small"
    assert config.data.train_labels == (
        LabelSource("a/label.txt", case="blind", weight=2.0),
        LabelSource("b/rec_label.txt", format="ppocr-rec"),
    )
    assert config.data.widths == (64, 128)
    assert config.data.synthetic.corpus == ("words.txt",)
    assert config.optimizer == dataclasses.replace(default.optimizer, learning_rate=1.0, clip_norm=5.0)
    assert config.optimizer.l2 == 2e-5
    assert config.train == dataclasses.replace(default.train, steps=10)
    assert config.model == default.model


def test_paths_are_those_of_the_working_folder_else_beside_the_file(tmp_path, monkeypatch):
    beside, work = tmp_path / "experiment", tmp_path / "work"
    for folder, names in ((beside, ("both.txt", "labels.txt", "words.txt", "en", "abc.txt")), (work, ("both.txt",))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("a\n")
    monkeypatch.chdir(work)
    labels = "train_labels = [{ path = 'both.txt' }, { path = 'labels.txt' }, { path = 'missing.txt' }]"
    text = f"[model]\ncharset = 'abc.txt'\n[data]\n{labels}\n[data.synthetic]\ncorpus = ['words.txt']\n"
    config = load_config(RecConfig, _toml(beside, text + "[train]\ninit = 'en'\n"))
    paths = [source.path for source in config.data.train_labels]
    assert paths == ["both.txt", str(beside / "labels.txt"), "missing.txt"]
    assert config.data.synthetic.corpus == (str(beside / "words.txt"),)
    assert (config.model.charset, config.train.init) == (str(beside / "abc.txt"), "en")


def test_a_flag_overrides_the_file_which_overrides_the_default(tmp_path):
    path = str(_toml(tmp_path, REC_TOML))
    flags = ["--train.steps", "7", "--config", path, "--optimizer.clip-norm", "None", "--data.train_labels.0.path", "c"]
    config = parse_command_line(RecConfig, "Train.", flags)
    assert config.train.steps == 7
    assert config.optimizer.clip_norm is None
    assert config.optimizer.learning_rate == 1.0
    assert config.data.train_labels[0] == LabelSource("c", case="blind", weight=2.0)
    assert config.train.batch_size == RecConfig().train.batch_size
    assert parse_command_line(RecConfig, "Train.", ["--config", path, "--data.train-labels"]).data.train_labels == ()
    assert parse_command_line(RecConfig, "Train.", ["--train.seed", "0"]) == RecConfig()
    assert parse_command_line(RecConfig, "Train.", []) is None


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_json_gives_back_the_same_configuration(tmp_path, schema):
    label = LabelSource("ä.txt", granularity="word")
    config = schema(data=dataclasses.replace(schema().data, val_labels=(label, label)))
    save_config(config, tmp_path / "config.json")
    assert load_config(schema, tmp_path / "config.json") == config
    assert from_dict(schema, to_dict(config)) == config
    assert from_dict(schema, {}) == schema()


def test_a_file_of_another_task_is_told_so():
    with pytest.raises(ConfigError, match=r'det/finetune\.toml is a configuration for the task "det", not "rec"'):
        load_config(SCHEMAS["rec"], ROOT / "configs" / "det" / "finetune.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[optimizer]\nlearning_rte = 1.0",
            r'unknown key "optimizer.learning_rte" in .*run.toml; did you mean "learning_rate"',
        ),
        ("trian = 1", r'unknown key "trian".*did you mean "train"'),
        ("[train]\nzzz = 1", r'unknown key "train.zzz".*the keys are steps, batch_size'),
        ("[[data.val_labels]]\nformat = 'lmdb'", r'"data.val_labels\[0\].path" is missing'),
        (
            "[[data.val_labels]]\npath = 'a'\npaht = 'a'",
            r'unknown key "data.val_labels\[0\].paht".*did you mean "path"',
        ),
        ("[train]\nsteps = 1.5", r'"train.steps" in .* must be a whole number, not 1.5'),
        ("[train]\nsteps = true", r'"train.steps" in .* must be a whole number, not True'),
        ("[train]\nresume = 1", r'"train.resume" in .* must be true or false, not 1'),
        ("[optimizer]\nl2 = 'big'", r"\"optimizer.l2\" in .* must be a number, not 'big'"),
        ("[optimizer]\nclip_norm = 'big'", r"\"optimizer.clip_norm\" in .* must be a number"),
        ("[optimizer]\nschedule = 'step'", r"must be one of 'cosine', 'piecewise', 'constant', not 'step'"),
        ("[data]\nwidths = 64", r'"data.widths" in .* must be a list of a whole number, not 64'),
        ("[data]\nwidths = ['a']", r'"data.widths\[0\]" in .* must be a whole number'),
        ("train = 3", r'"train" in .* must be a table, not 3'),
        ("[train", r"run.toml is not valid toml"),
    ],
)
def test_a_wrong_file_is_told_what_and_where(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_config(RecConfig, _toml(tmp_path, text))


def test_a_file_may_have_a_byte_order_mark_but_no_other_encoding(tmp_path):
    path = _toml(tmp_path, "\ufeffname = 'Größe'\r\n")
    assert load_config(RecConfig, path).name == "Größe"
    path.write_bytes("name = 'Größe'".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"run\.toml is not UTF-8: .*; save it as UTF-8"):
        load_config(RecConfig, path)


def test_a_pair_wants_two_numbers():
    assert from_dict(DetConfig, {"data": {"scale_range": [1, 2]}}).data.scale_range == (1.0, 2.0)
    with pytest.raises(ConfigError, match=r'"data.scale_range" in .* must be a list of 2'):
        from_dict(DetConfig, {"data": {"scale_range": [1, 2, 3]}})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"configuration file .*nowhere.toml not found"):
        load_config(RecConfig, tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: OptimizerConfig(schedule="piecewise", values=(1.0,), boundaries=(5,)), "1 values for 1 boundaries"),
        (lambda: OptimizerConfig(boundaries=(5, 3)), "must be in increasing order"),
        (lambda: TrainConfig(steps=0), "train.steps must be at least 1"),
        (lambda: from_dict(DetConfig, {"data": {"crop_size": 100}}), "multiple of 32, not 100"),
        (lambda: from_dict(RecConfig, {"data": {"widths": [96, 64]}}), "data.widths must be in increasing order"),
        (lambda: from_dict(ClsConfig, {"data": {"synthetic_share": 1.5}}), "between 0 and 1, not 1.5"),
        (lambda: from_dict(ClsConfig, {"data": {"val_synthetic": 0}}), "data.val_synthetic must be at least 1, not 0"),
        (lambda: from_dict(DetConfig, {"data": {"val_limit": 0}}), "data.val_limit must be at least 1, not 0"),
        (lambda: from_dict(DetConfig, {"data": {"scale_range": [2, 1]}}), r"above 0, not \[2.0, 1.0\]"),
        (lambda: from_dict(RecConfig, {"data": {"max_label_length": -1}}), "max_label_length must be at least 0"),
        (lambda: from_dict(RecConfig, {"data": {"augment_probability": 7}}), "must be between 0 and 1, not 7"),
        (lambda: LabelSource("a", weight=-1), "weight must be at least 0, not -1"),
        (lambda: TrainConfig(seed=-1), "train.seed must be at least 0, not -1"),
        (lambda: OptimizerConfig(learning_rate=-1e-3), "optimizer.learning_rate must be at least 0"),
    ],
)
def test_impossible_values_are_refused(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


def test_the_papers_learning_rates_are_the_defaults():
    det, rec = DetConfig().optimizer, RecConfig().optimizer
    assert (det.schedule, det.learning_rate, det.l2) == ("cosine", 1e-3, 0.0)
    assert (rec.schedule, rec.values, rec.l2) == ("piecewise", (1e-3, 1e-4), 2e-5)


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*/*.toml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid(path):
    config = load_config({**SCHEMAS, "image": ImageConfig}[path.parent.name], path)
    assert config.train.work_dir.startswith("runs/")


@pytest.mark.parametrize("script", ["train_det.py", "train_rec.py"])
def test_a_script_says_in_one_line_what_is_wrong(script):
    command = [sys.executable, script, "--config", "nowhere.toml"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.startswith(f"{script}: no configuration file or preset nowhere.toml; the presets are ")
    assert run.stderr.count("\n") == 1
