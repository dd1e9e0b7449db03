"""The loop: resuming bit for bit, stopping on bad numbers and on SIGTERM, keeping the newest and the best."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig, TrainConfig
from ppocr_jax.training.checkpoint import Checkpointer
from ppocr_jax.training.loggers import JsonLines, Loggers
from ppocr_jax.training.loop import SAMPLE_STEP, Interrupted, NonFiniteError, train
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.step import TrainState, make_train_step
from tests.training import toy

CONFIG = TrainConfig(steps=6, batch_size=toy.BATCH_SIZE, log_every=2, eval_every=0, save_every=3)


def _optimizer() -> optax.GradientTransformation:
    return make_optimizer(OptimizerConfig(learning_rate=0.1, warmup_steps=2, l2=1e-3), CONFIG.steps)


def _run(folder: Path, config: TrainConfig = CONFIG, **changes) -> TrainState:
    tx = changes.pop("tx", None) or _optimizer()
    objective = changes.pop("objective", toy.objective)
    options = {"batches": toy.batches, "evaluate": toy.evaluate, **changes}
    state = toy.initial_state(tx)
    folder.mkdir(exist_ok=True)
    with (
        Checkpointer(folder / "checkpoints", key_metric=config.key_metric) as checkpointer,
        Loggers([JsonLines(folder / "log.jsonl")]) as loggers,
    ):
        state = checkpointer.restore_latest(state) or state
        return train(
            state=state,
            train_step=make_train_step(objective, tx),
            config=config,
            checkpointer=checkpointer,
            loggers=loggers,
            **options,
        )


def _assert_same(a: TrainState, b: TrainState) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _records(folder: Path, kind: str) -> list[dict]:
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == kind]


def test_a_resumed_run_is_bitwise_the_uninterrupted_one(tmp_path):
    whole = _run(tmp_path / "whole")
    half = _run(tmp_path / "halves", dataclasses.replace(CONFIG, steps=3))
    assert int(half.step) == 3
    resumed = _run(tmp_path / "halves")
    assert int(resumed.step) == 6
    _assert_same(whole, resumed)
    assert float(np.abs(whole.params["dense"]["kernel"]).sum()) > 0


def test_a_worker_process_gives_the_same_run(tmp_path):
    _assert_same(_run(tmp_path / "thread"), _run(tmp_path / "worker", dataclasses.replace(CONFIG, workers=1)))


def batches_of_process(step):
    return {**toy.batches(step), "process": np.full(toy.BATCH_SIZE, os.getpid())}


@pytest.mark.parametrize("workers", [0, 1])
def test_images_show_one_batch_that_a_worker_made(tmp_path, workers):
    shown = []

    def images(state, batch):
        shown.append((int(state.step), batch))
        return {}

    config = dataclasses.replace(CONFIG, eval_every=3, workers=workers)
    _assert_same(_run(tmp_path, config, batches=batches_of_process, images=images), _run(tmp_path / "without"))
    assert [step for step, _ in shown] == [3, 6]
    for _, batch in shown:
        np.testing.assert_array_equal(batch["x"], toy.batches(SAMPLE_STEP)["x"][:4])
        assert (batch["process"] == os.getpid()).all() == (workers == 0)


def test_it_learns_and_logs_every_interval(tmp_path):
    config = dataclasses.replace(CONFIG, steps=200, log_every=50, save_every=1000, eval_every=100)
    state = _run(tmp_path, config, tx=make_optimizer(OptimizerConfig(learning_rate=0.1), 200))
    assert toy.evaluate(state)["accuracy"] > -0.3
    trained = _records(tmp_path, "train")
    assert [record["step"] for record in trained] == [50, 100, 150, 200]
    assert trained[-1]["loss"] < 0.1 * trained[0]["loss"]
    assert {"loss", "grad_norm", "learning_rate", "squared_error", "images_per_second"} <= trained[0].keys()
    assert [record["step"] for record in _records(tmp_path, "eval")] == [100, 200]


def test_a_finished_run_does_nothing_more(tmp_path):
    _assert_same(_run(tmp_path), _run(tmp_path))
    assert len(_records(tmp_path, "eval")) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_term_stops_the_run_and_is_named(tmp_path, bad):
    def batches(step):
        batch = toy.batches(step)
        return {**batch, "y": np.full_like(batch["y"], bad)} if step == 4 else batch

    with pytest.raises(NonFiniteError, match=r"step 5: .*squared_error = (nan|inf)"):
        _run(tmp_path, batches=batches)
    with Checkpointer(tmp_path / "checkpoints", key_metric="accuracy") as checkpointer:
        assert checkpointer.latest_step == 3


def test_a_signal_does_not_wait_for_a_step_that_compiles(tmp_path):
    compiled = threading.Event()

    def batches(step):
        return {**toy.batches(step), "images": np.zeros((toy.BATCH_SIZE, 1 if step < 4 else 2))}

    def objective(params, frozen, batch_stats, batch, rng, step):
        if batch["images"].shape[1] == 2:  # traced, as the first part of compiling
            os.kill(os.getpid(), signal.SIGTERM)
            compiled.wait(60)
        return toy.objective(params, frozen, batch_stats, batch, rng, step)

    with pytest.raises(Interrupted) as stopped:
        _run(tmp_path, dataclasses.replace(CONFIG, save_every=1000), batches=batches, objective=objective)
    assert not compiled.is_set()
    compiled.set()
    assert (stopped.value.exit_code, stopped.value.step, stopped.value.compiling) == (143, 4, True)
    undisturbed = _run(tmp_path / "other", dataclasses.replace(CONFIG, steps=4))
    with Checkpointer(tmp_path / "checkpoints", key_metric="accuracy") as checkpointer:
        _assert_same(checkpointer.restore_latest(toy.initial_state(_optimizer())), undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("hangup")
def test_a_signal_saves_the_step_under_way_and_returns(tmp_path, caplog, number):
    def batches(step):
        if step == 4:
            os.kill(os.getpid(), number)
        return toy.batches(step)

    config = dataclasses.replace(CONFIG, steps=1000, save_every=1000)
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped:
        _run(tmp_path, config, batches=batches)
    assert signal.getsignal(number) is before
    assert stopped.value.exit_code == 128 + number
    assert caplog.messages[-1] == f"saved; run the same command to continue from step {stopped.value.step}"
    undisturbed = _run(tmp_path / "other", dataclasses.replace(CONFIG, steps=stopped.value.step))
    with Checkpointer(tmp_path / "checkpoints", key_metric="accuracy") as checkpointer:
        _assert_same(checkpointer.restore_latest(toy.initial_state(_optimizer())), undisturbed)
