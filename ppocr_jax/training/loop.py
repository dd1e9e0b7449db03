"""The training loop, shared by all tasks."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from ppocr_jax.config import TrainConfig
from ppocr_jax.errors import UserError
from ppocr_jax.signals import ending_signals
from ppocr_jax.training.checkpoint import Checkpointer
from ppocr_jax.training.loggers import Loggers
from ppocr_jax.training.prefetch import Batch, BatchFunction, prefetched
from ppocr_jax.training.step import Terms, TrainState, TrainStep

_logger = logging.getLogger("ppocr_jax")

# Dispatched but unfinished steps: enough to hide the host's work, few enough to keep little memory in batches.
_MAX_IN_FLIGHT = 2
# Step of the batch, and number of its rows, of which images are logged; no training step has this number.
SAMPLE_STEP, _SAMPLE_ROWS = 2**31, 4
# Longest delay of the reaction to a signal while a step is compiled.
_POLL_SECONDS = 0.2


class Interrupted(KeyboardInterrupt):
    """A signal stopped the run, and its state was saved.

    Attributes:
        exit_code: Exit code of a program that this signal ends, 130 or 143.
        step: The saved step.
        compiling: A thread is still compiling a step that is no longer needed; only the end of the process stops it.
    """

    def __init__(self, number: int, step: int, *, compiling: bool = False) -> None:
        super().__init__(f"stopped by signal {number} after step {step}")
        self.exit_code, self.step, self.compiling = 128 + number, step, compiling


class NonFiniteError(UserError, RuntimeError):
    """A term of the loss, or the gradient norm, became infinite or NaN."""


def train(
    *,
    state: TrainState,
    train_step: TrainStep,
    batches: BatchFunction,
    place: Callable[[Batch], Batch] = lambda batch: batch,
    images: Callable[[TrainState, Batch], Mapping[str, np.ndarray]] | None = None,
    evaluate: Callable[[TrainState], Mapping[str, float]],
    config: TrainConfig,
    checkpointer: Checkpointer,
    loggers: Loggers,
) -> TrainState:
    """Train from `state.step` to `config.steps`, with logging, evaluation and checkpoints on the way and at the end.

    On Ctrl-C, SIGTERM or SIGHUP the current step is finished, unless it is still compiling, and the state saved. A
    resumed run continues bit for bit as if it had never stopped. The time to compile a step for a new batch shape is
    not counted as training time.

    Args:
        state: Initial state; it is donated and must not be used afterwards.
        train_step: See `step.make_train_step`.
        batches: Function from a step to its batch, see `prefetch.prefetched`.
        place: Puts a batch on the devices.
        images: Function from a state and a few rows of a batch, always the same, to images for the loggers; called with
            each evaluation.
        evaluate: Function from a state to metrics, which must contain `config.key_metric`.
        config: Lengths, intervals, seed.
        checkpointer: Saves the states.
        loggers: Log the numbers.

    Raises:
        NonFiniteError: If a term is not finite; nothing is saved after that step.
        Interrupted: If a signal stopped the run.
    """
    step = int(state.step)
    if step >= config.steps:
        _logger.warning("step %d of %d: nothing left to train; increase train.steps to continue", step, config.steps)
        return state
    seed_key = jax.random.key(config.seed)
    meter, shapes, compiling = _Meter(config, loggers, step), set(), False
    # Made by the workers, because it would take this process minutes to load large label files as well.
    first = [] if images is None else [SAMPLE_STEP]
    with (
        _stop_signals() as stopping,
        prefetched(batches, step, config.steps, workers=config.workers, first=first) as prepared,
    ):
        # Copied, so that the rest of the batch is freed.
        sample = {name: values[:_SAMPLE_ROWS].copy() for name, values in next(prepared).items()} if first else {}
        while step < config.steps and not stopping.after(step):
            batch = place(next(prepared))
            shape = tuple(batch["images"].shape) if "images" in batch else ()
            began, is_new = time.perf_counter(), shape not in shapes
            if is_new:
                shapes.add(shape)
                _logger.info("compiling the step for batches of %s", "x".join(map(str, shape)) or "this shape")
                state, terms = _compile_and_run(train_step, state, batch, seed_key, stopping)
                if terms is None:
                    compiling = True
                    break
            else:
                state, terms = train_step(state, batch, seed_key)
            step += 1
            if is_new:
                _logger.info("compiled and ran in %.1f s", time.perf_counter() - began)
                meter.leave_out(time.perf_counter() - began)
            meter.add(step, terms, batch_size=0 if is_new else len(next(iter(batch.values()))))
            if step % config.log_every == 0:
                meter.flush()
            if _due(step, config.eval_every, config.steps):
                meter.flush()
                _evaluate_and_save(state, evaluate, checkpointer, loggers)
                if images is not None:
                    loggers.show(step, images(state, sample))
                meter.restart_clock()
            elif step % config.save_every == 0:
                meter.flush()
                checkpointer.save(state)
        meter.flush()
        if stopping.is_set():
            _logger.warning("saving step %d of %d", step, config.steps)
            checkpointer.save(state)
        checkpointer.wait()
        if stopping.is_set() and step < config.steps:
            _logger.warning("saved; run the same command to continue from step %d", step)
            raise Interrupted(stopping.number, step, compiling=compiling)
    return state


def _compile_and_run(
    train_step: TrainStep, state: TrainState, batch: Batch, seed_key: jax.Array, stopping: _Stopping
) -> tuple[TrainState, Terms | None]:
    """Compile and run a step in a second thread: Python handles no signal while XLA compiles, which takes minutes.

    Returns:
        The result of `train_step`; or, if the run is stopped meanwhile, the state before the step and None. The thread
        then continues compiling.
    """
    if jax.process_count() > 1:  # several processes stop together, between steps
        return jax.block_until_ready(train_step(state, batch, seed_key))
    kept = jax.device_put(state, may_alias=False)  # the step donates `state` once it is compiled
    result: Future[tuple[TrainState, Terms]] = Future()

    def work() -> None:
        try:
            result.set_result(jax.block_until_ready(train_step(state, batch, seed_key)))
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=work, name="ppocr_jax-compile", daemon=True).start()
    while not stopping.is_set():
        with suppress(TimeoutError):
            return result.result(timeout=_POLL_SECONDS)
    return result.result() if result.done() else (kept, None)


def _due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


def _evaluate_and_save(
    state: TrainState,
    evaluate: Callable[[TrainState], Mapping[str, float]],
    checkpointer: Checkpointer,
    loggers: Loggers,
) -> None:
    metrics = evaluate(state)
    if metrics:
        loggers.log(int(state.step), "eval", metrics)
    checkpointer.save(state, metrics or None)


class _Meter:
    """Collects the terms of steps still running on the device; fetches, checks and logs them together."""

    def __init__(self, config: TrainConfig, loggers: Loggers, step: int) -> None:
        self._total_steps = config.steps
        self._loggers = loggers
        self._pending: list[tuple[int, Terms]] = []
        self._examples = self._timed = 0
        self.restart_clock()

    def restart_clock(self) -> None:
        """Start measuring speed again; the time before is not training time."""
        self._since = time.perf_counter()

    def leave_out(self, seconds: float) -> None:
        """Do not count `seconds`, during which a step was compiled."""
        self._since += seconds

    def add(self, step: int, terms: Terms, *, batch_size: int) -> None:
        """Take the terms of `step`, and wait until only a few steps are unfinished.

        Args:
            step: Its number.
            terms: Its terms.
            batch_size: Number of examples; 0 for a step whose time was left out.
        """
        self._pending.append((step, terms))
        self._examples += batch_size
        self._timed += batch_size > 0
        if len(self._pending) > _MAX_IN_FLIGHT:
            jax.block_until_ready(self._pending[-1 - _MAX_IN_FLIGHT][1])

    def flush(self) -> None:
        """Check every term taken since the last flush and log the means.

        Raises:
            NonFiniteError: Names the term and the step.
        """
        if not self._pending:
            return
        fetched = [(step, jax.device_get(terms)) for step, terms in self._pending]
        for step, terms in fetched:
            check_finite(step, terms)
        last_step, last_terms = fetched[-1]
        values = {name: float(np.mean([terms[name] for _, terms in fetched])) for name in last_terms}
        if "learning_rate" in last_terms:
            values["learning_rate"] = float(last_terms["learning_rate"])
        seconds = max(time.perf_counter() - self._since, 1e-9)
        if self._timed:
            values["images_per_second"] = self._examples / seconds
            values["seconds_left"] = (self._total_steps - last_step) * seconds / self._timed
        self._loggers.log(last_step, "train", values)
        self._pending, self._examples, self._timed = [], 0, 0
        self.restart_clock()


def check_finite(step: int, terms: Mapping[str, float]) -> None:
    """Check that all terms of a step are finite.

    Raises:
        NonFiniteError: Names the step and every term that is not finite.
    """
    bad = [f"{name} = {float(value)}" for name, value in terms.items() if not math.isfinite(value)]
    if bad:
        raise NonFiniteError(
            f"step {step}: {', '.join(sorted(bad))}; lower the learning rate, lengthen the warmup, or set "
            f"optimizer.clip_norm, and resume from the last checkpoint"
        )


class _Stopping(threading.Event):
    """Event set by a signal; stores the signal's number."""

    number = 0

    def after(self, step: int) -> bool:
        """Return whether to stop after `step`; all processes of a run stop after the same step.

        The processes wait for each other in every step, so none may stop by itself. JAX passes a signal that one
        process received to all others and agrees with them on a step.
        """
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            self.number = signal.SIGTERM
            self.set()
        return self.is_set()


@contextmanager
def _stop_signals() -> Iterator[_Stopping]:
    """Yield an event that Ctrl-C, SIGTERM or SIGHUP sets instead of ending the process; the second signal ends it.

    Only the main thread can catch signals; in other threads the event is never set. In a run of several processes JAX
    catches SIGTERM itself (see `_Stopping.after`), and Ctrl-C ends the process that receives it.
    """
    stopping = _Stopping()
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():  # safe: checkpoints are written under another name, then renamed
            os._exit(128 + number)
        stopping.number = number
        stopping.set()
        _logger.warning("stopping: saving progress; interrupt again to exit immediately")

    if threading.current_thread() is threading.main_thread() and jax.process_count() == 1:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, *ending_signals())}
    try:
        yield stopping
    finally:
        restore()
