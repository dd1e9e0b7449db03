"""What was found out about font files, remembered between runs: looking into a few hundred takes seconds."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any


def remembered(path: str, rules: str, look: Callable[[str], Any]) -> Any:
    """`look(path)`, or what it gave for the same file before.

    Kept in the user's cache folder, one small file for each; where that cannot be written, nothing is kept.

    Args:
        path: a file; another size or time of change make it another one.
        rules: a word that stands for what `look` does.
        look: gives what JSON can hold.
    """
    try:
        facts = os.stat(path)
    except OSError:
        return look(path)
    key = hashlib.sha256(f"{rules}\0{path}\0{facts.st_mtime_ns}\0{facts.st_size}".encode()).hexdigest()
    kept = _folder() / f"{key[:40]}.json"
    try:
        return json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = look(path)
        _keep(kept, found)
        return found


def _keep(file: Path, value: Any) -> None:
    """Write at once or not at all: other processes may read and write the same."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".tmp")
        with open(handle, "w", encoding="utf-8") as out:
            json.dump(value, out)
        os.replace(name, file)
    except OSError:
        pass  # a cache that cannot be written is only slow


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppocr_jax" / "fonts"


@cache
def digest_of(module_file: str) -> str:
    """A word that changes with a module's code."""
    return hashlib.sha256(Path(module_file).read_bytes()).hexdigest()[:16]
