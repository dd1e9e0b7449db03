"""XLA's flags for a CPU, and who may overrule them."""

from __future__ import annotations

import os

import pytest

from ppocr_jax.training import platform
from ppocr_jax.training.platform import cpu_flags, prepare_cpu

DEVICES = "xla_force_host_platform_device_count"


@pytest.mark.parametrize(("cores", "devices"), [(1, 1), (2, 2), (3, 2), (6, 4), (16, 16)])
def test_devices_are_a_power_of_two_within_the_cores(cores, devices):
    assert cpu_flags(cores=cores, features=frozenset())[DEVICES] == str(devices)


def test_wide_vectors_only_where_there_are_such():
    assert cpu_flags(cores=1, features=frozenset({"avx512f", "sse"}))["xla_cpu_prefer_vector_width"] == "512"
    assert "xla_cpu_prefer_vector_width" not in cpu_flags(cores=1, features=frozenset({"avx2"}))


def test_the_users_flags_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--{DEVICES}=3 --xla_dump_to=/nowhere")
    monkeypatch.setattr(platform, "_usable_cores", lambda: 8)
    monkeypatch.setattr(platform, "_cpu_features", lambda: frozenset({"avx512f"}))
    prepare_cpu()
    flags = f"--{DEVICES}=3 --xla_dump_to=/nowhere --xla_cpu_prefer_vector_width=512"
    assert os.environ["XLA_FLAGS"] == flags
    prepare_cpu()
    assert os.environ["XLA_FLAGS"] == flags
