"""Worker process of train_speed.py: build a training step, time it, and print one JSON line.

train_speed.py starts it with a job as JSON in its only argument, in the environment of ppocr_jax or in that of PyTorch.
Each framework is therefore imported on use.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CLASSES = 97
LABEL_LENGTH = 25
LEARNING_RATE = 1e-4


class Step(NamedTuple):
    """A training step: `run()` performs it and returns its loss; the other figures are None if unknown."""

    run: Callable[[], float]
    parameters: int
    compile_seconds: float | None = None
    forward_macs: int | None = None


def make_batch(job: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return random NHWC images with random labels, or with target maps in which a fifth of the area is text."""
    rng = np.random.default_rng(0)
    batch, height, width = job["batch"], job["height"], job["width"]
    images = rng.normal(size=(batch, height, width, 3)).astype(np.float32)
    if job["task"] == "rec":
        lengths = rng.integers(5, LABEL_LENGTH + 1, size=batch).astype(np.int32)
        labels = rng.integers(1, CLASSES, size=(batch, LABEL_LENGTH)).astype(np.int32)
        labels *= np.arange(LABEL_LENGTH) < lengths[:, None]
        return {"images": images, "labels": labels, "lengths": lengths}
    text = np.zeros((batch, height, width), np.float32)
    text[:, height // 4 : height // 2, width // 10 : -width // 10] = 1
    ones = np.ones_like(text)
    return {
        "images": images,
        "shrink_map": text,
        "shrink_mask": ones,
        "threshold_map": 0.3 + 0.4 * text,
        "threshold_mask": text,
    }


def jax_step(job: dict[str, Any]) -> Step:
    """Return the step of the training commands; the variant "native" uses XLA's own convolutions."""
    from ppocr_jax.training.platform import prepare_cpu

    user_flags = os.environ.get("XLA_FLAGS")
    prepare_cpu()
    if job["variant"] == "native":  # one device, JAX's default
        os.environ["XLA_FLAGS"] = user_flags or ""

    import jax

    from ppocr_jax.config import MeshConfig, OptimizerConfig
    from ppocr_jax.losses.ctc import ctc_loss
    from ppocr_jax.losses.db import db_loss
    from ppocr_jax.models import build_model
    from ppocr_jax.models.ops import cpu_ops, native_ops
    from ppocr_jax.training.optimizer import make_optimizer
    from ppocr_jax.training.sharding import Placement, make_mesh
    from ppocr_jax.training.step import create_state, make_train_step

    ops = native_ops if job["variant"] == "native" else cpu_ops
    options = {"num_classes": CLASSES} if job["task"] == "rec" else {}
    model = build_model("crnn_lcnet" if options else "db_mobilenet_v3", ops=ops, **options)
    batch = make_batch(job)

    def objective(params, frozen, batch_stats, batch, rng, step):
        variables = {"params": params, "batch_stats": batch_stats}
        outputs, changed = model.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        if job["task"] == "det":
            loss, _ = db_loss(outputs, batch)
        else:
            loss = ctc_loss(outputs["logits"], batch["labels"], batch["lengths"])
        return loss, (changed["batch_stats"], {})

    variables = jax.jit(lambda key: model.init(key, batch["images"][:1], train=False))(jax.random.key(0))
    tx = make_optimizer(OptimizerConfig(schedule="constant", learning_rate=LEARNING_RATE, l2=0.0), total_steps=1)
    placement = Placement(make_mesh(MeshConfig()))
    state = placement.state(create_state(variables, tx))
    batch, key = jax.device_put(placement.batch(batch)), jax.random.key(1)
    start = time.perf_counter()
    compiled = make_train_step(objective, tx, constrain=placement.constrain).lower(state, batch, key).compile()
    compile_seconds = time.perf_counter() - start

    def run() -> float:
        nonlocal state
        state, terms = compiled(state, batch, key)
        return float(terms["loss"])

    plain = build_model("crnn_lcnet" if options else "db_mobilenet_v3", ops=native_ops, **options)
    forward = jax.make_jaxpr(lambda v, x: plain.apply(v, x, train=True, mutable=["batch_stats"]))
    macs = count_macs(forward(variables, batch["images"]).jaxpr)
    return Step(run, sum(p.size for p in jax.tree.leaves(variables["params"])), compile_seconds, macs)


def count_macs(jaxpr: Any) -> int:
    """Return the multiply-accumulates of all convolutions and matrix products, including loops and nested functions."""
    total = 0
    for equation in jaxpr.eqns:
        name, out = equation.primitive.name, equation.outvars[0].aval
        if name == "conv_general_dilated":
            # HWIO kernel: each output element takes one MAC per kernel element of its output channel.
            total += out.size * equation.invars[1].aval.size // out.shape[-1]
        elif name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left = equation.invars[0].aval
            total += out.size * int(np.prod([left.shape[axis] for axis in contracted]))
        repeats = equation.params["length"] if name == "scan" else 1
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            total += repeats * count_macs(inner) if hasattr(inner, "eqns") else 0
    return total


def torch_step(job: dict[str, Any]) -> Step:
    """Return the same step in PyTorch, in eager mode and channels_last."""
    import torch
    import torch_nets

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    recognizing = job["task"] == "rec"
    model = torch_nets.Recognizer(CLASSES) if recognizing else torch_nets.Detector()
    model = model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    batch = {name: torch.from_numpy(value) for name, value in make_batch(job).items()}
    images = batch.pop("images").permute(0, 3, 1, 2)
    assert images.is_contiguous(memory_format=torch.channels_last)

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        outputs = model(images)
        if recognizing:
            loss = torch_nets.ctc_loss(outputs, batch["labels"].long(), batch["lengths"].long())
        else:
            loss = torch_nets.db_loss(outputs, batch)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Step(run, sum(p.numel() for p in model.parameters()))


def measure(step: Step, count: int) -> dict[str, Any]:
    """Run one step to warm up, then return the times of `count` steps."""
    losses, seconds = [step.run()], []
    start, cpu_start = time.perf_counter(), time.process_time()
    for _ in range(count):
        begin = time.perf_counter()
        losses.append(step.run())
        seconds.append(time.perf_counter() - begin)
    cpu_seconds = (time.process_time() - cpu_start) / count
    cpu_ratio = cpu_seconds * count / (time.perf_counter() - start)
    if not np.isfinite(losses).all():
        raise FloatingPointError(f"the loss went to {losses}")
    return {
        "seconds": seconds,
        "median": statistics.median(seconds),
        "cpu_seconds": cpu_seconds,
        "cpu_ratio": cpu_ratio,
        **{name: value for name, value in step._asdict().items() if name != "run"},
    }


def main() -> None:
    job = json.loads(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: job["threads"]])
    step = torch_step(job) if job["variant"].startswith("torch") else jax_step(job)
    print(json.dumps(measure(step, job["steps"])))


if __name__ == "__main__":
    main()
