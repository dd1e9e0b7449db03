"""Calls of many threads that wait for one device, done together: large batches out of single pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from ppocr_jax.inference.backends import Backend
from ppocr_jax.inference.stages import TextDetector

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class _Request(Generic[T, R]):
    items: Sequence[T]
    results: list[R] | None = None
    error: BaseException | None = None


@dataclass
class Combined(Generic[T, R]):
    """A function of lists for many threads: what calls arrive while it runs is done in one next call.

    No call waits for others to come. One that fails is a failure of all that were combined with it.

    Attributes:
        function: from items to as many results; never called twice at a time.
        most: items of one call, unless a single caller brings more.
    """

    function: Callable[[Sequence[T]], Sequence[R]]
    most: int
    _waiting: list[_Request[T, R]] = field(default_factory=list)
    _list: threading.Lock = field(default_factory=threading.Lock)
    _device: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, items: Sequence[T]) -> list[R]:
        """Results of `items`, in their order."""
        request: _Request[T, R] = _Request(items)
        with self._list:
            self._waiting.append(request)
        with self._device:
            if request.results is None and request.error is None:  # nobody did it while we waited
                self._run(self._take(request))
        if request.error is not None:
            raise request.error
        assert request.results is not None
        return request.results

    def _take(self, first: _Request[T, R]) -> list[_Request[T, R]]:
        """The request and others that wait, as many as go into a call."""
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
    """A direction classifier or recognizer whose calls are combined: lines of several pictures share batches."""

    def __init__(self, stage: Any, most: int) -> None:
        """
        Args:
            stage: from crops, and `batch_size`, to a result for each.
            most: crops of a call.
        """
        self._stage, self._most = stage, most
        self._by_batch_size: dict[int, Combined[np.ndarray, R]] = {}
        self._lock = threading.Lock()

    @property
    def spec(self) -> Any:
        """The stage's."""
        return self._stage.spec

    @property
    def backend(self) -> Backend:
        """The stage's."""
        return self._stage.backend

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int) -> list[R]:
        """As the stage's."""
        with self._lock:
            if batch_size not in self._by_batch_size:
                run = partial(self._stage, batch_size=batch_size)
                self._by_batch_size[batch_size] = Combined(run, self._most)
        return self._by_batch_size[batch_size](crops)


class CombinedBackend:
    """A network whose calls are combined where their images are of one size."""

    def __init__(self, backend: Backend, most: int) -> None:
        """
        Args:
            backend: the network.
            most: images of a call.
        """
        self._combined: Combined[np.ndarray, np.ndarray] = Combined(partial(by_size, backend), most)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        return np.stack(self._combined(list(images)))


def by_size(backend: Backend, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The network's output for each image (H, W, 3), those of equal size in one batch."""
    outputs: dict[int, np.ndarray] = {}
    for shape in dict.fromkeys(image.shape for image in images):
        alike = [i for i, image in enumerate(images) if image.shape == shape]
        outputs.update(zip(alike, backend(np.stack([images[i] for i in alike])), strict=True))
    return [outputs[i] for i in range(len(images))]


def combined_detector(detector: TextDetector, most: int) -> TextDetector:
    """A detector whose network sees up to `most` pictures of equal size at a time."""
    return replace(detector, backend=CombinedBackend(detector.backend, most))
