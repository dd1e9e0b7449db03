"""`ppocr-jax` without a command, or with one that there is not."""

import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from ppocr_jax.cli import COMMANDS, main
from ppocr_jax.document import OutputFile


def test_no_command_shows_all_of_them(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_an_unknown_command_names_those_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        main(["read"])
    assert end.value.code == 2
    assert "infer" in capsys.readouterr().err


@pytest.fixture
def signaled(monkeypatch, tmp_path):
    """Return a function that runs a command, which sends itself a signal while it writes a file.

    The function takes the signal and how it is handled outside the command, and returns the exit code.
    """

    def run_with(number, handler):
        def run(args):
            with OutputFile(tmp_path / "page.json"):
                signal.raise_signal(number)

        command = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)
        monkeypatch.setitem(sys.modules, "command_of_this_test", command)
        monkeypatch.setitem(COMMANDS, "read", ("read", "command_of_this_test"))
        before = signal.signal(number, handler)
        try:
            return main(["read"])
        finally:
            signal.signal(number, before)

    return run_with


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_command_as_ctrl_c_does(signaled, tmp_path, number, code):
    assert signaled(number, lambda *_: None) == code
    assert list(tmp_path.iterdir()) == []


def test_nohup_is_respected(signaled, tmp_path):
    assert signaled(signal.SIGHUP, signal.SIG_IGN) is None
    assert [path.name for path in tmp_path.iterdir()] == ["page.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is always full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ppocr_jax", "doctor"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (
        1,
        "ppocr-jax doctor: cannot write the output: No space left on device\n",
    )
