"""Adam with coupled L2 and PP-OCR's learning-rate schedules, built from Optax; frozen parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.errors import UserError
from ppocr_jax.training.pact import is_clip
from ppocr_jax.training.step import Objective, path_of


def make_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """Return the learning rate per step that `config` describes (PaddleOCR release/2.6).

    The rate rises linearly from exactly 0 during the warm-up. Then the schedule starts at its own step 0:

        cosine      lr(k) = base / 2 * (1 + cos(pi * (k - warmup_steps) / total_steps))
        piecewise   each of `values` in turn; the next one starts at each of `boundaries`, counted after the warm-up
        constant    base

    `total_steps` of the cosine includes the warm-up, so the run ends slightly above 0.
    """
    base, warmup, boundaries = config.learning_rate, config.warmup_steps, [0]
    if config.schedule == "piecewise":
        base, boundaries = config.values[0], [0, *config.boundaries]
        stages = [optax.constant_schedule(value) for value in config.values]
    elif config.schedule == "cosine":
        stages = [optax.cosine_decay_schedule(base, total_steps)]
    else:
        stages = [optax.constant_schedule(base)]
    if warmup:
        return optax.join_schedules(
            [optax.linear_schedule(0.0, base, warmup), *stages], [warmup + step for step in boundaries]
        )
    return optax.join_schedules(stages, boundaries[1:])


def make_optimizer(
    config: OptimizerConfig,
    total_steps: int,
    *,
    l2_exempt: Callable[[str], bool] = lambda path: False,
    is_head: Callable[[str], bool] = lambda path: False,
    students: int = 1,
    clip_l2: float | None = None,
) -> optax.GradientTransformation:
    """Return optional clipping, coupled L2, Adam, and the schedule.

    Coupled L2 is a regularization term of the loss: it is added to the gradient before Adam, unlike AdamW's decoupled
    decay.

    Args:
        config: The options.
        total_steps: Length of the run, for the cosine.
        l2_exempt: Whether the parameter of a path ("backbone/bn/scale") gets no L2: BatchNorm of the PP-LCNet
            recognizer, but not of MobileNetV3.
        is_head: Whether it belongs to the CTC head's dense layers, whose L2 factor is `config.head_l2`.
        students: With more than one, the gradients of each mutual learner are clipped separately.
        clip_l2: L2 factor of PACT's clip values, which get none of the other factors; None if there are none.
    """
    head_l2 = config.l2 if config.head_l2 is None else config.head_l2
    body = mask_of(lambda path: not l2_exempt(path) and not is_head(path) and not is_clip(path))
    head = mask_of(lambda path: not l2_exempt(path) and is_head(path))
    decay = [optax.add_decayed_weights(config.l2, body), optax.add_decayed_weights(head_l2, head)]
    if clip_l2 is not None:
        decay.append(optax.add_decayed_weights(clip_l2, mask_of(is_clip)))
    clip = optax.identity()
    if config.clip_norm is not None:
        clip = (optax.clip_by_global_norm if students == 1 else clip_each_student)(config.clip_norm)
    # Checkpoints store the optimizer's state by position: Adam's must stay the third, the schedule's the fourth.
    return optax.chain(
        clip,
        optax.chain(*decay),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        descend(make_schedule(config, total_steps)),
    )


def mask_of(chosen: Callable[[str], bool]) -> Callable[[Any], Any]:
    """Return an Optax mask: a function from parameters to whether `chosen` accepts each one's path."""
    return lambda params: jax.tree_util.tree_map_with_path(lambda path, _: chosen(path_of(path)), params)


class DescentState(NamedTuple):
    """Number of steps done, and the learning rate of the last one (for the log)."""

    count: jax.Array
    learning_rate: jax.Array


def descend(schedule: optax.Schedule) -> optax.GradientTransformation:
    """Multiply updates by `-schedule(step)`, like `optax.scale_by_learning_rate`, and store the rate."""

    def init(params: Any) -> DescentState:
        return DescentState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, DescentState]:
        rate = jnp.asarray(schedule(state.count), jnp.float32)
        return jax.tree.map(lambda u: -rate * u, updates), DescentState(state.count + 1, rate)

    return optax.GradientTransformation(init, update)


def clip_each_student(max_norm: float) -> optax.GradientTransformation:
    """Scale each student's gradients down to a norm of at most `max_norm`; arrays have a leading student axis."""

    def clip(gradients: Any, params: Any) -> Any:
        squares = sum(jnp.sum(jnp.square(g), axis=tuple(range(1, g.ndim))) for g in jax.tree.leaves(gradients))
        factor = max_norm / jnp.maximum(jnp.sqrt(squares), max_norm)
        return jax.tree.map(lambda g: g * factor.reshape(-1, *[1] * (g.ndim - 1)), gradients)

    return optax.stateless(clip)


def matcher(patterns: Sequence[str], params: Any) -> Callable[[str], bool]:
    """Return a function that tells whether a path matches one of the shell-style `patterns`; "*" also matches slashes.

    Raises:
        UserError: If a pattern matches no parameter.
    """
    paths = [path_of(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in paths):
            parts = sorted({path.split("/")[0] for path in paths})
            raise UserError(f'train.frozen: "{pattern}" matches no parameter; the network has {", ".join(parts)}')
    return lambda path: any(fnmatchcase(path, pattern) for pattern in patterns)


def freeze_objective(objective: Objective, is_frozen: Callable[[str], bool]) -> Objective:
    """Return the objective with zero gradients for frozen parameters and unchanged statistics of frozen layers.

    No backward pass is computed for parts that are entirely frozen, and they do not count in clipping and in
    "grad_norm". A layer's running BatchNorm statistics are frozen if a pattern such as "backbone/*" matches them.
    """

    def keeping(params: Any, frozen: Any, batch_stats: Any, batch: Any, rng: jax.Array, step: jax.Array):
        def held(path: Any, param: jax.Array) -> jax.Array:
            return jax.lax.stop_gradient(param) if is_frozen(path_of(path)) else param

        params = jax.tree_util.tree_map_with_path(held, params)
        loss, (changed, terms) = objective(params, frozen, batch_stats, batch, rng, step)

        def choose(path: Any, old: jax.Array, new: jax.Array) -> jax.Array:
            return old if is_frozen(path_of(path)) else new

        return loss, (jax.tree_util.tree_map_with_path(choose, batch_stats, changed), terms)

    return keeping
