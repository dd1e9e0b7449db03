"""A whole run from a configuration: what it leaves behind and how it goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig, RecConfig, TrainConfig
from ppocr_jax.config_io import load_config
from ppocr_jax.errors import UserError
from ppocr_jax.training.checkpoint import Checkpointer
from ppocr_jax.training.loop import train
from ppocr_jax.training.run import Task, fit, keep_compiled, run
from tests.training import toy


def _config(folder, **train) -> RecConfig:
    options = {"steps": 20, "batch_size": 4, "log_every": 10, "eval_every": 10, "work_dir": str(folder), **train}
    return RecConfig(optimizer=OptimizerConfig(learning_rate=0.1), train=TrainConfig(**options))


def _fit(config: RecConfig, **changes):
    variables = {
        "params": {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}},
        "batch_stats": {"mean": jnp.zeros(3)},
    }
    parts = {"objective": toy.objective, "batches": toy.batches, "evaluate": toy.evaluate_variables, **changes}
    return fit(config, Task(variables=variables, charset=("a", "b"), **parts))


def test_the_best_state_is_returned_not_the_last(tmp_path, caplog):
    seen = []
    caplog.set_level("INFO", "ppocr_jax")

    def evaluate(variables):
        seen.append(np.array(variables["params"]["dense"]["kernel"]))
        return {"accuracy": 1.0 if len(seen) == 1 else 0.0}

    best = _fit(_config(tmp_path), evaluate=evaluate)
    at_10, at_20 = seen
    np.testing.assert_array_equal(best["params"]["dense"]["kernel"], at_10)
    assert np.abs(at_20 - at_10).max() > 0.01
    assert caplog.records[-1].getMessage() == "best accuracy 1 at step 10 of 20"


def test_the_end_says_that_nothing_was_scored(tmp_path, caplog):
    caplog.set_level("INFO", "ppocr_jax")
    _fit(_config(tmp_path), evaluate=lambda variables: {})
    assert caplog.records[-1].getMessage() == "nothing was scored: the weights of step 20 are taken"


def test_an_optimizer_of_ones_own(tmp_path):
    """Plain descent by 0.1, whose first step is told by the gradient; what is frozen stays, and a run goes on."""
    own = optax.contrib.reduce_on_plateau(patience=1)  # asks for the loss
    options = {"optimizer": optax.chain(optax.sgd(0.1), own)}
    one = _fit(_config(tmp_path, steps=1), **options)["params"]["dense"]
    rng = jax.random.fold_in(jax.random.key(0), 0)
    params = {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}}
    gradient = jax.grad(lambda p: toy.objective(p, None, {"mean": jnp.zeros(3)}, toy.batches(0), rng, 0)[0])(params)
    np.testing.assert_allclose(one["kernel"], -0.1 * gradient["dense"]["kernel"], rtol=1e-5)
    two = _fit(_config(tmp_path, steps=2, frozen=("dense/bias",)), **options)["params"]["dense"]
    np.testing.assert_array_equal(two["bias"], one["bias"])
    assert np.abs(two["kernel"] - one["kernel"]).max() > 0.01


def test_the_folder_tells_all_and_a_second_call_goes_on(tmp_path, caplog):
    config = _config(tmp_path, steps=10)
    _fit(config)
    assert load_config(RecConfig, tmp_path / "config.json") == config
    longer = dataclasses.replace(config, train=dataclasses.replace(config.train, steps=20))
    steps = []
    _fit(longer, batches=lambda step: (steps.append(step), toy.batches(step))[1])
    assert steps == list(range(10, 20))
    with Checkpointer(tmp_path / "checkpoints", key_metric="accuracy") as checkpointer:
        description = checkpointer.describe(20)
    assert description["config"]["train"]["steps"] == 20
    assert description["charset"] == ["a", "b"]
    with caplog.at_level("WARNING", "ppocr_jax"):
        _fit(config)
    assert "step 20 of 10: nothing left to train" in caplog.text


def test_a_resumed_run_finds_its_compiled_steps(tmp_path, monkeypatch):
    """The cache knows a step by its program, which must not tell a fresh state from a restored one."""
    programs = []

    def noting(*, state, train_step, batches, **rest):
        lowered = train_step.func.lower(state, batches(0), jax.random.key(0), **train_step.keywords)
        programs.append(lowered.as_text())
        return train(state=state, train_step=train_step, batches=batches, **rest)

    monkeypatch.setattr("ppocr_jax.training.run.train", noting)
    config = _config(tmp_path)
    config = dataclasses.replace(config, optimizer=OptimizerConfig(schedule="constant"))
    for steps in (10, 20):
        _fit(dataclasses.replace(config, train=dataclasses.replace(config.train, steps=steps)))
    fresh, resumed = programs
    assert fresh == resumed


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    monkeypatch.setattr("ppocr_jax.training.run.prepare_cpu", lambda: None)
    monkeypatch.setattr("ppocr_jax.training.run.keep_compiled", lambda folder: None)
    variables = {
        "params": {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}},
        "batch_stats": {"mean": jnp.zeros(3)},
    }
    task = Task(variables, objective=toy.objective, batches=toy.batches, evaluate=toy.evaluate_variables)
    monkeypatch.setattr("ppocr_jax.training.run.prepare", lambda config: task)
    with pytest.raises(UserError, match=r"cannot write into .*: No space left on device; free space and run the same"):
        run(_config(tmp_path))


def test_an_old_run_is_not_overwritten(tmp_path):
    _fit(_config(tmp_path, steps=10))
    with pytest.raises(UserError, match="already contains a run"):
        _fit(_config(tmp_path, resume=False))


@pytest.mark.parametrize("devices", [1, 8])
def test_compiled_steps_are_kept_unless_devices_are_simulated(tmp_path, monkeypatch, devices):
    names = ("jax_compilation_cache_dir", "jax_enable_compilation_cache")
    before = [jax.config.values[name] for name in names]
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        keep_compiled(tmp_path)
        kept = (str(tmp_path), True) if devices == 1 else (None, False)
        assert tuple(jax.config.values[name] for name in names) == kept
    finally:
        for name, value in zip(names, before, strict=True):
            jax.config.update(name, value)
