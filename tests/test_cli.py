"""`ppocr-jax` without a command, or with one that there is not."""

import signal
import sys
import types

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


def test_sigterm_ends_a_command_as_ctrl_c_does(monkeypatch, tmp_path):
    def run(args):
        with OutputFile(tmp_path / "page.json"):
            signal.raise_signal(signal.SIGTERM)

    command = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "command_of_this_test", command)
    monkeypatch.setitem(COMMANDS, "read", ("read", "command_of_this_test"))
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        assert main(["read"]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert list(tmp_path.iterdir()) == []
