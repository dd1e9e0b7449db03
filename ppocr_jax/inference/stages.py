"""Networks of a model with their pre- and postprocessing, and cropping of lines."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from ppocr_jax.geometry import CROP_GROWTH, CropGrowth, perspective_crop, quad_as_cropped
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.classify import Direction, TextClassifier
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.decode import Decoded, put_spaces
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.detect_lines import DetectedLines, detect_lines, whole_line
from ppocr_jax.inference.many import CombinedStage
from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.inference.options import BATCH_SIZE, ReadSettings
from ppocr_jax.inference.recognize import TextRecognizer

AnyRecognizer: TypeAlias = TextRecognizer | CombinedStage[Decoded]
AnyClassifier: TypeAlias = TextClassifier | CombinedStage[Direction]

CONVINCING = 0.9
"""Confidence from which text confirms an unsure box (`DetectedLines.unsure`), and needs no second try."""
_SQUARE = "口"  # the character that looks like an empty box


@dataclass(frozen=True)
class Stages:
    """Networks of a model with their pre- and postprocessing. A model may lack any of them."""

    detector: TextDetector | None
    recognizer: AnyRecognizer | None
    classifier: AnyClassifier | None

    @property
    def growth(self) -> CropGrowth:
        """Margins around a line's box that are included in the recognizer's crop."""
        return self.recognizer.spec.growth if self.recognizer is not None else CROP_GROWTH

    def repairs(self) -> list[str]:
        """Return the faults of the network files that are repaired on loading, one line each."""
        stages = (self.detector, self.recognizer, self.classifier)
        backends = [getattr(stage, "backend", None) for stage in stages]
        opened = [backend for backend in backends if isinstance(backend, OnnxBackend)]
        return [f"{backend.path.name}: {repair}" for backend in opened for repair in backend.repairs]

    def load_ahead(self) -> None:
        """Start to load the networks for lines, so that they are ready when the detector finishes."""
        for stage in (self.classifier, self.recognizer):
            if isinstance(stage, TextClassifier | TextRecognizer):
                stage.load_ahead()

    def detect_lines(self, image_rgb: np.ndarray, settings: ReadSettings) -> DetectedLines:
        """Return the boxes of an image; see `detect_lines.detect_lines`.

        Raises:
            ModelError: If the model has no detector and `single_line` is not set.
        """
        if settings.single_line:
            return DetectedLines([whole_line(image_rgb)])
        return detect_lines(self.require_detector(), image_rgb, settings)

    def require_detector(self) -> TextDetector:
        """Return the detector.

        Raises:
            ModelError: If the model has no detector.
        """
        if self.detector is None:
            raise ModelError("this model has no detector")
        return self.detector

    def classify(self, crops: Sequence[np.ndarray], settings: ReadSettings) -> list[Direction]:
        """Return the direction of each crop.

        Raises:
            ModelError: If the model has no direction classifier.
        """
        if self.classifier is None:
            raise ModelError("this model has no direction classifier")
        return self.classifier(crops, batch_size=settings.batch_size or _batch_size(self.classifier))

    def cls_threshold(self, settings: ReadSettings) -> float:
        """Return the probability above which the classifier's direction of a single line is used; 1 without one."""
        if self.classifier is None:
            return 1.0
        return self.classifier.spec.threshold if settings.cls_threshold is None else settings.cls_threshold

    def recognize(self, crops: Sequence[np.ndarray], settings: ReadSettings) -> list[Decoded]:
        """Return the text of each crop.

        Raises:
            ModelError: If the model has no recognizer.
        """
        if self.recognizer is None:
            raise ModelError("this model has no recognizer")
        texts = self.recognizer(crops, batch_size=settings.batch_size or _batch_size(self.recognizer))
        spaces = self.recognizer.spec.put_spaces if settings.put_spaces is None else settings.put_spaces
        return [put_spaces(text) for text in texts] if spaces else texts

    def writes_check_boxes(self, settings: ReadSettings) -> bool:
        """Whether to look for check boxes; see `ReadSettings`."""
        if settings.check_boxes is not None or self.recognizer is None:
            return bool(settings.check_boxes and self.recognizer)
        known = self.recognizer.charset.characters
        return _SQUARE not in known and set(string.ascii_letters).issubset(known)


def _batch_size(stage: AnyClassifier | AnyRecognizer) -> int:
    return getattr(stage.backend, "batch_size", BATCH_SIZE)


class Attempt(NamedTuple):
    """Recognition of a box in one direction.

    Attributes:
        angle: Degrees by which the crop was rotated, 0 or 180.
        quad: Corners of the line, (4, 2), starting where the text begins.
        crop: Image of the line.
        text: Recognized text.
    """

    angle: int
    quad: np.ndarray
    crop: np.ndarray
    text: Decoded


def cut_lines(image_rgb: np.ndarray, quads: np.ndarray) -> list[np.ndarray]:
    """Crop lines from an image. Each of the quads (n, 4, 2) starts at the corner that becomes the crop's top-left."""
    return [perspective_crop(image_rgb, quad, rotate_tall=False) for quad in quads]


def line_quads(boxes: Sequence[TextBox]) -> np.ndarray:
    """Return the quads (n, 4, 2) of boxes, each starting at the corner where upright text begins."""
    return as_quads([quad_as_cropped(box.points) for box in boxes])


def as_quads(quads: Sequence[np.ndarray]) -> np.ndarray:
    """Return quads as an array (n, 4, 2) float32, also for n = 0."""
    return np.array(quads, np.float32).reshape(-1, 4, 2)
