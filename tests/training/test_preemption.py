"""Two processes that train together are told to stop, or are killed: they go on as if nothing was."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from ppocr_jax.training.checkpoint import Checkpointer

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _start(folder: Path) -> list[subprocess.Popen]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    command = [sys.executable, "-m", "tests.training.preempted_worker", port]
    options = {"cwd": ROOT, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return [subprocess.Popen([*command, str(process), str(folder)], **options) for process in (0, 1)]


def _end(processes: list[subprocess.Popen]) -> tuple[list[int], list[str]]:
    said = [process.communicate(timeout=400)[0] for process in processes]
    return [process.returncode for process in processes], said


def _best(folder: Path) -> list[np.ndarray]:
    with Checkpointer(folder / "checkpoints", key_metric="accuracy") as checkpointer:
        return [np.asarray(leaf) for leaf in jax.tree.leaves(checkpointer.load_best().variables)]


def _lines(folder: Path) -> int:
    log = folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_both_are_killed_ten_times_and_reach_the_same_weights(tmp_path):
    """Anywhere: while compiling, in a step, in the middle of writing a checkpoint."""
    rng, folder = np.random.default_rng(0), tmp_path / "killed"
    for _ in range(10):
        processes = _start(folder)
        target, deadline = _lines(folder) + int(rng.integers(0, 4)), time.monotonic() + 300
        while _lines(folder) < target:
            assert time.monotonic() < deadline
            assert [process.poll() for process in processes] == [None, None]
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, 0.3)))
        for number in rng.permutation(2):
            processes[number].kill()
            time.sleep(float(rng.uniform(0, 0.1)))
        assert _end(processes)[0] == [-signal.SIGKILL, -signal.SIGKILL]
    assert _end(_start(folder))[0] == [0, 0]
    assert _end(_start(tmp_path / "undisturbed"))[0] == [0, 0]
    for one, other in zip(_best(folder), _best(tmp_path / "undisturbed"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_both_stop_at_one_step_and_go_on(tmp_path):
    undisturbed, processes = _start(tmp_path / "undisturbed"), _start(tmp_path / "preempted")
    log = tmp_path / "preempted" / "log.jsonl"
    deadline = time.monotonic() + 300
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert time.monotonic() < deadline
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.02)
    processes[1].send_signal(signal.SIGTERM)
    codes, said = _end(processes)
    assert codes == [143, 143], said
    stopped = {text.rsplit("stopped at ", 1)[1].split()[0] for text in said}
    assert len(stopped) == 1
    with Checkpointer(tmp_path / "preempted" / "checkpoints", key_metric="accuracy") as checkpointer:
        assert checkpointer.latest_step == int(stopped.pop()) < 200
    assert _end(_start(tmp_path / "preempted"))[0] == [0, 0]
    assert _end(undisturbed)[0] == [0, 0]
    for one, other in zip(_best(tmp_path / "preempted"), _best(tmp_path / "undisturbed"), strict=True):
        np.testing.assert_array_equal(one, other)
