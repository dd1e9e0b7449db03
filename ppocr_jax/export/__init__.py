"""Export of trained networks to ONNX and, through TensorFlow, to SavedModel and TFLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.export.model_folder import export_to_folder as export_to_folder
    from ppocr_jax.export.onnx import export_onnx as export_onnx
    from ppocr_jax.export.parity import (
        ParityError as ParityError,
        check_parity as check_parity,
        parity_report as parity_report,
    )
    from ppocr_jax.export.tensorflow import export_fixed_size as export_fixed_size

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "model_folder": "export_to_folder",
        "onnx": "export_onnx",
        "parity": "ParityError check_parity parity_report",
        "tensorflow": "export_fixed_size",
    },
)
