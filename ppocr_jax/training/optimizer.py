"""Adam with coupled L2 and the learning-rate schedules of PP-OCR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ppocr_jax.config import OptimizerConfig


def warmup_cosine(base: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    """Linear warm-up from 0, then half a cosine that starts from its own step 0.

        lr(k) = base * k / warmup_steps                                             for k < warmup_steps
        lr(k) = base / 2 * (1 + cos(pi * (k - warmup_steps) / total_steps))         afterwards

    `total_steps` counts the warm-up, so the run ends slightly above 0 (PaddleOCR release/2.6).
    """

    def cosine(step: jax.Array) -> jax.Array:
        # (1 + cos x) / 2 = sin^2((pi - x) / 2), which does not cancel in float32 near the end of the run.
        left = jnp.maximum(total_steps - step, 0) / total_steps
        return base * jnp.sin(0.5 * jnp.pi * left) ** 2

    return _after_warmup(base, warmup_steps, cosine)


def warmup_piecewise(
    base: float, boundaries: Sequence[int], values: Sequence[float], warmup_steps: int
) -> optax.Schedule:
    """Linear warm-up from 0 to `base`, then `values` in turn, the next one from each of `boundaries` on.

    `boundaries` are steps counted after the warm-up (PaddleOCR release/2.6).

    Raises:
        ValueError: there is not exactly one value more than boundaries.
    """
    if len(values) != len(boundaries) + 1:
        raise ValueError(f"{len(boundaries)} boundaries need {len(boundaries) + 1} values, got {len(values)}")

    def piecewise(step: jax.Array) -> jax.Array:
        stage = jnp.searchsorted(jnp.asarray(boundaries, jnp.int32), step, side="right")
        return jnp.asarray(values, jnp.float32)[stage]

    return _after_warmup(base, warmup_steps, piecewise)


def _after_warmup(base: float, warmup_steps: int, schedule: Callable[[jax.Array], jax.Array]) -> optax.Schedule:
    def warmed_up(step: jax.typing.ArrayLike) -> jax.Array:
        step = jnp.asarray(step)
        rising = base * step / max(warmup_steps, 1)
        return jnp.where(step < warmup_steps, rising, schedule(jnp.maximum(step - warmup_steps, 0)))

    return warmed_up


def make_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """The learning rate per step that `config` describes."""
    if config.schedule == "piecewise":
        return warmup_piecewise(config.values[0], config.boundaries, config.values, config.warmup_steps)
    if config.schedule == "cosine":
        return warmup_cosine(config.learning_rate, config.warmup_steps, total_steps)
    return _after_warmup(config.learning_rate, config.warmup_steps, lambda step: jnp.float32(config.learning_rate))


def coupled_l2(factor_of: Callable[[str], float]) -> optax.GradientTransformation:
    """Add `factor * parameter` to each gradient: L2 regularization in the loss, not AdamW's decoupled decay.

    Args:
        factor_of: L2 factor of a parameter, given its path like "backbone/conv1/kernel".
    """

    def add(path: Any, gradient: jax.Array, parameter: jax.Array) -> jax.Array:
        factor = factor_of(jax.tree_util.keystr(path, simple=True, separator="/"))
        return gradient + factor * parameter if factor else gradient

    return optax.stateless(lambda gradients, params: jax.tree_util.tree_map_with_path(add, gradients, params))


class DescentState(NamedTuple):
    """Steps done, and the learning rate of the last one (for the log)."""

    count: jax.Array
    learning_rate: jax.Array


def descend(schedule: optax.Schedule) -> optax.GradientTransformation:
    """Multiply updates by `-schedule(step)`, as `optax.scale_by_learning_rate` does, and remember the rate."""

    def init(params: Any) -> DescentState:
        return DescentState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, DescentState]:
        rate = jnp.asarray(schedule(state.count), jnp.float32)
        return jax.tree.map(lambda u: -rate * u, updates), DescentState(state.count + 1, rate)

    return optax.GradientTransformation(init, update)


def clip_each_student(max_norm: float) -> optax.GradientTransformation:
    """Scale each student's gradients down to a norm of `max_norm`; arrays have a leading student axis."""

    def clip(gradients: Any, params: Any) -> Any:
        squares = sum(jnp.sum(jnp.square(g), axis=tuple(range(1, g.ndim))) for g in jax.tree.leaves(gradients))
        factor = max_norm / jnp.maximum(jnp.sqrt(squares), max_norm)
        return jax.tree.map(lambda g: g * factor.reshape(-1, *[1] * (g.ndim - 1)), gradients)

    return optax.stateless(clip)


def make_optimizer(
    config: OptimizerConfig,
    total_steps: int,
    *,
    l2_exempt: Callable[[str], bool] = lambda path: False,
    is_head: Callable[[str], bool] = lambda path: False,
    students: int = 1,
) -> optax.GradientTransformation:
    """Optional clipping, coupled L2, Adam, and the schedule.

    Args:
        config: the options.
        total_steps: length of the run, for the cosine.
        l2_exempt: whether the parameter of a path ("backbone/bn/scale") gets no L2: BatchNorm of the PP-LCNet
            recognizer, but not that of MobileNetV3.
        is_head: whether it belongs to the CTC head's dense layers, whose factor is `config.head_l2`.
        students: mutual learners are clipped one by one.
    """

    def factor_of(path: str) -> float:
        if l2_exempt(path):
            return 0.0
        return config.head_l2 if config.head_l2 is not None and is_head(path) else config.l2

    clip = optax.identity()
    if config.clip_norm is not None:
        clip = (optax.clip_by_global_norm if students == 1 else clip_each_student)(config.clip_norm)
    return optax.chain(
        clip,
        coupled_l2(factor_of),
        optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8),
        descend(make_schedule(config, total_steps)),
    )
