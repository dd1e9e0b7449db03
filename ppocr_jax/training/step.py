"""The training state and the compiled training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

Batch = Mapping[str, Any]
Terms = dict[str, jax.Array]
# objective(params, frozen, batch_stats, batch, rng, step) -> (loss, (new_batch_stats, unweighted terms))
Objective = Callable[[Any, Any, Any, Batch, jax.Array, jax.Array], tuple[jax.Array, tuple[Any, Terms]]]


@flax.struct.dataclass
class TrainState:
    """State of a run; a task-independent pytree. Mutual learners add a leading student axis to every array.

    Attributes:
        step: int32 scalar, optimizer steps done.
        params: Trainable arrays.
        batch_stats: Running BatchNorm statistics.
        opt_state: Optax state of `params`.
        average: Exponential moving average of `params`; None if the run keeps none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """The variables for `model.apply`, with the averaged parameters if there are any."""
        params = self.params if self.average is None else self.average
        return {"params": params, "batch_stats": self.batch_stats}


def create_state(
    variables: Mapping[str, Any], tx: optax.GradientTransformation, *, averaged: bool = False
) -> TrainState:
    """Return the state at step 0.

    The training step donates its state, so the arrays are copied and the caller's `variables` stay valid.
    """

    @jax.jit  # one program; otherwise JAX compiles a copy and a zeros program per shape, which takes seconds
    def state_of(params: Any, batch_stats: Any) -> TrainState:
        params, batch_stats, average = (
            jax.tree.map(jnp.array, tree) for tree in (params, batch_stats, params if averaged else None)
        )
        return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params), average)

    return state_of(variables["params"], variables.get("batch_stats", {}))


TrainStep = Callable[..., tuple[TrainState, Terms]]
# (params, frozen, batch_stats, batch, rng, step) -> (loss, new_batch_stats, terms, gradients)
_Gradients = Callable[..., tuple[jax.Array, Any, Terms, Any]]


def path_of(path: Any) -> str:
    """Return a pytree path as text, for example "backbone/conv1/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def make_train_step(
    objective: Objective,
    tx: optax.GradientTransformation,
    *,
    accumulate: int = 1,
    ema_decay: float | None = None,
    constrain: Callable[[TrainState], TrainState] = lambda state: state,
) -> TrainStep:
    """Compile `(state, batch, seed_key, frozen=None) -> (state, terms)`.

    The state passed in is donated and must not be used again. `frozen` holds constant arrays that the objective reads,
    for example a teacher's weights.

    The random key of a step is `fold_in(seed_key, state.step)`, so a resumed run draws the same numbers as an
    uninterrupted one. `terms` are the objective's terms plus "loss", "grad_norm" (L2 norm of all gradients together,
    before clipping and L2) and, if the optimizer's state contains it, "learning_rate" ("learning_rate_0" and so on if
    there are several).

    Args:
        objective: Minimized over its first argument; its other arguments get no gradient.
        tx: The optimizer; it gets the loss as `value` if it takes one, like `optax.contrib.reduce_on_plateau`.
        accumulate: Number of parts each batch is split into. Their gradients and terms are averaged, which equals the
            gradient of the whole batch only if the loss is a mean over examples and there is no BatchNorm.
        ema_decay: Decay of `state.average`.
        constrain: Applied to the new state under `jit` to fix its placement on the devices.
    """
    gradients_of = _accumulated(_gradients(objective), accumulate)
    update = optax.with_extra_args_support(tx).update

    def train_step(
        state: TrainState, batch: Batch, seed_key: jax.Array, frozen: Any = None
    ) -> tuple[TrainState, Terms]:
        rng = jax.random.fold_in(seed_key, state.step)
        loss, batch_stats, terms, gradients = gradients_of(
            state.params, frozen, state.batch_stats, batch, rng, state.step
        )
        updates, opt_state = update(gradients, state.opt_state, state.params, value=loss)
        params = optax.apply_updates(state.params, updates)
        average = state.average
        if ema_decay is not None:
            average = optax.incremental_update(params, state.average, 1 - ema_decay)
        terms = {**terms, "loss": loss, "grad_norm": optax.tree.norm(gradients)}
        rates = [rate for _, rate in optax.tree.get_all_with_path(opt_state, "learning_rate")]
        names = ["learning_rate"] if len(rates) == 1 else [f"learning_rate_{i}" for i in range(len(rates))]
        terms |= dict(zip(names, rates, strict=True))
        terms = {name: jnp.asarray(value, jnp.float32) for name, value in terms.items()}
        return constrain(TrainState(state.step + 1, params, batch_stats, opt_state, average)), terms

    return jax.jit(train_step, donate_argnums=0)


def _gradients(objective: Objective) -> _Gradients:
    value_and_grad = jax.value_and_grad(objective, has_aux=True)

    def gradients_of(params: Any, frozen: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        (loss, (batch_stats, terms)), gradients = value_and_grad(params, frozen, batch_stats, batch, rng, step)
        return loss, batch_stats, terms, gradients

    return gradients_of


def _accumulated(gradients_of: _Gradients, parts: int) -> _Gradients:
    """Return a function that averages over `parts` of the batch and passes the running statistics from part to part."""
    if parts == 1:
        return gradients_of

    def part_of(x: jax.Array) -> jax.Array:
        # Part i takes rows i, i + parts, ..., so on a mesh every device holds an equal share of each part.
        return jnp.asarray(x).reshape(len(x) // parts, parts, *x.shape[1:]).swapaxes(0, 1)

    def mean_over_parts(params: Any, frozen: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        def one_part(batch_stats: Any, part: tuple[Batch, jax.Array]):
            rows, key = part
            loss, batch_stats, terms, gradients = gradients_of(params, frozen, batch_stats, rows, key, step)
            return batch_stats, (loss, terms, gradients)

        rows = jax.tree.map(part_of, dict(batch))
        batch_stats, each = jax.lax.scan(one_part, batch_stats, (rows, jax.random.split(rng, parts)))
        loss, terms, gradients = jax.tree.map(lambda x: x.mean(0), each)
        return loss, batch_stats, terms, gradients

    return mean_over_parts
