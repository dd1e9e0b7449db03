"""A training that is killed at any moment goes on from its last checkpoint, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from ppocr_jax.training.checkpoint import Checkpointer
from tests.training import interrupted_worker

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
KILLS = 10
SAVE_EVERY = 5


def _start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.training.interrupted_worker", str(folder), "0.01"]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _logged_steps(folder: Path) -> list[int]:
    log = folder / "log.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    return [record["step"] for record in map(json.loads, lines) if record["kind"] == "train"]


def _newest(folder: Path) -> int:
    with Checkpointer(folder / "checkpoints", key_metric="accuracy") as checkpointer:
        return checkpointer.latest_step or 0


def test_ten_kills_lose_nothing_that_was_saved(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    interrupted_worker.run(str(undisturbed), 0.0)
    rng = random.Random(0)
    saved = 0
    for _ in range(KILLS):
        before = len(_logged_steps(killed))
        process = _start(killed)
        deadline = time.monotonic() + 120
        while len(_logged_steps(killed)) <= before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)  # until it trains
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        newest = _newest(killed)  # also shows that what is there can be read
        assert newest >= saved
        # What was logged before a save began is on disk, but for the save under way.
        assert newest >= max(_logged_steps(killed)) - 3 * SAVE_EVERY
        saved = newest
    assert _start(killed).wait(timeout=300) == 0
    assert (killed / "finished").exists()
    for one, other in zip(_variables(undisturbed), _variables(killed), strict=True):
        np.testing.assert_array_equal(one, other)


def _variables(folder: Path) -> list[np.ndarray]:
    """Of the best checkpoint, which the last evaluation made."""
    with Checkpointer(folder / "checkpoints", key_metric="accuracy") as checkpointer:
        saved = checkpointer.load_best()
    return [np.int64(saved.step), *jax.tree.leaves(saved.variables)]


def test_sigterm_saves_and_ends(tmp_path):
    process = _start(tmp_path)
    while len(_logged_steps(tmp_path)) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert _newest(tmp_path) >= max(_logged_steps(tmp_path))
