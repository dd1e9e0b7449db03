"""PP-OCR's released files, where they are at hand: in installed packages, or in the folder of unpacked wheels that
`PPOCR_JAX_RELEASED` names, else the user's cache (`.ci/run` fills it)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ppocr_jax.inference.released import FOLDER_VARIABLE, ReleasedFile, ReleaseError, find_file, find_release

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppocr_jax" / "released"
os.environ.setdefault(FOLDER_VARIABLE, str(CACHE))


def release_or_skip(name: str) -> dict[str, Path]:
    """Return the files of a release; skip the test, and say what is missing, where they are not."""
    try:
        return find_release(name)
    except ReleaseError as error:
        pytest.skip(str(error))


def file_or_skip(name: str, sha256: str, package: str) -> Path:
    """Return another file of a package; skip the test where it is not there."""
    try:
        return find_file(ReleasedFile(name, sha256, package), "this test")
    except ReleaseError as error:
        pytest.skip(str(error))
