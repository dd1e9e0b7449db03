"""`ppocr-jax` without a command, or with one that there is not."""

import pytest

from ppocr_jax.cli import COMMANDS, main


def test_no_command_shows_all_of_them(capsys):
    assert main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_an_unknown_command_names_those_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        main(["read"])
    assert end.value.code == 2
    assert "infer" in capsys.readouterr().err
