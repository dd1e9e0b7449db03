"""Parallel work: parts of one image on several cores, several images, and combined calls to one device."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from ppocr_jax.inference.backends import Backend

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parallel_map(function: Callable[[T], R], items: Sequence[T], *, workers: int) -> list[R]:
    """Return `[function(item) for item in items]`, computed by up to `workers` threads including the caller's.

    The other threads come from a pool of the whole process, so that many callers do not create many threads. If all
    are busy, the calling thread does the work alone.
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
    """Start a function in the pool of `parallel_map`. Its result and its errors are ignored."""
    _pool(os.getpid()).submit(function)


class _Shared(Iterator[T]):
    """Thread-safe iterator."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items, self._lock = items, threading.Lock()

    def __next__(self) -> T:
        with self._lock:
            return next(self._items)

    def stop(self) -> None:
        """End the iteration."""
        with self._lock:
            self._items = iter(())


@lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the thread pool of a process, because threads do not survive a fork."""
    return ThreadPoolExecutor(cores(), thread_name_prefix=f"ppocr_jax-{process}")


def ordered_map(function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """Yield `function` of every item in order, computed by `workers` threads, at most two items per worker ahead."""
    source = iter(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ppocr_jax")
    try:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(source, 2 * workers))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(source, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass
class _Request(Generic[T, R]):
    items: Sequence[T]
    results: list[R] | None = None
    error: BaseException | None = None


@dataclass
class Combined(Generic[T, R]):
    """Function of lists that combines calls from several threads: calls that arrive during a run share the next run.

    A call never waits for others to arrive. If a run fails, all its calls fail.

    Attributes:
        function: Function from items to as many results. It never runs twice at the same time.
        most: Largest number of items per run, unless a single call has more.
    """

    function: Callable[[Sequence[T]], Sequence[R]]
    most: int
    _waiting: list[_Request[T, R]] = field(default_factory=list)
    _list: threading.Lock = field(default_factory=threading.Lock)
    _device: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, items: Sequence[T]) -> list[R]:
        """Return the results of `items`, in order."""
        request: _Request[T, R] = _Request(items)
        with self._list:
            self._waiting.append(request)
        with self._device:
            if request.results is None and request.error is None:  # no other thread did it in the meantime
                self._run(self._take(request))
        if request.error is not None:
            raise request.error
        assert request.results is not None
        return request.results

    def _take(self, first: _Request[T, R]) -> list[_Request[T, R]]:
        """Take the request and other waiting ones that fit into the same run."""
        with self._list:
            taken, room = [first], self.most - len(first.items)
            for request in self._waiting:
                if request is not first and len(request.items) <= room:
                    taken.append(request)
                    room -= len(request.items)
            chosen = {id(request) for request in taken}
            self._waiting = [request for request in self._waiting if id(request) not in chosen]
        return taken

    def _run(self, requests: list[_Request[T, R]]) -> None:
        try:
            results = list(self.function([item for request in requests for item in request.items]))
        except BaseException as error:
            for request in requests:
                request.error = error
            return
        for request in requests:
            request.results, results = results[: len(request.items)], results[len(request.items) :]


class CombinedStage(Generic[R]):
    """Direction classifier or recognizer that combines calls, so that lines of several images share batches."""

    def __init__(self, stage: Any, most: int) -> None:
        """Wrap a stage.

        Args:
            stage: Function from crops and `batch_size` to one result per crop.
            most: Largest number of crops per run.
        """
        self._stage, self._most = stage, most
        self._by_batch_size: dict[int, Combined[np.ndarray, R]] = {}
        self._lock = threading.Lock()

    @property
    def spec(self) -> Any:
        """Description of the network."""
        return self._stage.spec

    @property
    def charset(self) -> Any:
        """Charset of a recognizer."""
        return self._stage.charset

    @property
    def backend(self) -> Backend:
        """Backend of the network."""
        return self._stage.backend

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int) -> list[R]:
        """Return the results of the stage for crops."""
        with self._lock:
            if batch_size not in self._by_batch_size:
                run = partial(self._stage, batch_size=batch_size)
                self._by_batch_size[batch_size] = Combined(run, self._most)
        return self._by_batch_size[batch_size](crops)


class CombinedBackend:
    """Network that combines calls with images of the same size."""

    def __init__(self, backend: Backend, most: int) -> None:
        """Wrap a network.

        Args:
            backend: The network.
            most: Largest number of images per run.
        """
        self._combined: Combined[np.ndarray, np.ndarray] = Combined(partial(by_size, backend), most)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return np.stack(self._combined(list(images)))


def by_size(backend: Backend, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the network's output for each image (H, W, 3). Images of equal size share a batch."""
    outputs: dict[int, np.ndarray] = {}
    for shape in dict.fromkeys(image.shape for image in images):
        same_size = [i for i, image in enumerate(images) if image.shape == shape]
        outputs.update(zip(same_size, backend(np.stack([images[i] for i in same_size])), strict=True))
    return [outputs[i] for i in range(len(images))]
