"""`OCR`: a picture in, a `Page` of text lines out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.geometry import perspective_crop, rotate_quad_180
from ppocr_jax.images import MAX_PIXELS, ImageSource, describe_source, load_image
from ppocr_jax.inference.backends import make_backend
from ppocr_jax.inference.bundle import TASKS, BundleError, load_bundle
from ppocr_jax.inference.ctc_decode import Decoded
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.reading_order import reading_order
from ppocr_jax.inference.stages import BATCH_SIZE, Detector, Direction, DirectionClassifier, Recognizer
from ppocr_jax.inference.words import line_words
from ppocr_jax.results import Line, Page


@dataclass(frozen=True)
class ReadOptions:
    """What may change from one call to the next. None means: what the model folder says.

    Attributes:
        limit_side, limit_type: how large the detector sees the picture (`preprocess.detector_size`), in pixels.
        threshold: a pixel of the probability map above it is text.
        box_threshold: a box whose mean probability is below it is dropped.
        unclip_ratio: how far a box grows beyond its shrunk text kernel.
        use_classifier: turn crops that stand on their head; no effect for a model without a classifier.
        cls_threshold: how sure the classifier must be to turn a crop.
        drop_score: a line read with less confidence is left out.
        batch_size: crops per call of the classifier and the recogniser.
        max_pixels: largest picture accepted, width x height.
    """

    limit_side: int | None = None
    limit_type: str | None = None
    threshold: float | None = None
    box_threshold: float | None = None
    unclip_ratio: float | None = None
    use_classifier: bool = True
    cls_threshold: float | None = None
    drop_score: float = 0.5
    batch_size: int = BATCH_SIZE
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        for name in ("threshold", "box_threshold", "cls_threshold", "drop_score"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, not {value}")
        for name in ("limit_side", "batch_size", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    def changed(self, **changes: Any) -> ReadOptions:
        """A copy with some options changed.

        Raises:
            TypeError: there is no such option.
            ValueError: a value out of range.
        """
        names = [f.name for f in fields(self)]
        for name in changes:
            if name not in names:
                raise TypeError(f"OCR has no option {name!r}; there are: {', '.join(names)}")
        return replace(self, **changes)

    def detector_arguments(self) -> dict[str, Any]:
        """Those for `Detector` that are not left to the model folder."""
        names = ("limit_side", "limit_type", "threshold", "box_threshold", "unclip_ratio")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class OCR:
    """Reads text in pictures. Immutable; one object may be called from several threads at a time.

    Example:
        ocr = OCR("en")
        page = ocr("receipt.jpg", box_threshold=0.5)
        print(page.text)
    """

    def __init__(
        self,
        model: str | Path = "en",
        *,
        det: str | Path | None = None,
        cls: str | Path | None = None,
        rec: str | Path | None = None,
        charset: str | Path | None = None,
        backend: str = "onnx",
        device: str = "auto",
        threads: int | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            model: name of a built-in model, or a model folder.
            det, cls, rec, charset: ONNX files to use instead of the model's, such as PP-OCR's, and the characters of
                such a recogniser; see `onnx_files.with_onnx_files`.
            backend: "onnx" (ONNX Runtime) or "jax".
            device: "auto", "cpu" or "cuda", for ONNX Runtime; JAX chooses by its own settings.
            threads: threads per operation, for ONNX Runtime; None: one per core.
            options: fields of `ReadOptions`, for every call.

        Raises:
            BundleError: the model folder is missing, incomplete or contradicts itself.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        self._options = ReadOptions().changed(**options)
        bundle = load_bundle(model)
        if det or cls or rec or charset:
            bundle = with_onnx_files(bundle, det=det, cls=cls, rec=rec, charset=charset)
        run = {
            task: make_backend(bundle, task, backend, device=device, threads=threads)
            for task in TASKS
            if getattr(bundle, task) is not None
        }
        self._detector = Detector(run["det"], bundle.det) if bundle.det else None
        self._classifier = DirectionClassifier(run["cls"], bundle.cls) if bundle.cls else None
        self._recognizer = Recognizer(run["rec"], bundle.rec, bundle.charset) if bundle.rec else None

    @classmethod
    def from_stages(
        cls,
        detector: Detector | None = None,
        recognizer: Recognizer | None = None,
        classifier: DirectionClassifier | None = None,
        **options: Any,
    ) -> OCR:
        """An `OCR` of ready-made stages, such as networks in training; `options` as for `OCR`."""
        self = cls.__new__(cls)
        self._options = ReadOptions().changed(**options)
        self._detector, self._recognizer, self._classifier = detector, recognizer, classifier
        return self

    def __call__(self, source: ImageSource, **options: Any) -> Page:
        """Read a picture.

        Args:
            source: anything `images.load_image` takes.
            options: fields of `ReadOptions`, for this call alone.

        Returns:
            the lines in reading order; none where the picture holds no text.

        Raises:
            ImageError: the source is not a picture that can be read.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        chosen = self._options.changed(**options)
        image_rgb = load_image(source, max_pixels=chosen.max_pixels)
        boxes = self.detect(image_rgb, **options)
        crops = [perspective_crop(image_rgb, box.points) for box in boxes]
        quads = [_quad_as_cropped(box.points, crop) for box, crop in zip(boxes, crops, strict=True)]
        angles = self._angles(crops, chosen)
        crops = [np.ascontiguousarray(c[::-1, ::-1]) if a else c for c, a in zip(crops, angles, strict=True)]
        texts = self.recognize(crops, **options)
        lines = [
            _line(quad, text, box.score, angle)
            for quad, text, box, angle in zip(quads, texts, boxes, angles, strict=True)
            if text.confidence >= chosen.drop_score
        ]
        height, width = image_rgb.shape[:2]
        return Page(width, height, tuple(lines), describe_source(source))

    def detect(self, image_rgb: np.ndarray, **options: Any) -> list[TextBox]:
        """Boxes of the text lines in a picture (H, W, 3) uint8, in reading order.

        Raises:
            BundleError: the model has no detector.
        """
        chosen = self._options.changed(**options)
        boxes = _present(self._detector, "detector")(image_rgb, **chosen.detector_arguments())
        quads = np.array([box.points for box in boxes], np.float32).reshape(-1, 4, 2)
        return [boxes[i] for i in reading_order(quads)]

    def classify(self, crops: Sequence[np.ndarray], **options: Any) -> list[Direction]:
        """How each line crop (h, w, 3) uint8 lies.

        Raises:
            BundleError: the model has no direction classifier.
        """
        chosen = self._options.changed(**options)
        return _present(self._classifier, "direction classifier")(crops, batch_size=chosen.batch_size)

    def recognize(self, crops: Sequence[np.ndarray], **options: Any) -> list[Decoded]:
        """Text of each line crop (h, w, 3) uint8, however little the confidence.

        Raises:
            BundleError: the model has no recogniser.
        """
        chosen = self._options.changed(**options)
        return _present(self._recognizer, "recogniser")(crops, batch_size=chosen.batch_size)

    def _angles(self, crops: Sequence[np.ndarray], options: ReadOptions) -> list[int]:
        """Degrees, 0 or 180, by which to turn each crop."""
        if self._classifier is None or not options.use_classifier:
            return [0] * len(crops)
        least = self._classifier.spec.threshold if options.cls_threshold is None else options.cls_threshold
        directions = self._classifier(crops, batch_size=options.batch_size)
        return [direction.angle if direction.probability > least else 0 for direction in directions]


_Stage = TypeVar("_Stage", Detector, DirectionClassifier, Recognizer)


def _present(stage: _Stage | None, name: str) -> _Stage:
    if stage is None:
        raise BundleError(f"this model has no {name}")
    return stage


def _quad_as_cropped(quad: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The quad (4, 2) from the corner that became the crop's top-left.

    `perspective_crop` turns tall crops counter-clockwise, which brings the quad's second corner there; such a crop,
    and no other, is wider than the quad.
    """
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return np.roll(quad, -1, axis=0) if crop.shape[1] > max(sides[0], sides[2]) else quad


def _line(quad: np.ndarray, text: Decoded, score: float, angle: int) -> Line:
    quad = rotate_quad_180(quad) if angle == 180 else quad
    corners = tuple((float(x), float(y)) for x, y in quad)
    return Line(corners, text.text, text.confidence, score, angle, line_words(text, quad))
