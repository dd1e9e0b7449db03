"""Parts of a network that a run leaves as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ppocr_jax.errors import UserError
from ppocr_jax.training.step import Objective


def path_of(path: Any) -> str:
    """ "backbone/conv1/kernel" of a pytree path."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def matcher(patterns: Sequence[str], params: Any) -> Callable[[str], bool]:
    """Whether a path matches one of shell-style `patterns`; "*" spans slashes.

    Raises:
        UserError: a pattern matches no parameter.
    """
    paths = [path_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            parts = sorted({path.split("/")[0] for path in paths})
            raise UserError(f'train.frozen: "{pattern}" matches no parameter; the network has {", ".join(parts)}')
    return lambda path: any(fnmatchcase(path, pattern) for pattern in patterns)


def freeze_updates(is_frozen: Callable[[str], bool]) -> optax.GradientTransformation:
    """Zero the updates of frozen parameters; comes last in the chain."""

    def zero(path: Any, update: jax.Array) -> jax.Array:
        return jnp.zeros_like(update) if is_frozen(path_of(path)) else update

    return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(zero, updates))


def freeze_statistics(objective: Objective, is_frozen: Callable[[str], bool]) -> Objective:
    """The same objective, with the running BatchNorm statistics of frozen layers kept.

    A layer's statistics are frozen where a pattern such as "backbone/*" covers them.
    """

    def keeping(params: Any, frozen: Any, batch_stats: Any, batch: Any, rng: jax.Array, step: jax.Array):
        loss, (changed, terms) = objective(params, frozen, batch_stats, batch, rng, step)

        def choose(path: Any, old: jax.Array, new: jax.Array) -> jax.Array:
            return old if is_frozen(path_of(path)) else new

        return loss, (jax.tree_util.tree_map_with_path(choose, batch_stats, changed), terms)

    return keeping
