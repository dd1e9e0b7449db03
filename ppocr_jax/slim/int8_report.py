"""What quantization costs and gains: size, time and outputs of two networks on the same inputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import ModelFolder
from ppocr_jax.inference.recognize import ctc_greedy_decode

_TURNS = 5
_TIMED = {"det": 4, "cls": 32, "rec": 32}  # inputs: about as much time for each network


@dataclass(frozen=True)
class Comparison:
    """One network before and after.

    Attributes:
        task: of the network.
        megabytes: size of the file, before and after.
        milliseconds: median time of an input on one thread, mean over inputs, before and after.
        mean_difference, max_difference: of the probabilities.
        agreement: share of equal results: texts of lines, directions of lines; of a detector the area that both call
            text of what either does.
        inputs: compared.
    """

    task: str
    megabytes: tuple[float, float]
    milliseconds: tuple[float, float]
    mean_difference: float
    max_difference: float
    agreement: float
    inputs: int


def compare(before: ModelFolder, after: ModelFolder, task: str, inputs: Sequence[np.ndarray]) -> Comparison:
    """Run a network of two models on the same inputs.

    Args:
        before, after: the models.
        task: "det", "cls" or "rec".
        inputs: at least one, (N, H, W, 3) float32, normalized.

    Raises:
        ModelError: a model lacks the network, or its file cannot be loaded.
    """
    paths = [model.file(task, "onnx") for model in (before, after)]
    old, new = (OnnxBackend(path, threads=1, device="cpu") for path in paths)
    agreement = _AGREEMENTS[task](before)
    differences, same, whole = [], 0, 0
    for images in inputs:
        expected, got = old(images), new(images)
        differences.append(np.abs(expected - got))
        agreeing, counted = agreement(expected, got)
        same, whole = same + agreeing, whole + counted
    sizes = [path.stat().st_size / 1e6 for path in paths]
    times = _milliseconds((old, new), inputs[:: -(-len(inputs) // _TIMED[task])])
    return Comparison(
        task,
        (sizes[0], sizes[1]),
        times,
        float(np.mean([difference.mean() for difference in differences])),
        float(max(difference.max() for difference in differences)),
        same / whole if whole else 1.0,
        len(inputs),
    )


def _milliseconds(backends: tuple[OnnxBackend, OnnxBackend], inputs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Both in turn, so that a machine that is busy for a while is so for both."""
    medians: list[list[float]] = [[], []]
    for images in inputs:
        taken: list[list[float]] = [[], []]
        for turn in range(_TURNS + 1):
            for k, backend in enumerate(backends):
                start = time.perf_counter()
                backend(images)
                if turn:  # the first run of a size asks for memory
                    taken[k].append(1000 * (time.perf_counter() - start))
        for k in (0, 1):
            medians[k].append(median(taken[k]))
    return float(np.mean(medians[0])), float(np.mean(medians[1]))


Agreement = Callable[[np.ndarray, np.ndarray], tuple[int, int]]
"""(probabilities before, after) -> what is the same, of how much."""


def _same_area(model: ModelFolder) -> Agreement:
    threshold = model.spec("det").postprocess.threshold

    def count(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
        old, new = before > threshold, after > threshold
        return int((old & new).sum()), int((old | new).sum())

    return count


def _same_directions(model: ModelFolder) -> Agreement:
    return lambda before, after: (int((before.argmax(-1) == after.argmax(-1)).sum()), len(before))


def _same_texts(model: ModelFolder) -> Agreement:
    def count(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
        pairs = zip(ctc_greedy_decode(before, model.charset), ctc_greedy_decode(after, model.charset), strict=True)
        return sum(old.text == new.text for old, new in pairs), len(before)

    return count


_AGREEMENTS = {"det": _same_area, "cls": _same_directions, "rec": _same_texts}
