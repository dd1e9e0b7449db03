"""Worker processes of the benchmarks, each with its own interpreter, that exchange lines of JSON."""

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
    """A persistent process that answers one request after another."""

    def __init__(
        self, name: str, script: Path, *arguments: str, python: Path | None = None, quiet: bool = True
    ) -> None:
        """
        Args:
            name: Name for messages.
            script: Script to run; it reads one request per line from standard input and writes one answer per line.
            arguments: Arguments of the script.
            python: Interpreter of another environment; default: this one, with the package of this checkout.
            quiet: Whether to hide the standard error of the process.
        """
        self.name = name
        # Without PYTHONDONTWRITEBYTECODE, so that all start from compiled bytecode like installed programs.
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
            RuntimeError: The process has ended.
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
        """Close the process's standard input and wait until it ends."""
        self._process.communicate()


def environment_with(name: str, packages: Sequence[str], *, headless: bool = False) -> Path:
    """Return the interpreter of an environment with some packages, created at the first call and kept in the cache.

    Args:
        name: Name of the environment.
        packages: Requirements for pip.
        headless: Whether to replace OpenCV by its headless package, which needs no system libraries.
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
