"""Centers for Enhanced CTC: the mean feature of each class over the lines a trained recognizer gets right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.errors import UserError
from ppocr_jax.evaluation.lines import LabeledLine, chunks
from ppocr_jax.inference.decode import ctc_greedy_decode
from ppocr_jax.inference.jax_backend import PaddedNetwork
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.inference.recognize import width_sorted_batches
from ppocr_jax.losses.center import CenterSums, accumulate_centers, empty_centers, finish_centers, random_centers
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.preprocess import crop_batch_width, line_batch
from ppocr_jax.training.network import TrainedNetwork

_BATCH_SIZE = 32


@dataclass(frozen=True)
class Centers:
    """Result of `extract_centers`.

    Attributes:
        values: (K, D) float32; classes that were never predicted have a random row.
        counts: (K,) number of averaged frames.
        lines, correct: Number of lines, and of lines recognized correctly.
    """

    values: np.ndarray
    counts: np.ndarray
    lines: int
    correct: int


def extract_centers(network: TrainedNetwork, samples: Iterable[LabeledLine], *, seed: int = 0) -> Centers:
    """Average the features of each class over the frames of lines recognized exactly as labeled.

    Args:
        network: A trained recognizer.
        samples: Line images (h, w, 3) uint8 RGB and their texts.
        seed: Seed of the random centers of classes without a frame.

    Raises:
        UserError: If no line was recognized correctly.

    Source: PP-OCRv2, section 2.2 (Enhanced CTCLoss); PaddleOCR release/2.6 extracts them in the same way.
    """
    assert isinstance(network.spec, RecognizerSpec)
    assert network.charset is not None
    spec, charset = network.spec, network.charset
    predict = PaddedNetwork(build_model(spec.network, **spec.options), "rec", ["probabilities", "features", "logits"])
    totals: CenterSums | None = None
    lines = correct = 0
    for images, texts in _batches(samples, spec):
        outputs = predict(network.variables, images)
        right = _is_correct(outputs["probabilities"], texts, charset)
        lines, correct = lines + len(texts), correct + int(right.sum())
        totals = totals or empty_centers(charset.num_classes, outputs["features"].shape[-1])
        totals = accumulate_centers(totals, outputs["features"], outputs["logits"], jnp.asarray(right))
    if totals is None or not correct:
        raise UserError(f"none of {lines} lines was recognized as labeled: train the recognizer further first")
    fallback = random_centers(jax.random.key(seed), *totals.sums.shape)
    return Centers(np.asarray(finish_centers(totals, fallback)), np.asarray(totals.counts), lines, correct)


def save_centers(path: str | Path, centers: Centers, charset: Charset) -> None:
    """Write the centers and their characters for `load_centers`."""
    from safetensors.numpy import save_file

    save_file(
        {"centers": np.ascontiguousarray(centers.values), "counts": centers.counts},
        str(path),
        metadata={"charset": "".join(charset.characters)},
    )


def load_centers(path: str, charset: Charset) -> jax.Array:
    """Load the (K, D) centers of the center loss.

    Raises:
        WeightsError: If `path` has no centers, or they belong to other characters.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            centers, characters = file.get_tensor("centers"), (file.metadata() or {}).get("charset")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read centers from {path}: {error}") from error
    if characters != "".join(charset.characters):
        raise WeightsError(
            f"{path} contains centers of other characters: extract them again with ppocr-jax extract-centers"
        )
    return jnp.asarray(centers)


def _batches(samples: Iterable[LabeledLine], spec: RecognizerSpec) -> Iterator[tuple[np.ndarray, list[str]]]:
    for chunk in chunks(samples):
        crops = [image_rgb for image_rgb, _ in chunk]
        for indices in width_sorted_batches(crops, _BATCH_SIZE):
            sizes = [crops[i].shape[:2] for i in indices]
            width = crop_batch_width(sizes, height=spec.height, min_width=spec.min_width)
            images = line_batch(
                [crops[i] for i in indices], height=spec.height, width=width, normalization=spec.normalization
            )
            yield images, [chunk[i][1] for i in indices]


def _is_correct(probabilities: np.ndarray, texts: Sequence[str], charset: Charset) -> np.ndarray:
    """Return whether each line's recognized text equals its label, (B,) bool."""
    return np.array([d.text == t for d, t in zip(ctc_greedy_decode(probabilities, charset), texts, strict=True)])
