"""Frozen parts stay as they are, parameters and running statistics both."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig, RecConfig, TrainConfig
from ppocr_jax.errors import UserError
from ppocr_jax.training.optimizer import freeze_objective
from ppocr_jax.training.run import Task, fit
from ppocr_jax.training.step import create_state, make_train_step
from tests.training import toy

VARIABLES = {
    "params": {"backbone": {"w": jnp.ones(3), "v": jnp.ones(3)}, "head": {"w": jnp.ones(3)}},
    "batch_stats": {"backbone": {"mean": jnp.zeros(3)}, "head": {"mean": jnp.zeros(3)}},
}


def _objective(params, frozen, batch_stats, batch, rng, step):
    weights = params["backbone"]["w"] + params["backbone"]["v"] + params["head"]["w"]
    error = jnp.mean((batch["x"] @ weights - batch["y"]) ** 2)
    stats = {name: {"mean": batch["x"].mean(0)} for name in ("backbone", "head")}
    return error, (stats, {"error": error})


def _fit(folder, *patterns: str):
    train = TrainConfig(steps=3, batch_size=4, log_every=1, work_dir=str(folder), frozen=patterns)
    config = RecConfig(optimizer=OptimizerConfig(learning_rate=0.1, schedule="constant", l2=0.1), train=train)
    return fit(config, Task(VARIABLES, _objective, toy.batches, lambda variables: {"accuracy": 1.0}))


def test_a_pattern_freezes_what_it_matches_and_no_more(tmp_path):
    trained = _fit(tmp_path, "backbone/*")
    np.testing.assert_array_equal(trained["params"]["backbone"]["w"], np.ones(3))
    np.testing.assert_array_equal(trained["batch_stats"]["backbone"]["mean"], np.zeros(3))
    assert np.abs(trained["params"]["head"]["w"] - 1).min() > 0.005
    assert np.abs(trained["batch_stats"]["head"]["mean"]).min() > 0


def test_single_arrays_can_be_named(tmp_path):
    trained = _fit(tmp_path, "*/v", "head/w")
    np.testing.assert_array_equal(trained["params"]["backbone"]["v"], np.ones(3))
    np.testing.assert_array_equal(trained["params"]["head"]["w"], np.ones(3))
    assert np.abs(trained["params"]["backbone"]["w"] - 1).min() > 0.005


def test_a_pattern_that_matches_nothing_is_an_error(tmp_path):
    with pytest.raises(UserError, match='"neck/\\*" matches no parameter; the network has backbone, head'):
        _fit(tmp_path, "head/*", "neck/*")


def test_what_is_frozen_has_no_part_in_clipping():
    """The frozen part's gradient is a thousand times the other's: clipped together, nothing of that would be left."""

    def objective(params, frozen, batch_stats, batch, rng, step):
        return 1000 * params["a"].sum() + params["b"].sum(), (batch_stats, {})

    variables = {"params": {"a": jnp.ones(4), "b": jnp.ones(4)}, "batch_stats": {}}
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(1.0))
    step = make_train_step(freeze_objective(objective, lambda path: path == "a"), tx)
    state, terms = step(create_state(variables, tx), {}, jax.random.key(0))
    np.testing.assert_array_equal(state.params["a"], np.ones(4))
    np.testing.assert_allclose(state.params["b"], 0.5, rtol=1e-6)  # a gradient of norm 2 is clipped to 1
    assert float(terms["grad_norm"]) == pytest.approx(2)
