"""What the networks of a model really see: inputs noted while it reads pictures."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import Backend, make_backend
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.model_folder import TASKS, ModelFolder
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.recognize import TextRecognizer

MOST_INPUTS = {"det": 32, "cls": 256, "rec": 256}
"""Inputs that are kept of each network; one of the detector takes 9 MB."""
_SEED = 0


class Recorder:
    """A backend that keeps some of its inputs, each call as likely as any other."""

    def __init__(self, backend: Backend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._random = random.Random(_SEED)
        self._calls = 0
        self._kept: dict[int, np.ndarray] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        self._calls += 1
        if len(self._kept) < self._most:
            self._kept[self._calls] = images.copy()
        elif self._random.randrange(self._calls) < self._most:
            del self._kept[self._random.choice(list(self._kept))]
            self._kept[self._calls] = images.copy()
        return self._backend(images)

    @property
    def inputs(self) -> list[np.ndarray]:
        """Those kept, (N, H, W, 3) float32, in the order of the calls."""
        return list(self._kept.values())


def record_inputs(
    model: ModelFolder, pictures: Iterable[np.ndarray], tasks: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """Read pictures, and note what the networks are given: normalized tiles of pages, batches of line crops.

    Args:
        model: the model. Lines are those that its detector finds.
        pictures: (H, W, 3) uint8 RGB.
        tasks: of the networks whose inputs are wanted.

    Returns:
        for each task up to `MOST_INPUTS`, spread over the pictures.

    Raises:
        ModelError: the model lacks one of the networks, or those before it.
        UserError: a network was given nothing: there are no pictures, or no text in them.
    """
    needed = {"det", *tasks} | ({"rec"} if "cls" in tasks else set())
    present = [task for task in TASKS if task in needed or getattr(model, task) is not None]
    recorders = {task: Recorder(make_backend(model, task, device="cpu"), MOST_INPUTS[task]) for task in present}
    read = _reader(model, recorders)
    count = 0
    for picture in pictures:
        read(picture)
        count += 1
    inputs = {task: recorders[task].inputs for task in tasks}
    for task, found in inputs.items():
        if not found:
            reason = f"found no text in {count} pictures" if count else "got no pictures"
            raise UserError(
                f"nothing to calibrate {task!r} with: model {model.name!r} {reason}; give it pages with text"
            )
    return inputs


def _reader(model: ModelFolder, recorders: Mapping[str, Recorder]) -> Callable[[np.ndarray], object]:
    """What looks at a picture with all the networks that are there."""
    detector = TextDetector(recorders["det"], model.spec("det"))
    if "rec" not in recorders:
        return OCR.from_stages(detector).detect
    recognizer = TextRecognizer(recorders["rec"], model.spec("rec"), model.charset)
    classifier = TextClassifier(recorders["cls"], model.spec("cls")) if "cls" in recorders else None
    return OCR.from_stages(detector, recognizer, classifier)
