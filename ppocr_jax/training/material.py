"""Parts of the batches, made from a configuration: synthetic text, and the lines of labeled images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.config import LabelSource, SyntheticConfig
from ppocr_jax.data.crops import CropBank, CropSource
from ppocr_jax.evaluation.lines import HELD_OUT_FONTS
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import FontFace, find_fonts, warn_of_missing
from ppocr_jax.synth.line import LineGenerator
from ppocr_jax.training.prefetch import Batch

Evaluate = Callable[[Mapping[str, Any]], Mapping[str, float]]
"""Function from a network's variables to its scores."""
Images = Callable[[Mapping[str, Any], Batch], dict[str, np.ndarray]]
"""Function from a network's variables and a batch to (H, W, 3) uint8 RGB images of its results, for TensorBoard."""


def line_generator(config: SyntheticConfig, charset: Charset, *, warn: bool) -> LineGenerator:
    """Return the generator of text lines that `config` describes; it does not use the fonts held out for evaluation.

    Args:
        config: Texts, fonts and backgrounds.
        charset: Characters of the lines.
        warn: Log how much of the charset no font covers; for trainings that use synthetic lines.
    """
    return LineGenerator(
        charset=charset,
        fonts=make_fonts(config, charset, warn=warn),
        corpus=make_corpus(config, charset),
        backgrounds=(config.backgrounds,) if config.backgrounds else (),
        vertical=config.vertical,
    )


def make_fonts(config: SyntheticConfig, charset: Charset, *, warn: bool) -> list[FontFace]:
    """Return the fonts except those held out; with `warn`, log how much of the charset none of them covers."""
    fonts = find_fonts(config.fonts or None, exclude=HELD_OUT_FONTS)
    if warn:
        warn_of_missing(fonts, charset)
    return fonts


def make_corpus(config: SyntheticConfig, charset: Charset) -> Corpus:
    """Return the texts: the configured files, or if there are none, generated text in the charset's languages."""
    return Corpus.from_files(config.corpus, charset) if config.corpus else Corpus.generated(charset)


def crop_bank(labels: Sequence[LabelSource], charset: Charset, max_length: int) -> CropBank | None:
    """Return the real lines of `labels`; None if there are none."""
    used = tuple(CropSource(s.path, s.format, s.case == "blind", s.weight) for s in labels if s.weight > 0)
    return CropBank(used, charset, max_length) if used else None
