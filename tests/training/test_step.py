"""The compiled step: its randomness, its terms, and that it takes the state over."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.step import create_state, make_train_step
from tests.training import toy

TX = make_optimizer(OptimizerConfig(schedule="constant", learning_rate=0.25), 10)


def test_terms_and_statistics_are_those_of_the_objective_at_this_step():
    state = toy.initial_state(TX)
    key = jax.random.key(7)
    batch = toy.batches(0)
    step = make_train_step(toy.objective, TX)
    for number in range(2):
        params, stats = jax.tree.map(np.array, (state.params, state.batch_stats))
        rng = jax.random.fold_in(key, number)
        (loss, (expected_stats, _)), gradients = jax.value_and_grad(toy.objective, has_aux=True)(
            params, None, stats, batch, rng, number
        )
        state, terms = step(state, batch, key)
        assert int(state.step) == number + 1
        assert float(terms["loss"]) == float(terms["squared_error"]) == pytest.approx(float(loss), rel=1e-6)
        norm = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradients)))
        assert float(terms["grad_norm"]) == pytest.approx(norm, rel=1e-6)
        assert float(terms["learning_rate"]) == 0.25
        np.testing.assert_allclose(state.batch_stats["mean"], expected_stats["mean"], rtol=1e-6)


def test_the_step_number_reaches_the_objective():
    def objective(params, frozen, batch_stats, batch, rng, step):
        return params["w"] * step, (batch_stats, {"seen": step})

    state = create_state({"params": {"w": jnp.ones(())}}, TX)
    train_step = make_train_step(objective, TX)
    seen = []
    for _ in range(3):
        state, terms = train_step(state, {}, jax.random.key(0))
        seen.append(float(terms["seen"]))
    assert seen == [0.0, 1.0, 2.0]


def test_the_state_is_donated_but_the_callers_variables_stay_valid():
    variables = {"params": {"w": jnp.ones(3)}, "batch_stats": {"m": jnp.ones(3)}}
    state = create_state(variables, TX)
    make_train_step(lambda p, f, s, b, r, k: (p["w"].sum(), (s, {})), TX)(state, {}, jax.random.key(0))
    assert state.params["w"].is_deleted()
    np.testing.assert_array_equal(variables["params"]["w"], np.ones(3))
    np.testing.assert_array_equal(variables["batch_stats"]["m"], np.ones(3))


def _trained(steps: int = 4, *, averaged: bool = False, **options):
    variables = {"params": {"w": jnp.zeros(3)}, "batch_stats": {"mean": jnp.zeros(3)}}
    state = create_state(variables, TX, averaged=averaged)
    step = make_train_step(_linear, TX, **options)
    for number in range(steps):
        state, terms = step(state, toy.batches(number), jax.random.key(0))
    return state, terms


def _linear(params, frozen, batch_stats, batch, rng, step):
    error = jnp.mean((batch["x"] @ params["w"] - batch["y"]) ** 2)
    return error, ({"mean": batch["x"].mean(0)}, {"squared_error": error})


def test_accumulating_gives_the_same_step_as_the_whole_batch():
    whole, terms = _trained()
    parts, part_terms = _trained(accumulate=2)
    np.testing.assert_allclose(parts.params["w"], whole.params["w"], rtol=1e-5, atol=1e-7)
    assert float(part_terms["loss"]) == pytest.approx(float(terms["loss"]), rel=1e-5)
    assert float(part_terms["grad_norm"]) == pytest.approx(float(terms["grad_norm"]), rel=1e-5)
    last = toy.batches(3)["x"]
    np.testing.assert_allclose(parts.batch_stats["mean"], last[1::2].mean(0), rtol=1e-5)  # those of the last part


def test_the_average_follows_the_parameters():
    seen, expected = [], np.zeros(3)
    for steps in range(1, 5):
        state, _ = _trained(steps)
        seen.append(np.asarray(state.params["w"]))
        expected = 0.9 * expected + 0.1 * seen[-1]
    state, _ = _trained(4, averaged=True, ema_decay=0.9)
    np.testing.assert_allclose(state.average["w"], expected, rtol=1e-5)
    np.testing.assert_array_equal(state.variables["params"]["w"], state.average["w"])
    np.testing.assert_allclose(state.params["w"], seen[-1], rtol=1e-6)


def test_frozen_arrays_are_read_and_get_no_gradient():
    def objective(params, frozen, batch_stats, batch, rng, step):
        return ((params["w"] - frozen["target"]) ** 2).sum(), (batch_stats, {})

    state = create_state({"params": {"w": jnp.zeros(3)}, "batch_stats": {}}, TX)
    step = make_train_step(objective, TX)
    target = {"target": jnp.array([1.0, 2.0, 3.0])}
    losses = []
    for _ in range(30):
        state, terms = step(state, {}, jax.random.key(0), target)
        losses.append(float(terms["loss"]))
    assert losses[-1] < 0.2 * losses[0]
    np.testing.assert_array_equal(target["target"], [1, 2, 3])


def test_several_learning_rates_are_told_apart():
    rates = {"slow": 0.1, "fast": 0.5}
    parts = {name: optax.inject_hyperparams(optax.sgd)(learning_rate=rate) for name, rate in rates.items()}
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    tx = optax.partition(parts, {"a": "slow", "b": "fast"})
    step = make_train_step(lambda params, *_: (params["a"].sum() + params["b"].sum(), ({}, {})), tx)
    state, terms = step(create_state({"params": params, "batch_stats": {}}, tx), {}, jax.random.key(0))
    told = sorted(float(value) for name, value in terms.items() if name.startswith("learning_rate_"))
    assert told == pytest.approx([0.1, 0.5])
    np.testing.assert_allclose(state.params["b"], 0.5)
