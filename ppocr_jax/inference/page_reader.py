"""One picture through the three networks: found lines, the page upright, texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar, cast

import numpy as np

from ppocr_jax.document.page import Line, Quad
from ppocr_jax.geometry import perspective_crop, rotate_quad_180
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.combined import CombinedStage
from ppocr_jax.inference.ctc_decode import Decoded
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.inference.orientation import crop_angles, may_lie_sideways, page_rotation, shows_more_text, turned_quads
from ppocr_jax.inference.read_options import ReadOptions
from ppocr_jax.inference.reading_order import READING_ORDERS
from ppocr_jax.inference.small_text import nearer_side, reduction_warning
from ppocr_jax.inference.stages import BATCH_SIZE, Direction, TextClassifier, TextDetector, TextRecognizer
from ppocr_jax.inference.words import line_words

AnyRecognizer: TypeAlias = TextRecognizer | CombinedStage[Decoded]
AnyClassifier: TypeAlias = TextClassifier | CombinedStage[Direction]


@dataclass(frozen=True)
class FoundLines:
    """Lines of a picture before they are read.

    Attributes:
        boxes: of the detector.
        quads: (n, 4, 2) from the corner that became the crop's top-left.
        crops: (h, w, 3) uint8 of each.
        directions: how each crop lies; empty without a classifier.
        warning: that some may be missing, or "".
    """

    boxes: Sequence[TextBox]
    quads: np.ndarray
    crops: Sequence[np.ndarray]
    directions: Sequence[Direction]
    warning: str = ""


@dataclass(frozen=True)
class PageReader:
    """The stages, any of which a model may lack."""

    detector: TextDetector | None
    recognizer: AnyRecognizer | None
    classifier: AnyClassifier | None

    def read(self, image_rgb: np.ndarray, options: ReadOptions) -> tuple[tuple[Line, ...], int, tuple[str, ...]]:
        """Lines of a picture (H, W, 3) uint8 in reading order, its turn clockwise in degrees, and warnings.

        Raises:
            ModelError: the model lacks a detector or a recognizer.
        """
        self._load_ahead()
        upright, found, rotation = self._find_upright(image_rgb, options)
        angles = self._angles(found, options, page_known=rotation is not None)
        turned = [np.ascontiguousarray(c[::-1, ::-1]) if a else c for c, a in zip(found.crops, angles, strict=True)]
        texts = self.recognize(turned, options)
        quads = [rotate_quad_180(quad) if angle else quad for quad, angle in zip(found.quads, angles, strict=True)]
        placed = turned_quads(as_quads(quads), -(rotation or 0), upright.shape)
        lines = [
            _line(placed[i], texts[i], found.boxes[i].score, angles[i])
            for i in READING_ORDERS[options.reading_order](found.quads).tolist()
            if texts[i].confidence >= options.drop_score
        ]
        return tuple(lines), rotation or 0, (found.warning,) if found.warning else ()

    def detect(self, image_rgb: np.ndarray, options: ReadOptions) -> list[TextBox]:
        """Boxes of a picture, in no particular order."""
        return self._look(image_rgb, options)[0]

    def _load_ahead(self) -> None:
        """Load the lines' networks while the detector works."""
        for stage in (self.classifier, self.recognizer):
            if isinstance(stage, TextClassifier | TextRecognizer):
                stage.load_ahead()

    def _look(self, image_rgb: np.ndarray, options: ReadOptions) -> tuple[list[TextBox], str]:
        """Boxes, and a warning where text may be too small to be found.

        A page that is reduced until its text is small is looked at again from nearer, twice at most, unless the options
        say how near.
        """
        detector = self._present_detector()
        arguments = options.detector_arguments()
        boxes = detector(image_rgb, **arguments)
        if detector.spec.size is not None or (options.limit_type or detector.spec.limit_type) != "max":
            return boxes, ""
        side = options.limit_side or detector.spec.limit_side
        for _ in range(2 if options.limit_side is None else 0):
            nearer = nearer_side(boxes, image_rgb.shape, side)
            if nearer is None:
                break
            side = nearer
            boxes = detector(image_rgb, **{**arguments, "limit_side": side})
        return boxes, reduction_warning(boxes, image_rgb.shape, side)

    def probability_map(self, image_rgb: np.ndarray, options: ReadOptions) -> np.ndarray:
        """The detector's map (h, w) of a picture."""
        return self._present_detector().probability_map(
            image_rgb, limit_side=options.limit_side, limit_type=options.limit_type
        )

    def _present_detector(self) -> TextDetector:
        if self.detector is None:
            raise ModelError("this model has no detector")
        return self.detector

    def classify(self, crops: Sequence[np.ndarray], options: ReadOptions) -> list[Direction]:
        """How each crop lies."""
        if self.classifier is None:
            raise ModelError("this model has no direction classifier")
        return self.classifier(crops, batch_size=options.batch_size or BATCH_SIZE)

    def recognize(self, crops: Sequence[np.ndarray], options: ReadOptions) -> list[Decoded]:
        """Text of each crop."""
        if self.recognizer is None:
            raise ModelError("this model has no recognizer")
        return self.recognizer(crops, batch_size=options.batch_size or BATCH_SIZE)

    def _find_upright(self, image_rgb: np.ndarray, options: ReadOptions) -> tuple[np.ndarray, FoundLines, int | None]:
        """The picture turned counter-clockwise until its lines stand upright, they, and by how many degrees.

        A turned page is looked at again: networks find and frame upright lines best. No rotation is known (None) where
        the lines do not agree, or are not asked.
        """
        look = self._look(image_rgb, options)
        if self.classifier is None or not options.use_classifier or not options.page_direction:
            return image_rgb, self._cut(image_rgb, look, options), None
        turns = 0
        if may_lie_sideways(look[0]):
            sideways = _turned(image_rgb, 1)
            look_sideways = self._look(sideways, options)
            if shows_more_text(look_sideways[0], look[0]):
                turns, image_rgb, look = 1, sideways, look_sideways
        found = self._cut(image_rgb, look, options)
        rotation = page_rotation(found.quads, found.directions)
        if rotation:
            image_rgb = _turned(image_rgb, rotation // 90)
            found = self._cut(image_rgb, self._look(image_rgb, options), options)
        if rotation is None:
            return image_rgb, found, 90 * turns or None
        return image_rgb, found, (90 * turns + rotation) % 360

    def _cut(self, image_rgb: np.ndarray, look: tuple[list[TextBox], str], options: ReadOptions) -> FoundLines:
        boxes, warning = look
        crops = [perspective_crop(image_rgb, box.points) for box in boxes]
        quads = as_quads([_quad_as_cropped(box.points, crop) for box, crop in zip(boxes, crops, strict=True)])
        directions = self.classify(crops, options) if self.classifier is not None and options.use_classifier else []
        return FoundLines(boxes, quads, crops, directions, warning)

    def _angles(self, found: FoundLines, options: ReadOptions, *, page_known: bool) -> list[int]:
        """Degrees, 0 or 180, by which to turn each crop."""
        if self.classifier is None or not options.use_classifier:
            return [0] * len(found.crops)
        least = self.classifier.spec.threshold if options.cls_threshold is None else options.cls_threshold
        return crop_angles(found.quads, found.directions, page_known=page_known, threshold=least)


_Stage = TypeVar("_Stage", TextDetector, AnyClassifier, AnyRecognizer)


def on_one_core(stage: _Stage | None) -> _Stage | None:
    """A stage that uses one core a call."""
    if isinstance(stage, TextDetector) and isinstance(stage.backend, OnnxBackend):
        return replace(stage, backend=stage.backend.with_threads(1))
    return replace(stage, workers=1) if isinstance(stage, TextClassifier | TextRecognizer) else stage


def as_quads(quads: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 4, 2) float32, for no quads too."""
    return np.array(quads, np.float32).reshape(-1, 4, 2)


def _turned(image_rgb: np.ndarray, turns: int) -> np.ndarray:
    """By `turns` right angles counter-clockwise."""
    return np.ascontiguousarray(np.rot90(image_rgb, turns))


def _quad_as_cropped(quad: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The quad (4, 2) from the corner that became the crop's top-left.

    `perspective_crop` turns tall crops counter-clockwise, which brings the quad's second corner there; such a crop,
    and no other, is wider than the quad.
    """
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return np.roll(quad, -1, axis=0) if crop.shape[1] > max(sides[0], sides[2]) else quad


def _line(quad: np.ndarray, text: Decoded, score: float, angle: int) -> Line:
    corners = tuple((float(x), float(y)) for x, y in quad)
    return Line(cast(Quad, corners), text.text, text.confidence, score, angle, line_words(text, quad))
