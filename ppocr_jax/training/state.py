"""What a training run carries from step to step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class TrainState:
    """A pytree; nothing in it depends on the task. Mutual learners add a leading student axis to every array.

    Attributes:
        step: int32 scalar, optimizer steps done.
        params: trainable arrays.
        batch_stats: running BatchNorm statistics.
        opt_state: Optax state of `params`.
        average: exponential moving average of `params`; None where the run keeps none.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    average: Any = None

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes: the averaged parameters where there are such."""
        params = self.params if self.average is None else self.average
        return {"params": params, "batch_stats": self.batch_stats}


def create_state(
    variables: Mapping[str, Any], tx: optax.GradientTransformation, *, averaged: bool = False
) -> TrainState:
    """State at step 0.

    The step donates its state, so the arrays are copied: the caller's `variables` stay valid.
    """
    params = jax.tree.map(jnp.array, variables["params"])
    batch_stats = jax.tree.map(jnp.array, variables.get("batch_stats", {}))
    average = jax.tree.map(jnp.array, variables["params"]) if averaged else None
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params), average)
