"""One optimiser step, compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ppocr_jax.training.state import TrainState

Batch = Mapping[str, Any]
Terms = dict[str, jax.Array]
# objective(params, batch_stats, batch, rng, step) -> (loss, (new_batch_stats, unweighted terms))
Objective = Callable[[Any, Any, Batch, jax.Array, jax.Array], tuple[jax.Array, tuple[Any, Terms]]]
TrainStep = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Terms]]


def make_train_step(objective: Objective, tx: optax.GradientTransformation) -> TrainStep:
    """Compile `(state, batch, seed_key) -> (state, terms)`; the state passed in is donated and must not be used again.

    The randomness of a step is `fold_in(seed_key, state.step)`, so a resumed run draws the same numbers as one that
    was never interrupted. `terms` are the objective's, plus "loss", "grad_norm" (L2 norm of all gradients together,
    before clipping and L2) and, where the optimiser's state tells it, "learning_rate".
    """

    def train_step(state: TrainState, batch: Batch, seed_key: jax.Array) -> tuple[TrainState, Terms]:
        rng = jax.random.fold_in(seed_key, state.step)
        value_and_grad = jax.value_and_grad(objective, has_aux=True)
        (loss, (batch_stats, terms)), gradients = value_and_grad(
            state.params, state.batch_stats, batch, rng, state.step
        )
        updates, opt_state = tx.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        terms = {**terms, "loss": loss, "grad_norm": optax.tree.norm(gradients)}
        learning_rate = optax.tree.get(opt_state, "learning_rate")
        if learning_rate is not None:
            terms["learning_rate"] = learning_rate
        terms = {name: jnp.asarray(value, jnp.float32) for name, value in terms.items()}
        return TrainState(state.step + 1, params, batch_stats, opt_state), terms

    return jax.jit(train_step, donate_argnums=0)
