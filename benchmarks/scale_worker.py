"""Worker process of training_scale.py: one measurement of a training step or the input pipeline."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np


def configuration(job: dict[str, Any]) -> Any:
    """Return the configuration of a run on synthetic samples only."""
    from ppocr_jax.config import (
        DetConfig,
        DetDataConfig,
        DetMutualConfig,
        RecConfig,
        RecDataConfig,
        RecMutualConfig,
        TrainConfig,
    )

    train = TrainConfig(batch_size=job["batch"], workers=job.get("workers", 0), compute=job.get("compute", "float32"))
    students = 1 if job.get("objective", "plain") == "plain" else 2
    if job["task"] == "rec":
        data = RecDataConfig(synthetic_share=1.0, widths=(job["width"],))
        return RecConfig(data=data, mutual=RecMutualConfig(students=students), train=train)
    data = DetDataConfig(synthetic_share=1.0, crop="page", crop_size=job["width"])
    return DetConfig(data=data, mutual=DetMutualConfig(students=students), train=train)


def measure_step(job: dict[str, Any]) -> dict[str, float]:
    """Return the median seconds of a step with a batch that is already on the devices."""
    from ppocr_jax.training.platform import prepare_cpu

    prepare_cpu()
    import jax

    from ppocr_jax.training.optimizer import make_optimizer
    from ppocr_jax.training.run import prepare
    from ppocr_jax.training.step import create_state, make_train_step

    config = configuration(job)
    task = prepare(config)
    placement, frozen, objective = task.placement, task.frozen, task.objective
    if job["objective"] == "cml":
        objective, frozen = with_random_teacher(config, placement.mesh)
    tx = make_optimizer(config.optimizer, 100, students=placement.students)
    state = placement.state(create_state(task.variables, tx))
    step = make_train_step(objective, tx, constrain=placement.constrain)
    batch, frozen = jax.device_put(placement.batch(task.batches(0))), placement.everywhere(frozen)
    seconds = []
    for _ in range(job["steps"] + 1):  # the first one compiles
        start = time.perf_counter()
        state, terms = step(state, batch, jax.random.key(0), frozen)
        jax.block_until_ready((state, terms))
        seconds.append(time.perf_counter() - start)
    step_seconds = statistics.median(seconds[1:])
    return {"step_seconds": step_seconds, "images_per_second": job["batch"] / step_seconds, "compile": seconds[0]}


def with_random_teacher(config: Any, mesh: Any) -> tuple[Any, Any]:
    """Return the CML objective and its frozen variables, with an untrained teacher, which takes the same time."""
    import jax
    import jax.numpy as jnp

    from ppocr_jax.models import build_model
    from ppocr_jax.models.ops import training_ops
    from ppocr_jax.training import detection

    ops = training_ops(config.train.compute)
    student, teacher = build_model("db_mobilenet_v3", ops=ops), build_model("db_resnet18", ops=ops)
    variables = jax.jit(lambda key: teacher.init(key, jnp.zeros((1, 64, 64, 3)), train=False))(jax.random.key(1))
    return detection.objective(student, config, teacher=teacher, mesh=mesh), {detection.TEACHER: variables}


def measure_input(job: dict[str, Any], batches: int = 8) -> dict[str, float]:
    """Return the samples per second of the input pipeline, after its workers have started."""
    from ppocr_jax.charset import load_charset
    from ppocr_jax.training.prefetch import prefetched
    from ppocr_jax.training.tasks import kind_of

    config = configuration(job)
    make = kind_of(config).batches(config, load_charset("en"))
    warm = 2 * job["workers"] * 3  # batches that were prepared while the first one was awaited
    with prefetched(make, 0, warm + batches, workers=job["workers"]) as prepared:
        for _ in range(warm):
            next(prepared)
        start = time.perf_counter()
        sizes = [len(next(iter(next(prepared).values()))) for _ in range(batches)]
        seconds = time.perf_counter() - start
    return {"images_per_second": float(np.sum(sizes)) / seconds}


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    print(json.dumps(measure_step(given) if given["kind"] == "step" else measure_input(given)))
