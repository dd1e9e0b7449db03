"""Independent pieces of one picture's work on several cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(function: Callable[[T], R], items: Sequence[T], *, workers: int) -> list[R]:
    """`[function(item) for item in items]`, up to `workers` at a time; the calling thread is one of them.

    The others come from a pool shared by the whole process, so that many callers do not make many threads. They need
    not come at all: the calling thread does what they leave.
    """
    if workers <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    results: dict[int, R] = {}
    numbered = _Shared(iter(enumerate(items)))

    def work() -> None:
        for index, item in numbered:
            results[index] = function(item)

    helpers = [_pool(os.getpid()).submit(work) for _ in range(min(workers, len(items)) - 1)]
    try:
        work()
    finally:
        numbered.stop()
        started = [helper for helper in helpers if not helper.cancel()]
        failures = [error for helper in started if (error := helper.exception()) is not None]
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(items))]


def in_background(function: Callable[[], object]) -> None:
    """Begin to call a function in that pool; its result and its errors are nobody's."""
    _pool(os.getpid()).submit(function)


class _Shared(Iterator[T]):
    """An iterator that several threads draw from."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, threading.Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)

    def stop(self) -> None:
        """Give nothing more."""
        with self._lock:
            self._items = iter(())


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """One for each process: threads do not survive a fork."""
    return ThreadPoolExecutor(cores(), thread_name_prefix=f"ppocr_jax-{process}")
