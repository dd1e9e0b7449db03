"""Conversion of weights from other frameworks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.convert.inference_file import (
        Converted as Converted,
        convert_inference_file as convert_inference_file,
    )
    from ppocr_jax.convert.paddle import paddle_names as paddle_names, variables_from_paddle as variables_from_paddle
    from ppocr_jax.convert.pdparams import load_pdparams as load_pdparams

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "inference_file": "Converted convert_inference_file",
        "paddle": "paddle_names variables_from_paddle",
        "pdparams": "load_pdparams",
    },
)
