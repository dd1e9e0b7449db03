"""Every file in configs/: it trains, is stopped, goes on, is exported and read with."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.cli import main
from ppocr_jax.config import DetConfig, RecConfig, common
from ppocr_jax.config_io import load_config
from ppocr_jax.data.augment_rec import RECIPES
from ppocr_jax.data.labels import FORMATS
from ppocr_jax.export import model_folder
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


# Those that an ordinary run has time for; the others are run with -m slow.
QUICK = ("cls/tiny", "det/tiny", "det/tiny_cml", "image/pp_lcnet", "rec/tiny", "rec/tiny_udml")
SHORT = [
    pytest.param(*names, id="/".join(names), marks=[] if "/".join(names) in QUICK else pytest.mark.slow)
    for names in EVERY
]


@pytest.mark.parametrize(("task", "name"), SHORT)
def test_a_config_trains_goes_on_is_exported_and_read_with(task, name, tmp_path, monkeypatch, drawn):
    """With short backbones; test_golden differentiates whole ones."""
    shorten(monkeypatch)
    # Each shape is compiled anew; what a file computes at all of them is compared in tests/export.
    shapes = model_folder.parity_shapes
    monkeypatch.setattr(model_folder, "parity_shapes", lambda spec: shapes(spec)[:1])
    run_through(task, name, tmp_path, monkeypatch, drawn)


@pytest.mark.slow
@every_config
def test_a_whole_config_trains_goes_on_is_exported_and_read_with(task, name, tmp_path, monkeypatch, drawn):
    run_through(task, name, tmp_path, monkeypatch, drawn)


def run_through(task, name, tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    provide(task, name, drawn)
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
    picture = cv2.imread(str(next((drawn / "rec").rglob("*.png"))))[..., ::-1]
    reader = OCR("model")
    results = {"det": reader.detect, "rec": lambda p: reader.recognize([p]), "cls": lambda p: reader.classify([p])}
    assert isinstance(results[task](picture), list)


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
