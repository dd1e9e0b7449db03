"""PP-OCRv2 in JAX: text recognition in images, and training of its networks.

Names are imported on first use, so that `import ppocr_jax` is fast.
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

# Unless this is set before it starts, ONNX Runtime 1.32 and later writes a device id and an event database in the
# user's cache folder and looks up a host; see "Privacy" in docs/python.md. Set it to 0 to enable that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {"charset": "Charset load_charset", "document.page": "Char Line Page Word", "inference.ocr": "OCR"}
)
__all__ += ["__version__"]
