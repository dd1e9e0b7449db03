"""Every file in configs/: it trains, is stopped, goes on, is exported and read with."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import get_args

import cv2
import jax
import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.cli import main
from ppocr_jax.config import DetConfig, RecConfig, common
from ppocr_jax.config_io import load_config, parse_command_line
from ppocr_jax.data.augment_rec import RECIPES
from ppocr_jax.data.labels import FORMATS
from ppocr_jax.training.learners import stack
from ppocr_jax.training.network import variable_shapes
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.run import prepare
from ppocr_jax.training.step import create_state, make_train_step
from ppocr_jax.training.tasks import TASKS
from tests.training.experiments import (
    CONFIGS,
    config_path,
    log,
    provide,
    provide_networks,
    shorten,
    stopped_after_one_step,
    words,
)

EVERY = sorted((path.parent.name, path.stem) for path in CONFIGS.glob("*/*.toml"))
every_config = pytest.mark.parametrize(("task", "name"), EVERY, ids=["/".join(names) for names in EVERY])


# What an ordinary run has time for, besides the four of the two chains; of the others it traces the step.
QUICK = [("cls", "tiny"), ("det", "tiny"), ("image", "pp_lcnet"), ("rec", "tiny")]
OTHERS = [names for names in EVERY if names not in QUICK]


@pytest.mark.parametrize(("task", "name"), OTHERS, ids=["/".join(names) for names in OTHERS])
def test_the_step_fits_the_data(task, name, tmp_path, monkeypatch, synthetic):
    """All that the command builds, traced on a batch of synthetic data; compiling it is what takes long.

    With short backbones, which trace in two thirds of the time.
    """
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    provide(task, name, synthetic)
    provide_networks(task, name)
    config = parse_command_line(TASKS[task].config, "", words(task, name))
    monkeypatch.setattr("ppocr_jax.training.run.initial_variables", _only_shapes)
    learned = prepare(config)
    tx = make_optimizer(config.optimizer, config.train.steps, l2_exempt=learned.l2_exempt, is_head=learned.is_head)
    state = jax.eval_shape(lambda variables: create_state(variables, tx), learned.variables)
    batch = learned.batches(0)
    step = make_train_step(learned.objective, tx)
    after, terms = jax.eval_shape(step, state, batch, jax.random.key(0), learned.frozen)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert {"loss", "grad_norm"} < terms.keys()
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(state.params)) > 10_000


def _only_shapes(model, spec, config, *, students, charset):
    shapes = variable_shapes(spec)
    return shapes if students == 1 else jax.eval_shape(lambda tree: stack([tree] * students), shapes)


# Weights of whole networks, which some start from, do not fit short ones: those are run whole.
SHORT = [
    pytest.param(*names, id="/".join(names), marks=[] if names in QUICK else pytest.mark.slow)
    for names in EVERY
    if load_config(TASKS[names[0]].config, config_path(*names)).train.init is None
]


@pytest.mark.parametrize(("task", "name"), SHORT)
def test_a_config_trains_goes_on_is_exported_and_read_with(task, name, tmp_path, monkeypatch, synthetic):
    """With short backbones; test_golden differentiates whole ones."""
    shorten(monkeypatch)
    run_through(task, name, tmp_path, monkeypatch, synthetic)


@pytest.mark.slow
@every_config
def test_a_whole_config_trains_goes_on_is_exported_and_read_with(task, name, tmp_path, monkeypatch, synthetic):
    run_through(task, name, tmp_path, monkeypatch, synthetic)


def run_through(task, name, tmp_path, monkeypatch, synthetic):
    monkeypatch.chdir(tmp_path)
    provide(task, name, synthetic)
    provide_networks(task, name)
    command = [f"train-{task}", *words(task, name, "--train.steps", "2")]
    with stopped_after_one_step():
        assert main(command) == 128 + signal.SIGTERM
    assert main(command) == 0
    run = Path(load_config(TASKS[task].config, config_path(task, name)).train.work_dir)
    steps = [record["step"] for record in log(run) if record["kind"] == "train"]
    assert steps == [1, 2]
    assert all(np.isfinite(value) for record in log(run) for key, value in record.items() if key != "kind")
    if task == "image":  # no part of a model folder
        return
    assert main(["export", str(run), "--output", "model"]) == 0
    image = cv2.imread(str(next((synthetic / "rec").rglob("*.png"))))[..., ::-1]
    reader = OCR("model")
    results = {"det": reader.detect, "rec": lambda p: reader.recognize([p]), "cls": lambda p: reader.classify([p])}
    assert isinstance(results[task](image), list)


def test_a_run_goes_on_with_bytes_is_scored_exported_and_read_with(tmp_path, monkeypatch, synthetic):
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    provide("rec", "tiny", synthetic)
    command = ["train-rec", *words("rec", "tiny", "--train.steps", "1", "--train.eval-every", "1")]
    assert main([*command, "--train.work-dir", "plain"]) == 0
    bytes_alike = ["--slim.pact", "--train.init", "plain", "--train.frozen-statistics"]
    assert main([*command, *bytes_alike, "--train.work-dir", "bytes"]) == 0
    (scores,) = [record for record in log(Path("bytes")) if record["kind"] == "eval"]
    assert 0 <= scores["one_minus_ned"] <= 1
    assert main(["export", "bytes", "--output", "model"]) == 0
    image = cv2.imread(str(next((synthetic / "rec").rglob("*.png"))))[..., ::-1]
    assert len(OCR("model").recognize([image])) == 1


def test_the_papers_schedules_count_its_epochs():
    det = load_config(DetConfig, config_path("det", "ppocr_v2_cml_copy_paste"))
    epoch = 97_000 // det.train.batch_size + 1
    assert det.optimizer.warmup_steps == 2 * epoch
    assert det.train.steps == 700 * epoch
    rec = load_config(RecConfig, config_path("rec", "ppocr_v2_enhanced_ctc"))
    epoch = 17_900_000 // rec.train.batch_size  # incomplete batches are dropped
    assert rec.optimizer.warmup_steps == 5 * epoch
    assert rec.optimizer.boundaries == (700 * epoch,)
    assert rec.train.steps == 805 * epoch
    assert rec.optimizer.values == (1e-3, 1e-4)


def test_the_config_knows_every_label_format_and_augmentation():
    assert set(get_args(common.LabelFormat)) == {"auto", *FORMATS}
    assert set(get_args(common.Recipe)) == set(RECIPES)
