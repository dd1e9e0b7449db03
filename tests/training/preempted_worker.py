"""One of two processes that train the toy task together; run by test_preemption.py with port, number and folder."""

from __future__ import annotations

import sys
import time

import jax.numpy as jnp

from ppocr_jax.config import MeshConfig, OptimizerConfig, RecConfig, TrainConfig
from ppocr_jax.training.loop import Interrupted
from ppocr_jax.training.run import Task, fit
from ppocr_jax.training.sharding import Placement, connect, make_mesh, process_share
from tests.training import toy

STEPS = 200


def train(folder: str, mesh_config: MeshConfig, pause: float) -> None:
    """Train to the end, or until told to stop; each process brings its rows of every batch."""
    mesh = make_mesh(mesh_config)

    def batches(step):
        time.sleep(pause)
        own = process_share(mesh).rows(toy.BATCH_SIZE)
        return {name: values[own.start : own.stop] for name, values in toy.batches(step).items()}

    options = {"steps": STEPS, "batch_size": toy.BATCH_SIZE, "log_every": 5, "eval_every": 50, "save_every": 10}
    config = RecConfig(
        optimizer=OptimizerConfig(learning_rate=0.02, warmup_steps=5),
        train=TrainConfig(work_dir=folder, mesh=mesh_config, **options),
    )
    variables = {
        "params": {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}},
        "batch_stats": {"mean": jnp.zeros(3)},
    }
    fit(config, Task(variables, toy.objective, batches, toy.evaluate_variables, placement=Placement(mesh)))


if __name__ == "__main__":
    port, process, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    mesh_config = MeshConfig(data=2, coordinator=f"127.0.0.1:{port}", processes=2, process=process)
    connect(mesh_config)
    try:
        train(folder, mesh_config, 0.02)
    except Interrupted as interrupt:
        print(f"stopped at {interrupt.step}", flush=True)
        sys.exit(interrupt.exit_code)
