"""Scores of a network during training: the very code that reads pictures, with the network under training inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import jax
import numpy as np
from flax import linen as nn

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, DetConfig, LabelSource, RecConfig
from ppocr_jax.data.detection import detection_records
from ppocr_jax.data.labels import read_labels
from ppocr_jax.evaluation import cls as cls_evaluation
from ppocr_jax.evaluation.det import evaluate_detection
from ppocr_jax.evaluation.rec import LineSample, evaluate_recognition, line_samples
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.jax_backend import pad_to_bucket
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, RecognizerSpec
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.models import outputs_of
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.training.sources import make_corpus

Evaluate = Callable[[Mapping[str, Any]], Mapping[str, float]]
Item = TypeVar("Item")

# Lines read at once: shapes are padded to few sizes, so large batches cost little padding.
_BATCH = 32


class _VariablesBackend:
    """A network under training as an inference backend; see `inference.backends.Backend`."""

    def __init__(self, predict: Callable[[Any, np.ndarray], jax.Array], variables: Any, task: str) -> None:
        self._predict, self._variables, self._task = predict, variables, task

    def __call__(self, images: np.ndarray) -> np.ndarray:
        count, height, width, _ = images.shape
        result = np.asarray(self._predict(self._variables, pad_to_bucket(images, self._task)))[:count]
        return result[:, :height, :width] if self._task == "det" else result


def _predictor(model: nn.Module, output: str) -> Callable[[Any, np.ndarray], jax.Array]:
    return jax.jit(lambda variables, images: outputs_of(model, variables, images)[output])


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """`limit` items evenly spread over the sequence; all of them where there is no limit."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, limit)]


def recognizer_evaluation(model: nn.Module, config: RecConfig, charset: Charset) -> Evaluate:
    """Line accuracy and edit distance on `data.val_labels`, pooled; on drawn lines where there are none."""
    samples = [s for source in config.data.val_labels for s in _lines(source, config.data.val_limit)]
    predict = _predictor(model, "probabilities")
    spec = RecognizerSpec(height=config.data.height, min_width=config.data.widths[0])

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        backend = _VariablesBackend(predict, variables, "rec")
        recognize = partial(TextRecognizer(backend, spec, charset), batch_size=_BATCH)
        return evaluate_recognition(
            recognize,
            samples,
            ignore_case=config.data.val_ignore_case,
            ignore_space=config.data.val_ignore_space,
        )

    return evaluate


def _lines(source: LabelSource, limit: int | None) -> list[LineSample]:
    records = read_labels(source.path, source.format).records
    return spread(list(line_samples(records)), limit)


def detector_evaluation(model: nn.Module, config: DetConfig) -> Evaluate:
    """Precision, recall and Hmean on `data.val_labels`, pooled.

    Raises:
        LabelError: a label file is broken, or labels lines instead of pictures with regions.
    """
    records = [
        record
        for source in config.data.val_labels
        for record in spread(detection_records(source), config.data.val_limit)
    ]
    predict = _predictor(model, "probability")
    spec = DetectorSpec(postprocess=DBOptions(**asdict(config.reading)))

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        detect = TextDetector(_VariablesBackend(predict, variables, "det"), spec)
        return evaluate_detection(detect, records)

    return evaluate


def classifier_evaluation(model: nn.Module, config: ClsConfig, charset: Charset) -> Evaluate:
    """Accuracy on drawn lines in held-out fonts, every second one turned."""
    corpus: Corpus = make_corpus(config.data.synthetic)
    pictures = cls_evaluation.held_out_lines(config.data.val_synthetic, charset=charset, corpus=corpus)
    samples = list(islice(cls_evaluation.turn_every_second(pictures), config.data.val_synthetic))
    predict = _predictor(model, "probabilities")

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        backend = _VariablesBackend(predict, variables, "cls")
        data = config.data
        spec = ClassifierSpec(height=data.height, width=data.width, long_lines=data.long_lines)
        classify = partial(TextClassifier(backend, spec), batch_size=_BATCH)
        return cls_evaluation.evaluate_direction(classify, samples)

    return evaluate
