"""Batches prepared ahead of the training step, in other processes or in a thread."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import grain.python as grain
import numpy as np

from ppocr_jax.signals import ending_signals

Batch = Mapping[str, np.ndarray]
BatchFunction = Callable[[int], Batch]
_AHEAD = 2  # batches that each worker, or the thread, prepares ahead

# One thread per worker: thread pools of several workers would compete for the cores of the training step.
# JAX_PLATFORMS: Grain imports jax in its workers, which must never claim the accelerator.
_WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}


@contextmanager
def prefetched(
    batches: BatchFunction, start: int, stop: int, *, workers: int = 0, first: Sequence[int] = ()
) -> Iterator[Iterator[Batch]]:
    """Iterate over the batches of the steps in `first`, then `batches(start), ..., batches(stop - 1)`, prepared ahead.

    A batch depends only on its number, so a run resumed at step k gets the same batches as an uninterrupted run,
    whatever the number of workers.

    Args:
        batches: A pure function of the step. With `workers` it must be picklable, and the program's main module must be
            importable without side effects (`if __name__ == "__main__"`), because workers are spawned.
        start, stop: First step, and the one after the last.
        workers: Number of processes; 0 for one thread of this process.
        first: Further steps, before `start`.

    Yields:
        An iterator; its workers end with the `with` block.
    """
    steps = [*(grain.MapDataset.range(step, step + 1) for step in first), grain.MapDataset.range(start, stop)]
    dataset = grain.MapDataset.concatenate(steps).map(batches)
    # One thread, because concurrent calls of `batches` in one process would only wait for the interpreter lock.
    dataset = dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=_AHEAD))
    if workers:
        options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=_AHEAD)
        dataset = dataset.mp_prefetch(options, worker_init_fn=_start_worker)
        _mark_flags_parsed()
    iterator = iter(dataset)
    # Grain starts its workers later and from a thread, so the environment must stay set while they may start.
    with _environment(_WORKER_ENVIRONMENT if workers else {}):
        try:
            iterator.start_prefetch()
            yield iterator
        finally:
            iterator.close()
            # Grain's exhausted iterators hold their last batch in a reference cycle. If it were freed only when the
            # program ends, its shared memory would be reported as leaked.
            gc.collect()


def _mark_flags_parsed() -> None:
    """Mark absl's flags as parsed: Grain's workers read them, but only absl's `app.run` parses them."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()


def _start_worker(index: int, count: int) -> None:
    """Use one core, and ignore signals sent to the process group: the parent handles them."""
    for number in (signal.SIGINT, *ending_signals()):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)


def _exit_with_parent() -> None:
    """End this worker when its parent is gone, because a killed parent cannot close its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for processes started within the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
