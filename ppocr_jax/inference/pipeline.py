"""`OCR`: a picture in, a `Page` of text lines out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast, overload

import numpy as np

from ppocr_jax.document.page import Page
from ppocr_jax.images import ImageSource, describe_source, load_image
from ppocr_jax.inference.backends import Backend, OnnxBackend, make_backend
from ppocr_jax.inference.combined import CombinedStage, combined_detector
from ppocr_jax.inference.ctc_decode import Decoded
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.many import OnError, read_many
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.onnx_session import on_gpu
from ppocr_jax.inference.page_reader import AnyClassifier, AnyRecognizer, PageReader, as_quads, on_one_core
from ppocr_jax.inference.parallel import cores
from ppocr_jax.inference.read_options import ReadOptions
from ppocr_jax.inference.reading_order import READING_ORDERS
from ppocr_jax.inference.stages import Direction, TextClassifier, TextDetector, TextRecognizer

_TOGETHER, _COMBINED_BATCH = 16, 32  # pictures that share calls, lines of a batch then
_BLANK = (64, 256, 3)


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
                such a recognizer; see `onnx_files.with_onnx_files`.
            backend: "onnx" (ONNX Runtime) or "jax".
            device: "auto", "cpu" or "cuda", for ONNX Runtime; JAX chooses by its own settings.
            threads: cores to use for one picture, by ONNX Runtime; None: all.
            options: fields of `ReadOptions`, for every call.

        Raises:
            ModelError: the model folder is missing, incomplete or contradicts itself.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        self._options = ReadOptions().changed(**options)
        folder, opened = load_model_folder(model), {}
        if det or cls or rec or charset:
            folder, opened = with_onnx_files(folder, det=det, cls=cls, rec=rec, charset=charset, device=device)

        def make(task: str, threads: int | None) -> Backend:
            if backend == "onnx" and threads == 1 and task in opened:
                return opened[task]
            return make_backend(folder, task, backend, device=device, threads=threads)

        # One picture keeps all cores busy; of the many lines' batches each runs on one of them.
        workers = (threads or cores()) if backend == "onnx" and not on_gpu(device) else 1
        self._reader = PageReader(
            TextDetector(make("det", threads), folder.det) if folder.det else None,
            TextRecognizer(make("rec", 1), folder.rec, folder.charset, workers) if folder.rec else None,
            TextClassifier(make("cls", 1), folder.cls, workers) if folder.cls else None,
        )

    @classmethod
    def from_stages(
        cls,
        detector: TextDetector | None = None,
        recognizer: AnyRecognizer | None = None,
        classifier: AnyClassifier | None = None,
        **options: Any,
    ) -> OCR:
        """An `OCR` of ready-made stages, such as networks in training; `options` as for `OCR`."""
        self = cls.__new__(cls)
        self._options = ReadOptions().changed(**options)
        self._reader = PageReader(detector, recognizer, classifier)
        return self

    @overload
    def __call__(self, source: ImageSource, **options: Any) -> Page: ...

    @overload
    def __call__(self, source: Iterable[ImageSource], **options: Any) -> Iterator[Page]: ...

    def __call__(self, source: ImageSource | Iterable[ImageSource], **options: Any) -> Page | Iterator[Page]:
        """Read a picture, or each of several.

        Args:
            source: anything `images.load_image` takes; or a list, tuple, or iterator of such, see `read_many`.
            options: fields of `ReadOptions`, for this call alone.

        Returns:
            the lines in reading order, none where the picture holds no text; for several pictures an iterator of such.

        Raises:
            ImageError: the source is not a picture that can be read.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        if isinstance(source, list | tuple | Iterator) and not hasattr(source, "read"):
            return self.read_many(cast(Iterable[ImageSource], source), **options)
        chosen = self._options.changed(**options)
        image_rgb = load_image(cast(ImageSource, source), max_pixels=chosen.max_pixels, partial=True)
        lines, rotation, warnings = self._reader.read(image_rgb, chosen)
        height, width = image_rgb.shape[:2]
        return Page(width, height, lines, describe_source(source), rotation, warnings=warnings)

    def read_many(
        self,
        sources: Iterable[ImageSource],
        *,
        workers: int | None = None,
        on_error: OnError = "raise",
        combine: bool | None = None,
        **options: Any,
    ) -> Iterator[Page]:
        """Read several pictures, as many at a time as there are cores, each on one of them.

        That is up to twice as fast as one picture after the other on all cores. On a GPU pictures share the networks'
        calls instead: those of equal size the detector's, lines of like width the recognizer's. As a line's batch then
        depends on what else is read, so do the last digits of its confidence.

        Args:
            sources: pictures; an iterator is consumed a few pictures ahead.
            workers: pictures read at a time; if left out one per core, or 16 that share calls.
            on_error: what becomes of a picture that cannot be read: "raise", or "page": a `Page` with its `error` set.
            combine: whether pictures share calls; if left out where ONNX Runtime uses a GPU.
            options: fields of `ReadOptions`.

        Yields:
            pages, in the order of the sources.
        """
        self._options.changed(**options)  # complains now, not at the first page
        combine = self._on_gpu() if combine is None else combine
        reader, usual = (self.combined(), _TOGETHER) if combine else (self.single_threaded(), cores())
        read = partial(reader.__call__, **options)
        return read_many(read, sources, workers=usual if workers is None else workers, on_error=on_error)

    def single_threaded(self) -> OCR:
        """The same models, each call on one core: for those who make many calls at a time."""
        return self._single_threaded

    @cached_property
    def _single_threaded(self) -> OCR:
        detector, recognizer, classifier = self._stages()
        return OCR.from_stages(
            on_one_core(detector),
            on_one_core(recognizer),
            on_one_core(classifier),
            **vars(self._options),
        )

    def combined(self) -> OCR:
        """The same models, calls of several threads done together: for those who make many calls at a time on a GPU."""
        detector, recognizer, classifier = self._stages()
        batch_size = self._options.batch_size or _COMBINED_BATCH
        return OCR.from_stages(
            detector and combined_detector(detector, _TOGETHER),
            recognizer and CombinedStage(recognizer, _TOGETHER * batch_size),
            classifier and CombinedStage(classifier, _TOGETHER * batch_size),
            **{**vars(self._options), "batch_size": batch_size},
        )

    def warm_up(self) -> OCR:
        """Load the networks and run each once, so that the first picture takes no longer than the next.

        Returns:
            itself.

        Raises:
            ModelError: a file of the model cannot be loaded.
        """
        detector, recognizer, classifier = self._stages()
        blank = np.full(_BLANK, 255, np.uint8)
        if detector:
            self._reader.probability_map(blank, self._options)
        if recognizer:
            self._reader.recognize([blank], self._options)
        if classifier:
            self._reader.classify([blank], self._options)
        return self

    def _stages(self) -> tuple[TextDetector | None, AnyRecognizer | None, AnyClassifier | None]:
        return self._reader.detector, self._reader.recognizer, self._reader.classifier

    def _on_gpu(self) -> bool:
        backends = [stage.backend for stage in self._stages() if stage is not None]
        return any(isinstance(backend, OnnxBackend) and on_gpu(backend.device) for backend in backends)

    def detect(self, image_rgb: np.ndarray, **options: Any) -> list[TextBox]:
        """Boxes of the text lines in a picture (H, W, 3) uint8, in reading order.

        Raises:
            ModelError: the model has no detector.
        """
        chosen = self._options.changed(**options)
        boxes = self._reader.detect(image_rgb, chosen)
        return [boxes[i] for i in READING_ORDERS[chosen.reading_order](as_quads([box.points for box in boxes]))]

    def probability_map(self, image_rgb: np.ndarray, **options: Any) -> np.ndarray:
        """The detector's map (h, w) float32, 0..1, of a picture (H, W, 3) uint8, in the size at which it is seen.

        Raises:
            ModelError: the model has no detector.
        """
        return self._reader.probability_map(image_rgb, self._options.changed(**options))

    def classify(self, crops: Sequence[np.ndarray], **options: Any) -> list[Direction]:
        """How each line crop (h, w, 3) uint8 lies.

        Raises:
            ModelError: the model has no direction classifier.
        """
        return self._reader.classify(crops, self._options.changed(**options))

    def recognize(self, crops: Sequence[np.ndarray], **options: Any) -> list[Decoded]:
        """Text of each line crop (h, w, 3) uint8, however little the confidence.

        Raises:
            ModelError: the model has no recognizer.
        """
        return self._reader.recognize(crops, self._options.changed(**options))
