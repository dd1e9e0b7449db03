"""Pieces of work on several cores."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ppocr_jax.inference.many import parallel_map


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_results_keep_the_order(workers: int, count: int):
    assert parallel_map(lambda n: n * n, range(count), workers=workers) == [n * n for n in range(count)]


def test_two_at_a_time():
    both = threading.Barrier(2, timeout=20)
    parallel_map(lambda _: both.wait(), range(2), workers=2)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_reaches_the_caller(workers: int):
    def work(n: int) -> None:
        if n == 7:
            raise ValueError(f"no {n}")

    with pytest.raises(ValueError, match=r"no 7$"):
        parallel_map(work, range(20), workers=workers)


def test_after_an_error_nothing_more_is_begun():
    """One worker fails while the other is in the middle of its piece; that one must not take another."""
    begun, other_is_busy, failed = [], threading.Event(), threading.Event()

    def work(n: int) -> None:
        begun.append(n)
        if n == 0:
            assert other_is_busy.wait(20)
            threading.Timer(0.2, failed.set).start()  # time for the caller to stop the rest
            raise ValueError("no 0")
        other_is_busy.set()
        assert failed.wait(20)

    with pytest.raises(ValueError, match="no 0"):
        parallel_map(work, range(200), workers=2)
    assert sorted(begun) == [0, 1]


def test_many_callers_inside_many_callers_come_to_an_end():
    def outer(n: int) -> int:
        return sum(parallel_map(lambda k: n * k, range(10), workers=4))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outer, range(40), timeout=60)) == [45 * n for n in range(40)]
    assert parallel_map(outer, range(40), workers=8) == [45 * n for n in range(40)]
