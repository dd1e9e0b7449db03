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


@pytest.mark.parametrize("wrong", [0, 7, 19])
@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_reaches_the_caller_and_stops_the_rest(workers: int, wrong: int):
    done = []

    def work(n: int) -> None:
        if n == wrong:
            raise ValueError(f"no {n}")
        done.append(n)

    with pytest.raises(ValueError, match=f"no {wrong}$"):
        parallel_map(work, range(20), workers=workers)
    assert len(done) <= 19


def test_many_callers_inside_many_callers_come_to_an_end():
    def outer(n: int) -> int:
        return sum(parallel_map(lambda k: n * k, range(10), workers=4))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(outer, range(40), timeout=60)) == [45 * n for n in range(40)]
    assert parallel_map(outer, range(40), workers=8) == [45 * n for n in range(40)]
