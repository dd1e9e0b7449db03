"""Many pictures: read ahead in threads, given in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Literal, TypeAlias, TypeVar

from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageSource, describe_source

T = TypeVar("T")
R = TypeVar("R")
OnError: TypeAlias = Literal["raise", "page"]
_ERRORS_HANDLED = ("raise", "page")


def read_many(
    read: Callable[[ImageSource], Page], sources: Iterable[ImageSource], *, workers: int, on_error: OnError = "raise"
) -> Iterator[Page]:
    """`read` every source in `workers` threads.

    No more than two sources a worker are taken ahead, so that an endless iterator is no problem and memory stays flat.

    Args:
        read: from a source to its page; a `UserError` says that the source is to blame.
        sources: the pictures.
        workers: threads.
        on_error: "raise" a source's error when its turn comes, or give a `Page` of size 0 x 0 with the message as its
            `error`.

    Yields:
        pages, in the order of the sources.

    Raises:
        ValueError: fewer than one worker, or another `on_error`.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if on_error not in _ERRORS_HANDLED:
        raise ValueError(f"on_error must be one of {', '.join(_ERRORS_HANDLED)}, not {on_error!r}")
    return ordered_map(_recorded(read) if on_error == "page" else read, sources, workers=workers)


def ordered_map(function: Callable[[T], R], items: Iterable[T], *, workers: int) -> Iterator[R]:
    """`function` of every item, in `workers` threads and in order; no more than two items a worker are taken ahead."""
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


def _recorded(read: Callable[[ImageSource], Page]) -> Callable[[ImageSource], Page]:
    def read_or_record(source: ImageSource) -> Page:
        try:
            return read(source)
        except UserError as error:
            return Page(0, 0, (), describe_source(source), error=str(error))

    return read_or_record
