"""Every file in configs/: it can be read, its network can be built, and the tiny ones train."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppocr_jax.charset import load_charset
from ppocr_jax.config import DetConfig, RecConfig, common
from ppocr_jax.config_io import load_config
from ppocr_jax.data.augment_rec import RECIPES
from ppocr_jax.data.labels import FORMATS
from ppocr_jax.models import build_model
from ppocr_jax.training.tasks import TASKS
from ppocr_jax.training.trained import load_trained

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "configs").glob("*/*.toml"))
# Compiled in a hurry: two steps are run.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
COMMANDS = {"det": ["train_det.py"], "rec": ["train_rec.py"], "cls": ["-m", "ppocr_jax", "train-cls"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_config_describes_a_network_that_can_be_built(path):
    task = path.parent.name
    config = load_config(TASKS[task].config, path)
    charset = None if task == "det" else load_charset("en")
    model = build_model(config.model.name, **TASKS[task].model_options(config, charset))
    shape = {"det": (1, 64, 64, 3), "rec": (1, 32, 64, 3), "cls": (1, 48, 192, 3)}[task]
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(shape), train=False))
    assert sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) > 100_000


def test_the_papers_schedules_count_its_epochs():
    det = load_config(DetConfig, ROOT / "configs/det/ppocr_v2_cml_copy_paste.toml")
    epoch = 97_000 // det.train.batch_size + 1
    assert det.optimizer.warmup_steps == 2 * epoch
    assert det.train.steps == 700 * epoch
    rec = load_config(RecConfig, ROOT / "configs/rec/ppocr_v2_enhanced_ctc.toml")
    epoch = 17_900_000 // rec.train.batch_size  # incomplete batches are dropped
    assert rec.optimizer.warmup_steps == 5 * epoch
    assert rec.optimizer.boundaries == (700 * epoch,)
    assert rec.train.steps == 805 * epoch
    assert rec.optimizer.values == (1e-3, 1e-4)


@pytest.mark.slow
def test_the_tiny_configs_train_one_after_the_other(tmp_path):
    """As a user would run them: the detector first, because it teaches the two of tiny_cml."""
    for task, name in (("det", "tiny"), ("det", "tiny_cml"), ("rec", "tiny"), ("rec", "tiny_udml"), ("cls", "tiny")):
        _run(tmp_path, [*_command(task), "--config", str(ROOT / f"configs/{task}/{name}.toml")])
    for folder, task in (("tiny_det", "det"), ("tiny_det_cml", "det"), ("tiny_rec_udml", "rec"), ("tiny_cls", "cls")):
        run = tmp_path / "runs" / folder
        records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        train = [r for r in records if r["kind"] == "train"]
        assert [r["step"] for r in train] == [1, 2]
        assert all(np.isfinite(value) for r in train for name, value in r.items() if name != "kind")
        assert load_trained(run).task == task
    terms = json.loads((tmp_path / "runs/tiny_det_cml/log.jsonl").read_text().splitlines()[0])
    assert {"dml_0", "teacher_probability_1", "probability_0", "images_per_second"} <= terms.keys()
    evaluated = json.loads((tmp_path / "runs/tiny_rec_udml/log.jsonl").read_text().splitlines()[-1])
    assert {"accuracy", "accuracy_0", "accuracy_1", "best_student"} <= evaluated.keys()
    assert list((tmp_path / "runs/tiny_det/tensorboard").iterdir())


def _command(task: str) -> list[str]:
    return [str(ROOT / word) if word.endswith(".py") else word for word in COMMANDS[task]]


def _run(folder: Path, words: list[str]) -> None:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": XLA_FLAGS, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_config_knows_every_label_format_and_augmentation():
    assert set(get_args(common.LabelFormat)) == {"auto", *FORMATS}
    assert set(get_args(common.Recipe)) == set(RECIPES)
