"""Learning-rate schedules against PaddleOCR's sequences; Adam with coupled L2 against NumPy in float64."""

from __future__ import annotations

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.training.optimizer import make_optimizer, make_schedule

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/learning_rates.json").read_text())


def _schedule_of(arguments: dict) -> optax.Schedule:
    per_epoch = arguments["step_each_epoch"]
    warmup_steps = round(arguments.get("warmup_epoch", 0) * per_epoch)
    if "values" in arguments:
        boundaries = tuple(epoch * per_epoch for epoch in arguments["decay_epochs"])
        config = OptimizerConfig(
            schedule="piecewise", warmup_steps=warmup_steps, boundaries=boundaries, values=tuple(arguments["values"])
        )
    else:
        config = OptimizerConfig(learning_rate=arguments["learning_rate"], warmup_steps=warmup_steps)
    return make_schedule(config, arguments["epochs"] * per_epoch)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['name']}-{len(case['lr'])}")
def test_schedules_are_those_of_paddleocr(case):
    schedule = _schedule_of(case["args"])
    actual = np.asarray(schedule(jnp.arange(len(case["lr"]))), np.float64)
    if case["name"] == "Cosine" and "warmup_epoch" not in case["args"]:
        # Recorded by calling Paddle's `get_lr()` after each step. For a bare cosine that method multiplies the current
        # rate by lr(t) / lr(t - 1), a factor that the rate holds already; the optimizer itself sees lr(t).
        actual[1:] *= actual[1:] / actual[:-1]
    np.testing.assert_allclose(actual, case["lr"], rtol=2e-6, atol=2e-10)  # float32 near a cosine's end


def test_a_schedule_stays_at_its_end_when_training_goes_on():
    schedule = make_schedule(OptimizerConfig(learning_rate=1.0), 10)
    assert float(schedule(10)) == float(schedule(15)) == 0.0


def test_constant_schedule_warms_up_too():
    schedule = make_schedule(OptimizerConfig(schedule="constant", learning_rate=0.5, warmup_steps=2), 10)
    assert [float(schedule(step)) for step in range(4)] == [0.0, 0.25, 0.5, 0.5]


def _adam(parameter, gradients, rates, l2):
    """Textbook Adam with the L2 term in the gradient, float64."""
    p = np.float64(parameter)
    m = v = np.zeros_like(p)
    for t, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        g = gradient + l2 * p
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p = p - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return p


def test_adam_with_an_l2_factor_per_parameter():
    rng = np.random.default_rng(0)
    config = OptimizerConfig(schedule="constant", learning_rate=0.01, warmup_steps=2, l2=0.3, head_l2=0.7)
    tx = make_optimizer(
        config,
        5,
        l2_exempt=lambda path: path == "backbone/bn/scale",
        is_head=lambda path: path.startswith("head/"),
    )
    start = {
        "backbone": {"bn": {"scale": rng.standard_normal(4)}, "conv": {"kernel": rng.standard_normal((2, 3))}},
        "head": {"fc": {"bias": rng.standard_normal(4)}},
    }
    rates = [0.0, 0.005, 0.01, 0.01, 0.01]
    steps = [
        {"s": rng.standard_normal(4), "k": rng.standard_normal((2, 3)), "b": rng.standard_normal(4)} for _ in rates
    ]

    params = {
        "backbone": {
            "bn": {"scale": jnp.float32(start["backbone"]["bn"]["scale"])},
            "conv": {"kernel": jnp.float32(start["backbone"]["conv"]["kernel"])},
        },
        "head": {"fc": {"bias": jnp.float32(start["head"]["fc"]["bias"])}},
    }
    state = tx.init(params)
    for step, rate in zip(steps, rates, strict=True):
        gradients = {
            "backbone": {"bn": {"scale": jnp.float32(step["s"])}, "conv": {"kernel": jnp.float32(step["k"])}},
            "head": {"fc": {"bias": jnp.float32(step["b"])}},
        }
        updates, state = tx.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        assert float(optax.tree.get(state, "learning_rate")) == pytest.approx(rate)

    for actual, first, name, l2 in (
        (params["backbone"]["bn"]["scale"], start["backbone"]["bn"]["scale"], "s", 0.0),
        (params["backbone"]["conv"]["kernel"], start["backbone"]["conv"]["kernel"], "k", 0.3),
        (params["head"]["fc"]["bias"], start["head"]["fc"]["bias"], "b", 0.7),
    ):
        np.testing.assert_allclose(actual, _adam(first, [step[name] for step in steps], rates, l2), atol=2e-6)


def test_clipping_scales_all_gradients_by_their_common_norm():
    gradients = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    params = {"a": jnp.zeros(2), "b": jnp.zeros(1)}
    tx = make_optimizer(OptimizerConfig(clip_norm=1.0), 10)
    _, state = tx.update(gradients, tx.init(params), params)
    first_moment = optax.tree.get(state, "mu")
    np.testing.assert_allclose(first_moment["a"], [0.06, 0.0], rtol=1e-6)
    np.testing.assert_allclose(first_moment["b"], [0.08], rtol=1e-6)
