"""What README and docs say can be done as written: Python blocks run, commands and their options exist, links lead."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ppocr_jax.inference.released import ReleaseError
from tests import released  # noqa: F401 - where PP-OCR's files are, of which some blocks speak

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = ("infer.py", "train_det.py", "train_rec.py", "ppocr-jax")
# Those that only need the built-in model and the example images.
RUNNABLE = [ROOT / "README.md", ROOT / "docs" / "python.md", ROOT / "docs" / "formats.md"]


def blocks(page: Path, *languages: str) -> list[str]:
    """Contents of the fenced blocks of some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """Words of each command in a page's blocks: infer.py, train_*.py, ppocr-jax."""
    text = "\n".join(blocks(page, "", "sh", "bash", "console")).replace("\\\n", " ")
    split = [shlex.split(part, comments=True) for line in text.splitlines() for part in re.split(r"&&|\|", line)]
    named = [words[1:] if words[:1] == ["python"] else words for words in split]
    return [words for words in named if words[:1] and words[0] in PROGRAMS]


@cache
def help_of(*command: str) -> str:
    """The `--help` of a script or subcommand."""
    program = ["-m", "ppocr_jax", *command[1:]] if command[0] == "ppocr-jax" else list(command)
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} --help: {done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_they_are_given(page):
    for words in commands(page):
        program = words[:2] if words[0] == "ppocr-jax" else words[:1]
        if words[:2] in (["ppocr-jax", "synth"], ["ppocr-jax", "slim"]):
            program = words[:3]
        text = help_of(*program)
        for option in (word.partition("=")[0] for word in words if re.match(r"--[a-z]|-[a-z]$", word)):
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{' '.join(words)}: no {option}"


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda script: script.name)
def test_options_of_benchmarks_have_a_help(script):
    for call in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("add", "parser.add_argument"):
            assert "help" in [keyword.arg for keyword in call.keywords], ast.unparse(call)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_python_blocks_run_one_after_the_other(page, tmp_path, monkeypatch):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    missing: list[str] = []
    for block in blocks(page, "python"):
        try:
            exec(compile(block, str(page), "exec"), names)
        except ReleaseError as error:  # the blocks that follow are run nevertheless
            missing.append(str(error))
    assert "page" in names
    if missing:
        pytest.skip("; ".join(missing))
