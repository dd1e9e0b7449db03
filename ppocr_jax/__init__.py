"""PP-OCRv2 in JAX: read text in images, and train the networks that do.

Names load on first use, so that `import ppocr_jax` costs nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.charset import Charset as Charset
    from ppocr_jax.charset import load_charset as load_charset
    from ppocr_jax.document.page import Char as Char
    from ppocr_jax.document.page import Line as Line
    from ppocr_jax.document.page import Page as Page
    from ppocr_jax.document.page import Word as Word
    from ppocr_jax.inference.ocr import OCR as OCR

# ONNX Runtime 1.32 and later write a device id and a database of events under the user's cache folder and look up a
# host, unless this is set before they start; see "Privacy" in docs/python.md. Whoever wants that sets it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {"charset": "Charset load_charset", "document.page": "Char Line Page Word", "inference.ocr": "OCR"}
)
__all__ += ["__version__"]
