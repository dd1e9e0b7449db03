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
    """A pytree; nothing in it depends on the task.

    Attributes:
        step: int32 scalar, optimiser steps done.
        params: trainable arrays.
        batch_stats: running BatchNorm statistics.
        opt_state: Optax state of `params`.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @property
    def variables(self) -> dict[str, Any]:
        """What `model.apply` takes."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def create_state(variables: Mapping[str, Any], tx: optax.GradientTransformation) -> TrainState:
    """State at step 0.

    The step donates its state, so the arrays are copied: the caller's `variables` stay valid.
    """
    params = jax.tree.map(jnp.array, variables["params"])
    batch_stats = jax.tree.map(jnp.array, variables.get("batch_stats", {}))
    return TrainState(jnp.zeros((), jnp.int32), params, batch_stats, tx.init(params))
