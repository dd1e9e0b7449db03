"""Trains tiny mutual learners on several meshes in one process of eight simulated devices; prints results as JSON.

Run by test_mesh.py: the number of devices is fixed when JAX starts, so the tests' own process cannot have eight.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.config import (
    DetConfig,
    DetLossConfig,
    DetMutualConfig,
    MeshConfig,
    OptimizerConfig,
    RecConfig,
    RecLossConfig,
    RecMutualConfig,
)
from ppocr_jax.training import detection, recognition
from ppocr_jax.training.learners import stack
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.sharding import Placement, make_mesh
from ppocr_jax.training.step import create_state, make_train_step
from tests.training.tiny_networks import TinyDetector, TinyRecognizer

STEPS = 5
CHARSET = Charset(tuple("abcAB12"))
OPTIMIZER = OptimizerConfig(schedule="constant", learning_rate=1e-3, clip_norm=5.0, l2=1e-4)


compiled: list[str] = []
"""Names of what XLA compiled."""


def note_compiled(event: str, seconds: float, **about: str) -> None:
    if event.endswith("backend_compile_duration"):
        compiled.append(about["fun_name"])


def rec_batch(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    lengths = rng.integers(0, 6, 8).astype(np.int32)
    return {
        "images": rng.normal(size=(8, 8, 48, 3)).astype(np.float32),
        "labels": rng.integers(4, 8, (8, 5)).astype(np.int32) * (np.arange(5) < lengths[:, None]),
        "lengths": lengths,
        "frames": rng.integers(-1, 8, (8, 12)).astype(np.int32),
        "case_blind": rng.random(8) < 0.5,
    }


def det_batch(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    maps = {name: (rng.random((8, 16, 16)) < 0.4).astype(np.uint8) for name in ("shrink_map", "threshold_mask")}
    threshold = rng.uniform(0.3, 0.7, (8, 16, 16)).astype(np.float32)
    mask = (rng.random((8, 16, 16)) < 0.9).astype(np.uint8)
    images = rng.normal(size=(8, 16, 16, 3)).astype(np.float32)
    return {"images": images, "threshold_map": threshold, "shrink_mask": mask, **maps}


def udml(mesh, students: int):
    model = TinyRecognizer(CHARSET.num_classes)
    loss = RecLossConfig(center_weight=0.05, centers="given", align_steps=2, ctc_weight=0.3)
    centers = jnp.asarray(np.random.default_rng(5).normal(size=(CHARSET.num_classes, 4)), jnp.float32)
    objective = recognition.objective(
        model, RecConfig(loss=loss, mutual=RecMutualConfig(students=students)), CHARSET, mesh=mesh
    )
    return model, objective, rec_batch, {"centers": centers}


def cml(mesh, students: int):
    model, teacher = TinyDetector(), TinyDetector(width=6)
    frozen = {"teacher": teacher.init(jax.random.key(9), det_batch(0)["images"], train=False)}
    mutual = DetMutualConfig(students=students, teacher=("given",))
    config = DetConfig(loss=DetLossConfig(main="bce"), mutual=mutual)
    objective = detection.objective(model, config, teacher=teacher, mesh=mesh)
    return model, objective, det_batch, frozen


def train(build: Callable, mesh_shape: tuple[int, int] | None, students: int) -> dict:
    mesh = None if mesh_shape is None else make_mesh(MeshConfig(data=mesh_shape[0], student=mesh_shape[1]))
    model, objective, batches, frozen = build(mesh, students)
    init = [model.init(jax.random.key(i), batches(0)["images"], train=False) for i in range(students)]
    tx = make_optimizer(OPTIMIZER, STEPS, students=students)
    placement = Placement(mesh, students)
    state = placement.state(create_state(stack(init), tx))
    step = make_train_step(objective, tx, constrain=placement.constrain)
    frozen, losses = placement.everywhere(frozen), []
    compiled.clear()
    for i in range(STEPS):
        before = state
        state, terms = step(state, placement.batch(batches(i)), jax.random.key(0), frozen)
        losses.append(float(terms["loss"]))
        kept = [leaf for leaf in jax.tree.leaves(before) if leaf.ndim and not leaf.is_deleted()]
        assert not kept, "the step donates its state"
    assert compiled.count("jit(train_step)") == 1, "steps of one shape are compiled once"
    variables = placement.host(state.variables)
    leaves = {jax.tree_util.keystr(k): v.tolist() for k, v in jax.tree_util.tree_leaves_with_path(variables)}
    spread = {str(leaf.sharding.spec) for leaf in jax.tree.leaves(state.params)} if mesh is not None else set()
    return {"losses": losses, "variables": leaves, "terms": sorted(terms), "spread": sorted(spread)}


def name_of(objective: str, shape: tuple[int, int] | None) -> str:
    """Such as "udml/4x2": data x student; "udml/one" on a single device."""
    return f"{objective}/" + ("one" if shape is None else f"{shape[0]}x{shape[1]}")


def main() -> None:
    jax.monitoring.register_event_duration_secs_listener(note_compiled)
    results: dict[str, dict] = {}
    for shape in (None, (8, 1), (4, 2)):
        results[name_of("udml", shape)] = train(udml, shape, students=2)
    for shape in (None, (4, 2)):
        results[name_of("cml", shape)] = train(cml, shape, students=2)
    for shape in (None, (4, 2)):
        results[name_of("cml4", shape)] = train(cml, shape, students=4)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
