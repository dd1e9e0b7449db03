"""The same numbers on one device, on eight, and with the students on devices of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from ppocr_jax.config import MeshConfig
from ppocr_jax.training import sharding
from ppocr_jax.training.sharding import MeshError, make_mesh

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results():
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
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


def test_a_mesh_of_more_devices_than_there_are_is_an_error():
    with pytest.raises(MeshError, match=r"asks for 64 x 2 devices, but there are \d+ \(cpu\)"):
        make_mesh(MeshConfig(data=64, student=2))
