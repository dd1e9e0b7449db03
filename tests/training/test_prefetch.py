"""Batches come in order, whoever prepares them, and workers keep to themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.training.prefetch import prefetched
from tests.training import toy


def describe_process(step: int) -> dict[str, np.ndarray]:
    """Where a batch was made; fails at step 8."""
    import cv2

    if step == 8:
        raise ValueError("label file ended early")
    return {
        "step": np.array([step]),
        "pid": np.array([os.getpid()]),
        "cv2_threads": np.array([cv2.getNumThreads()]),
        "omp_threads": np.array([int(os.environ["OMP_NUM_THREADS"])]),
        "ignores_sigterm": np.array([signal.getsignal(signal.SIGTERM) is signal.SIG_IGN]),
    }


def fails_at_8(step: int) -> dict[str, np.ndarray]:
    if step == 8:
        raise ValueError("label file ended early")
    return toy.batches(step)


def test_a_thread_gives_the_batches_in_order():
    with prefetched(toy.batches, 5, 25) as batches:
        got = list(batches)
    assert len(got) == 20
    for step, batch in enumerate(got, start=5):
        np.testing.assert_array_equal(batch["x"], toy.batches(step)["x"])
        assert batch["x"].dtype == np.float32


def test_an_error_in_a_batch_arrives():
    with prefetched(fails_at_8, 7, 10) as batches:
        next(batches)
        with pytest.raises(ValueError, match="label file ended early"):
            next(batches)


def test_workers_are_processes_of_one_thread_that_end_with_the_block(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with prefetched(describe_process, 2, 10, workers=2) as batches:
        got = [next(batches) for _ in range(6)]
        with pytest.raises(ValueError, match="label file ended early"):
            next(batches)
    assert [int(batch["step"][0]) for batch in got] == [2, 3, 4, 5, 6, 7]
    assert all(batch["cv2_threads"][0] == batch["omp_threads"][0] == 1 for batch in got)
    assert all(batch["ignores_sigterm"][0] for batch in got)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    pids = {int(batch["pid"][0]) for batch in got}
    assert len(pids) == 2
    for pid in pids:
        assert ends(pid)


def ends(pid: int) -> bool:
    """Whether a process ends within ten seconds, on a busy machine too."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


KILLED_PARENT = """
import os, signal
from ppocr_jax.training.prefetch import prefetched
from tests.training.test_prefetch import describe_process
with prefetched(describe_process, 0, 8, workers=1) as batches:
    print(int(next(batches)["pid"][0]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed():
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", KILLED_PARENT], cwd=root, stdout=subprocess.PIPE, text=True, check=False, timeout=60
    )
    assert run.returncode == -signal.SIGKILL
    worker = int(run.stdout)
    assert ends(worker)
