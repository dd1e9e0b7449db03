"""One of two processes that train together; run by test_processes.py. Prints losses and parameters as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jax
import numpy as np

from ppocr_jax.config import MeshConfig
from ppocr_jax.training.checkpoint import Checkpointer
from ppocr_jax.training.learners import stack
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.sharding import Placement, connect, make_mesh, process_share
from ppocr_jax.training.step import create_state, make_train_step
from tests.training.mesh_worker import OPTIMIZER, STEPS, udml


def train(mesh_config: MeshConfig, folder: str | None) -> dict:
    """Each process brings its rows of every batch."""
    mesh = make_mesh(mesh_config)
    model, objective, batches, frozen = udml(mesh, 2)
    init = [model.init(jax.random.key(i), batches(0)["images"], train=False) for i in range(2)]
    tx = make_optimizer(OPTIMIZER, STEPS, students=2)
    placement = Placement(mesh, 2)
    state = placement.state(create_state(stack(init), tx))
    step = make_train_step(objective, tx, constrain=placement.constrain)
    frozen, losses = placement.everywhere(frozen), []
    for i in range(STEPS):
        own = process_share(mesh).rows(8)
        rows = {name: values[own.start : own.stop] for name, values in batches(i).items()}
        state, terms = step(state, placement.batch(rows), jax.random.key(0), frozen)
        losses.append(float(terms["loss"]))
    variables = placement.host(state.variables)
    if folder is not None:
        with Checkpointer(Path(folder), key_metric="accuracy", config={"mutual": {"students": 2}}) as checkpointer:
            checkpointer.save(state, {"accuracy": 1.0})
            checkpointer.wait()
            restored = checkpointer.restore_latest(state)
        same = jax.tree.map(np.array_equal, placement.host(restored), placement.host(state))
        assert all(jax.tree.leaves(same)), "the checkpoint is not what was saved"
    return {"losses": losses, "variables": [leaf.tolist() for leaf in jax.tree.leaves(variables)]}


if __name__ == "__main__":
    port, process, student, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    config = MeshConfig(student=student, coordinator=f"127.0.0.1:{port}", processes=2, process=process)
    connect(config)
    json.dump(train(config, folder), sys.stdout)
