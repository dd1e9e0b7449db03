"""The same numbers on one device, on eight, and with the students on devices of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ppocr_jax.config import MeshConfig, RecConfig, TrainConfig
from ppocr_jax.training import sharding
from ppocr_jax.training.run import prepare
from ppocr_jax.training.sharding import MeshError, make_mesh

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # see run.keep_compiled
    command = [sys.executable, "-m", "tests.training.mesh_worker"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


PAIRS = [("udml/one", "udml/8x1"), ("udml/one", "udml/4x2"), ("cml/one", "cml/4x2"), ("cml4/one", "cml4/4x2")]


@pytest.mark.parametrize(("reference", "other"), PAIRS)
def test_five_steps_are_the_same_on_every_mesh(results, reference, other):
    a, b = results[reference], results[other]
    assert a["terms"] == b["terms"]
    np.testing.assert_allclose(a["losses"], b["losses"], rtol=1e-5)
    assert a["losses"][0] != a["losses"][-1]
    for name, value in a["variables"].items():
        np.testing.assert_allclose(value, b["variables"][name], atol=1e-5, err_msg=name)


def test_students_live_on_devices_of_their_own(results):
    assert results["udml/4x2"]["spread"] == ["P('student',)"]
    assert results["cml4/4x2"]["spread"] == ["P('student',)"]


def test_students_differ_and_learn_from_each_other(results):
    kernel = np.array(results["udml/one"]["variables"]["['params']['fc2']['kernel']"])
    assert kernel.shape[0] == 2
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01
    assert {"dml_0", "dml_1", "feature_0", "center_1", "ctc_0", "alignment_1"} <= set(results["udml/one"]["terms"])


@pytest.mark.parametrize(
    ("config", "batch", "expected"),
    [
        (MeshConfig(), 8, (4, 1)),
        (MeshConfig(), 6, (3, 1)),
        (MeshConfig(), 5, None),
        (MeshConfig(student=2), 8, (2, 2)),
        (MeshConfig(student=2), 3, (1, 2)),
        (MeshConfig(data=2), 8, (2, 1)),
    ],
)
def test_the_mesh_takes_the_devices_that_a_batch_can_be_split_over(monkeypatch, config, batch, expected):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 4)
    monkeypatch.setattr(sharding, "Mesh", lambda devices, axes: devices.shape)
    assert make_mesh(config, batch) == expected


@pytest.mark.parametrize(
    ("config", "batch", "expected"),
    [
        (MeshConfig(), 16, [[0], [1], [2], [3], [4], [5], [6], [7]]),
        (MeshConfig(), 12, [[0], [1], [2], [4], [5], [6]]),  # not the first six, of which one process has four
        (MeshConfig(data=2), 4, [[0], [4]]),
        (MeshConfig(data=3, student=2), 6, None),  # a process would hold one and a half rows
        (MeshConfig(data=1, student=2), 6, [[0, 4]]),
        (MeshConfig(), 5, None),
    ],
)
def test_each_process_has_as_many_devices_of_the_mesh(monkeypatch, config, batch, expected):
    """Else their shares of a batch would differ in size, and one of them might have none."""
    device = dataclasses.make_dataclass("Device", ["id", "process_index"], frozen=True)
    devices = [device(i, i // 4) for i in range(8)]
    monkeypatch.setattr(jax, "device_count", lambda: 8)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(sharding, "Mesh", lambda devices, axes: [[d.id for d in row] for row in devices])
    if expected is None:
        with pytest.raises(MeshError, match=r"cannot be split evenly over .* of 2 processes"):
            make_mesh(config, batch)
    else:
        assert make_mesh(config, batch) == expected


def test_batches_and_students_that_the_mesh_does_not_divide_are_refused_before_all_else(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    monkeypatch.setattr(jax, "devices", lambda: [jax.local_devices()[0]] * 4)
    train = TrainConfig(batch_size=8, accumulate=4, mesh=MeshConfig(data=4))
    with pytest.raises(MeshError, match=r"^2 examples at a time .* cannot be split evenly over 4 x 1 devices"):
        prepare(RecConfig(train=train))
    monkeypatch.setattr(sharding, "Mesh", lambda devices, axes: SimpleNamespace(shape={"data": 2, "student": 2}))
    train = TrainConfig(batch_size=8, mesh=MeshConfig(data=2, student=2))
    with pytest.raises(MeshError, match="1 mutual students cannot be spread over 2 groups of devices"):
        prepare(RecConfig(train=train))


def test_a_mesh_of_more_devices_than_there_are_is_an_error():
    with pytest.raises(MeshError, match=r"asks for 64 x 2 devices, but there are \d+ \(cpu\)"):
        make_mesh(MeshConfig(data=64, student=2))
