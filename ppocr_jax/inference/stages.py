"""What all steps of reading a page share: the stages with their options, the page image, and attempts at its lines."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias, Unpack

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
from ppocr_jax.inference.options import BATCH_SIZE, ReadOptions, ReadSettings
from ppocr_jax.inference.recognize import TextRecognizer

AnyRecognizer: TypeAlias = TextRecognizer | CombinedStage[Decoded]
AnyClassifier: TypeAlias = TextClassifier | CombinedStage[Direction]

CONVINCING = 0.9
"""Confidence from which text confirms an unsure box (`DetectedLines.unsure`), and needs no second try."""
_SQUARE = "口"  # the character that looks like an empty box


@dataclass(frozen=True)
class Stages:
    """Networks of a model with their pre- and postprocessing, and the options of a call.

    A model may lack any of the networks.
    """

    detector: TextDetector | None
    recognizer: AnyRecognizer | None
    classifier: AnyClassifier | None
    settings: ReadSettings = field(default_factory=ReadSettings)

    def changed(self, **options: Unpack[ReadOptions]) -> Stages:
        """Return the same networks with some options changed; see `ReadSettings.changed`."""
        return replace(self, settings=self.settings.changed(**options))

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

    def detect_lines(self, image_rgb: np.ndarray) -> DetectedLines:
        """Return the boxes of an image; see `detect_lines.detect_lines`.

        Raises:
            ModelError: If the model has no detector and `single_line` is not set.
        """
        if self.settings.single_line:
            return DetectedLines([whole_line(image_rgb)])
        return detect_lines(self._require_detector(), image_rgb, self.settings)

    def probability_map(self, image_rgb: np.ndarray) -> np.ndarray:
        """Return the detector's probability map of an image; see `TextDetector.probability_map`.

        Raises:
            ModelError: If the model has no detector.
        """
        limits = {"limit_side": self.settings.limit_side, "limit_type": self.settings.limit_type}
        return self._require_detector().probability_map(image_rgb, **limits)

    def _require_detector(self) -> TextDetector:
        if self.detector is None:
            raise ModelError("this model has no detector")
        return self.detector

    @property
    def rotates_lines(self) -> bool:
        """Whether upside-down lines are looked for."""
        return self.classifier is not None and self.settings.use_classifier

    @property
    def rotates_pages(self) -> bool:
        """Whether the rotation of the page is looked for. A single line has no page direction."""
        return self.rotates_lines and self.settings.page_direction and not self.settings.single_line

    def classify(self, crops: Sequence[np.ndarray]) -> list[Direction]:
        """Return the direction of each crop.

        Raises:
            ModelError: If the model has no direction classifier.
        """
        if self.classifier is None:
            raise ModelError("this model has no direction classifier")
        return self.classifier(crops, batch_size=self._batch_size(self.classifier))

    @property
    def cls_threshold(self) -> float:
        """The probability above which the classifier's direction of a single line is used; 1 without a classifier."""
        if self.classifier is None:
            return 1.0
        given = self.settings.cls_threshold
        return self.classifier.spec.threshold if given is None else given

    def recognize(self, crops: Sequence[np.ndarray]) -> list[Decoded]:
        """Return the text of each crop.

        Raises:
            ModelError: If the model has no recognizer.
        """
        if self.recognizer is None:
            raise ModelError("this model has no recognizer")
        texts = self.recognizer(crops, batch_size=self._batch_size(self.recognizer))
        given = self.settings.put_spaces
        spaces = self.recognizer.spec.put_spaces if given is None else given
        return [put_spaces(text) for text in texts] if spaces else texts

    def _batch_size(self, stage: AnyClassifier | AnyRecognizer) -> int:
        return self.settings.batch_size or getattr(stage.backend, "batch_size", BATCH_SIZE)

    @property
    def writes_check_boxes(self) -> bool:
        """Whether to look for check boxes; see `ReadSettings`. A single line has none beside it."""
        if self.recognizer is None or self.settings.single_line:
            return False
        if self.settings.check_boxes is not None:
            return self.settings.check_boxes
        known = self.recognizer.charset.characters
        return _SQUARE not in known and set(string.ascii_letters).issubset(known)


@dataclass(frozen=True)
class PageImage:
    """An image, the detected boxes, and the number of quarter turns, counter-clockwise, applied to the image."""

    image_rgb: np.ndarray
    detected: DetectedLines
    quarter_turns: int = 0

    @property
    def boxes(self) -> list[TextBox]:
        """All boxes, first those that the detector is sure of."""
        return [*self.detected.boxes, *self.detected.unsure]

    @property
    def sure(self) -> int:
        """Number of boxes that the detector is sure of."""
        return len(self.detected.boxes)

    @cached_property
    def quads(self) -> np.ndarray:
        """Quads (n, 4, 2) of the boxes, each starting at the corner where upright text begins."""
        return line_quads(self.boxes)

    def rotated(self, quarters: int, stages: Stages) -> PageImage:
        """Return the image rotated by more quarter turns, with the boxes detected in it."""
        image_rgb = np.ascontiguousarray(np.rot90(self.image_rgb, quarters))
        return PageImage(image_rgb, stages.detect_lines(image_rgb), self.quarter_turns + quarters)


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
