"""Checkpoints: which are kept, what they hold, and what a wrong one says."""

from __future__ import annotations

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.training.checkpoint import Checkpointer, CheckpointError
from ppocr_jax.training.optimizer import descend, make_optimizer
from ppocr_jax.training.step import TrainState, create_state

TX = optax.adam(1e-3)


def _state(step: int, size: int = 3) -> TrainState:
    state = create_state({"params": {"w": jnp.full(size, float(step))}, "batch_stats": {"m": jnp.ones(2)}}, TX)
    return state.replace(step=jnp.int32(step))


def _steps(folder) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def test_the_newest_and_the_best_are_kept(tmp_path):
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        assert checkpointer.latest_step is None
        assert checkpointer.best_step is None
        assert checkpointer.restore_latest(_state(0)) is None
        for step, accuracy in ((1, 0.2), (2, 0.9), (3, None), (4, 0.5), (5, float("nan")), (6, None)):
            checkpointer.save(_state(step), None if accuracy is None else {"accuracy": accuracy, "other": 1.0})
    assert _steps(tmp_path) == [2, 6]
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        assert (checkpointer.best_step, checkpointer.latest_step) == (2, 6)
        best, latest = checkpointer.load_best(), checkpointer.restore_latest(_state(0))
    assert (best.step, int(latest.step)) == (2, 6)
    assert best.metrics == {"accuracy": 0.9, "other": 1.0}
    jax.tree.map(np.testing.assert_array_equal, best.variables, _state(2).variables)
    jax.tree.map(np.testing.assert_array_equal, latest, _state(6))


def test_without_an_evaluation_the_newest_stands_for_the_best(tmp_path):
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        checkpointer.save(_state(1))
        checkpointer.save(_state(2))
        assert (checkpointer.load_best().step, checkpointer.load_best().metrics) == (2, {})


def test_a_checkpoint_describes_itself(tmp_path):
    config = {"name": "rec", "data": {"widths": [64, 96]}, "optimizer": {"clip_norm": None}}
    with Checkpointer(tmp_path, key_metric="accuracy", config=config, charset=("a", "€", " ")) as checkpointer:
        checkpointer.save(_state(1))
        checkpointer.wait()
        description = checkpointer.describe(1)
    assert description["config"] == config
    assert description["charset"] == ["a", "€", " "]
    assert {"ppocr-jax", "jax", "flax", "optax"} <= description["versions"].keys()


def test_a_changed_option_is_told(tmp_path, caplog):
    with Checkpointer(tmp_path, key_metric="accuracy", config={"optimizer": {"l2": 0.0}, "name": "a"}) as checkpointer:
        checkpointer.save(_state(1))
    changed = {"optimizer": {"l2": 0.5}, "name": "a"}
    with (
        caplog.at_level(logging.WARNING, "ppocr_jax"),
        Checkpointer(tmp_path, key_metric="accuracy", config=changed) as checkpointer,
    ):
        checkpointer.restore_latest(_state(0))
    assert [r.getMessage() for r in caplog.records if r.name == "ppocr_jax" and r.levelno == logging.WARNING] == [
        "optimizer.l2 was 0.0 in the checkpoint, is 0.5 now"
    ]


def test_saving_does_not_wait_and_a_donated_state_is_saved_as_it_was(tmp_path):
    bump = jax.jit(lambda s: jax.tree.map(lambda a: a + 1, s), donate_argnums=0)
    state = _state(1, size=500_000)
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        checkpointer.save(state)
        for _ in range(20):
            state = bump(state)
        jax.block_until_ready(state)
        checkpointer.wait()
        restored = checkpointer.restore_latest(_state(0, size=500_000))
    jax.tree.map(np.testing.assert_array_equal, restored, _state(1, size=500_000))


def test_an_unfinished_save_is_not_taken_for_a_checkpoint(tmp_path):
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        checkpointer.save(_state(1))
    (tmp_path / "2.orbax-checkpoint-tmp-0" / "state").mkdir(parents=True)
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        assert checkpointer.latest_step == 1


def test_a_checkpoint_of_another_network_is_refused_with_advice(tmp_path):
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        checkpointer.save(_state(1, size=3))
        checkpointer.wait()
        with pytest.raises(CheckpointError, match=r"params/w has the shape \(3,\) there and \(4,\) here\); .*work_dir"):
            checkpointer.restore_latest(_state(0, size=4))
        other = create_state({"params": {"another": jnp.zeros(3)}, "batch_stats": {"m": jnp.ones(2)}}, TX)
        with pytest.raises(CheckpointError, match="does not fit this network"):
            checkpointer.restore_latest(other)


def test_another_charset_is_refused(tmp_path):
    """One of the same size would fit, with the classes of other characters."""
    with Checkpointer(tmp_path, key_metric="accuracy", charset=("a", "b")) as checkpointer:
        checkpointer.save(_state(1))
    with (
        Checkpointer(tmp_path, key_metric="accuracy", charset=("b", "a")) as checkpointer,
        pytest.raises(CheckpointError, match="its charset has 2 characters, or they are in another order"),
    ):
        checkpointer.restore_latest(_state(0))


def test_a_state_of_an_optimizer_put_together_otherwise_is_restored(tmp_path):
    """A part without state, such as one that freezes parameters, may come or go between two runs."""
    variables = {"params": {"w": jnp.arange(3.0)}, "batch_stats": {"m": jnp.ones(2)}}
    schedule = optax.constant_schedule(0.1)
    own = optax.stateless(lambda updates, params: updates)
    before = optax.chain(optax.identity(), own, optax.scale_by_adam(), descend(schedule))
    now = make_optimizer(OptimizerConfig(schedule="constant"), 10)
    state = create_state(variables, before).replace(step=jnp.int32(7))
    with Checkpointer(tmp_path, key_metric="accuracy") as checkpointer:
        checkpointer.save(jax.tree.map(lambda x: x + 1, state))
        checkpointer.wait()
        restored = checkpointer.restore_latest(create_state(variables, now))
    assert jax.tree.structure(restored) == jax.tree.structure(create_state(variables, now))
    assert int(restored.step) == 8
    for value, expected in zip(jax.tree.leaves(restored), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(value, expected + 1)


def test_errors_of_use(tmp_path):
    with Checkpointer(tmp_path, key_metric="hmean") as checkpointer:
        with pytest.raises(CheckpointError, match="no finished checkpoint in"):
            checkpointer.load_best()
        with pytest.raises(KeyError, match="key metric 'hmean'"):
            checkpointer.save(_state(1), {"accuracy": 1.0})
        assert checkpointer.latest_step is None
