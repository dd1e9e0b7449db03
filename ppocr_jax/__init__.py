"""PP-OCRv2 in JAX: read text in pictures, and train the networks that do.

Names load on first use, so that `import ppocr_jax` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "OCR": "ppocr_jax.inference.ocr",
    "Page": "ppocr_jax.document.page",
    "Line": "ppocr_jax.document.page",
    "Word": "ppocr_jax.document.page",
    "Char": "ppocr_jax.document.page",
    "Charset": "ppocr_jax.charset",
    "load_charset": "ppocr_jax.charset",
}

__all__ = [*_LAZY, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'ppocr_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
