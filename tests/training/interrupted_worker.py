"""Trains the toy task slowly enough to be killed at any moment; run by test_interruption.py with a work folder."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import jax.numpy as jnp

from ppocr_jax.config import OptimizerConfig, RecConfig, TrainConfig
from ppocr_jax.training.run import Task, fit
from tests.training import toy

STEPS = 400


def run(folder: str, pause: float) -> None:
    """Train to the end, waiting `pause` seconds before each batch."""

    def batches(step):
        time.sleep(pause)
        return toy.batches(step)

    options = {"steps": STEPS, "batch_size": toy.BATCH_SIZE, "log_every": 5, "eval_every": 50, "save_every": 5}
    train = TrainConfig(work_dir=folder, **options)
    config = RecConfig(optimizer=OptimizerConfig(learning_rate=0.02, warmup_steps=5), train=train)
    variables = {
        "params": {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}},
        "batch_stats": {"mean": jnp.zeros(3)},
    }
    fit(config, Task(variables, toy.objective, batches, toy.evaluate_variables))
    (Path(folder) / "finished").touch()


if __name__ == "__main__":
    run(sys.argv[1], float(sys.argv[2]))
