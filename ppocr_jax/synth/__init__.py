"""Synthetic text: lines for recognizers and pages for detectors, each a pure function of its seed and index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.synth.corpus import Corpus as Corpus
    from ppocr_jax.synth.dataset import write_folder as write_folder, write_lmdb as write_lmdb
    from ppocr_jax.synth.fonts import (
        FontFace as FontFace,
        NoFontsError as NoFontsError,
        find_fonts as find_fonts,
        split_fonts as split_fonts,
    )
    from ppocr_jax.synth.line import LineGenerator as LineGenerator, LineSample as LineSample
    from ppocr_jax.synth.page import PageGenerator as PageGenerator, PageSample as PageSample

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "corpus": "Corpus",
        "dataset": "write_folder write_lmdb",
        "fonts": "FontFace NoFontsError find_fonts split_fonts",
        "line": "LineGenerator LineSample",
        "page": "PageGenerator PageSample",
    },
)
