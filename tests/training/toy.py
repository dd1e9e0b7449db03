"""A task of two numbers, small enough to train in a test."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ppocr_jax.training.step import TrainState, create_state

BATCH_SIZE = 4


def batches(step: int) -> dict[str, np.ndarray]:
    """Inputs and a linear target, a pure function of the step."""
    x = np.random.default_rng(step).standard_normal((BATCH_SIZE, 3)).astype(np.float32)
    return {"x": x, "y": x @ np.array([1.0, -2.0, 0.5], np.float32)}


def objective(params, frozen, batch_stats, batch, rng, step):
    """Squared error with noise on the input, so that randomness matters; the statistics follow the input's mean."""
    x = batch["x"] + 0.1 * jax.random.normal(rng, batch["x"].shape)
    error = jnp.mean((x @ params["dense"]["kernel"] + params["dense"]["bias"] - batch["y"]) ** 2)
    stats = {"mean": 0.9 * batch_stats["mean"] + 0.1 * x.mean(0)}
    return error, (stats, {"squared_error": error})


def initial_state(tx: optax.GradientTransformation) -> TrainState:
    """All zeros."""
    params = {"dense": {"kernel": jnp.zeros(3), "bias": jnp.zeros(())}}
    return create_state({"params": params, "batch_stats": {"mean": jnp.zeros(3)}}, tx)


def evaluate(state: TrainState) -> dict[str, float]:
    """Minus the distance to the solution."""
    return evaluate_variables(state.variables)


def evaluate_variables(variables) -> dict[str, float]:
    """The same of "params" and "batch_stats"."""
    target = np.array([1.0, -2.0, 0.5], np.float32)
    return {"accuracy": -float(np.abs(np.asarray(variables["params"]["dense"]["kernel"]) - target).sum())}
