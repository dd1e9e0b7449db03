"""Two processes on this machine train as one does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.config import MeshConfig
from tests.training.processes_worker import train

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("student", [1, 2])
def test_two_processes_give_the_numbers_of_one(tmp_path, student):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    port = str(_free_port())
    commands = [
        [sys.executable, "-m", "tests.training.processes_worker", port, str(i), str(student), str(tmp_path)]
        for i in range(2)
    ]
    options = {"cwd": ROOT, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **options) for command in commands]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs[0][1][-2000:] + outputs[1][1][-2000:]
    alone = train(MeshConfig(data=1), None)
    for out, _ in outputs:
        together = json.loads(out.splitlines()[-1])  # after a word of the transport
        np.testing.assert_allclose(together["losses"], alone["losses"], rtol=1e-5)
        for ours, expected in zip(together["variables"], alone["variables"], strict=True):
            np.testing.assert_allclose(ours, expected, atol=1e-5)
