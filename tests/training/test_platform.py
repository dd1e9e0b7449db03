"""XLA's flags for a CPU, and who may overrule them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ppocr_jax.training import platform
from ppocr_jax.training.platform import cpu_flags, prepare_cpu, restart_with_huge_pages


@pytest.fixture
def command(monkeypatch):
    """A training command as it begins; the list gets what it is started anew with."""
    started = []
    monkeypatch.setattr(sys, "argv", ["/somewhere/train_rec.py", "--config", "x.toml"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "/somewhere/train_rec.py", "--config", "x.toml"])
    monkeypatch.setattr(os, "execv", lambda program, arguments: started.append((program, arguments)))
    monkeypatch.setattr(platform, "_may_have_huge_pages", lambda: True)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    return started


def test_wide_vectors_only_where_there_are_such():
    assert cpu_flags(frozenset({"avx512f", "sse"})) == {"xla_cpu_prefer_vector_width": "512"}
    assert cpu_flags(frozenset({"avx2"})) == {}


def test_the_users_flags_stay(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere --xla_cpu_prefer_vector_width=256")
    monkeypatch.setattr(platform, "_cpu_features", lambda: frozenset({"avx512f"}))
    prepare_cpu()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere --xla_cpu_prefer_vector_width=256"
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")
    prepare_cpu()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere --xla_cpu_prefer_vector_width=512"


def test_a_training_command_starts_anew_once(command):
    restart_with_huge_pages()
    assert command == [(sys.executable, [sys.executable, "-X", "dev", "/somewhere/train_rec.py", "--config", "x.toml"])]
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.check=0:glibc.malloc.hugetlb=1"
    restart_with_huge_pages()
    assert len(command) == 1


def test_nothing_else_starts_anew(command, monkeypatch):
    monkeypatch.setattr(platform, "_may_have_huge_pages", lambda: False)
    restart_with_huge_pages()
    monkeypatch.setattr(platform, "_may_have_huge_pages", lambda: True)
    for program in ("/usr/bin/pytest", "/site-packages/pytest/__main__.py"):
        monkeypatch.setattr(sys, "argv", [program])
        restart_with_huge_pages()
    monkeypatch.setattr(sys, "argv", ["/somewhere/train_rec.py"])
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    restart_with_huge_pages()
    assert command == []


@pytest.mark.skipif(not platform._may_have_huge_pages(), reason="needs glibc and a kernel with huge pages")
def test_the_restarted_command_has_the_setting(tmp_path):
    script = tmp_path / "train_det.py"
    script.write_text(
        "import os, sys\nfrom ppocr_jax.training.platform import restart_with_huge_pages\n"
        "restart_with_huge_pages()\nprint(os.environ['GLIBC_TUNABLES'], sys.argv[1:])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}
    environment["PYTHONPATH"] = str(Path(platform.__file__).parents[2])
    command = [sys.executable, script, "--train.steps", "a b"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "glibc.malloc.hugetlb=1 ['--train.steps', 'a b']\n"
