"""Processes that the benchmarks compare: each with an interpreter of its own, asked and answering in lines of JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Worker:
    """A process that stays and answers one request after another."""

    def __init__(
        self, name: str, script: Path, *arguments: str, python: Path | None = None, quiet: bool = True
    ) -> None:
        """
        Args:
            name: for messages.
            script: what the process runs; it reads a request a line from standard input, and writes an answer a line.
            arguments: of the script.
            python: an interpreter of another environment; default: this one, with the package of this checkout.
            quiet: what it writes to standard error is not shown.
        """
        self.name = name
        # All start as installed programs do: with their bytecode compiled.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        if python is None:
            environment["PYTHONPATH"] = str(ROOT)
        self._process = subprocess.Popen(
            [str(python or sys.executable), str(script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            env=environment,
        )

    def ask(self, **request: Any) -> Any:
        """Return the answer to a request.

        Raises:
            RuntimeError: the process is gone.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        answer = ""
        try:
            print(json.dumps(request), file=stdin, flush=True)
            answer = stdout.readline()
        except BrokenPipeError:
            pass
        if not answer:
            raise RuntimeError(f"{self.name}: its process ended at {str(request)[:200]}")
        return json.loads(answer)

    def stop(self) -> None:
        """Let the process end, and wait for it."""
        self._process.communicate()


def environment_with(name: str, packages: Sequence[str], *, headless: bool = False) -> Path:
    """Return the interpreter of an environment with some packages, made on the first call and kept in the cache.

    Args:
        name: of the environment.
        packages: as pip takes them.
        headless: put OpenCV's headless form in the place of the one that they ask for: it needs no system libraries.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "ppocr_jax" / f"bench-{name}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / "ready").exists():
        print(f"Installing {name} into {folder} ...", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", "-q", *packages], check=True)
        if headless:
            subprocess.run([*pip, "uninstall", "-q", "-y", "opencv-python"], check=True)
            replace = ["install", "-q", "--force-reinstall", "--no-deps", "opencv-python-headless"]
            subprocess.run([*pip, *replace], check=True)
        (folder / "ready").touch()
    return python
