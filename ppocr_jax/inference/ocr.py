"""`OCR`: images and documents in, pages of text lines out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, cast, overload

import numpy as np

from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError, check_number
from ppocr_jax.images import ImageSource, InputPage, describe_source, load_image
from ppocr_jax.inference.backends import Backend, OnnxBackend, make_backend
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.documents import (
    DocumentOptions,
    DocumentReading,
    OnError,
    Sources,
    are_several,
    checked_on_error,
    read_image,
)
from ppocr_jax.inference.layout import READING_ORDERS
from ppocr_jax.inference.many import CombinedBackend, CombinedStage, cores, ordered_map
from ppocr_jax.inference.model_folder import TASKS, cut_letters, load_model_folder
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.onnx_session import on_gpu
from ppocr_jax.inference.options import ReadOptions, ReadSettings
from ppocr_jax.inference.page import prepared
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.inference.stages import AnyClassifier, AnyRecognizer, Stages, as_quads

if TYPE_CHECKING:
    from ppocr_jax.inference.classify import Direction
    from ppocr_jax.inference.db_postprocess import TextBox
    from ppocr_jax.inference.decode import Decoded

_logger = logging.getLogger(__name__)
_TOGETHER, _COMBINED_BATCH = 16, 32  # images that share calls, lines of a batch then
_SHEET = (64, 256, 3)


class OCR:
    """Reads text in images and documents. Immutable; several threads may call one object at a time.

    Example:
        ocr = OCR("en")
        page = ocr("receipt.jpg", box_threshold=0.5)
        print(page.text)
        for page in ocr.read("scans/", recursive=True):
            print(page.source, page.number, page.text)
    """

    def __init__(
        self,
        model: str | Path = "en",
        *,
        det: str | Path | None = None,
        cls: str | Path | None = None,
        rec: str | Path | None = None,
        charset: str | Path | None = None,
        rec_height: int | None = None,
        letters: str | Path | Iterable[str] | None = None,
        backend: str = "onnx",
        device: str = "auto",
        threads: int | None = None,
        precision: Literal["auto", "float32"] = "auto",
        cache_dir: str | Path | None = None,
        **options: Unpack[ReadOptions],
    ) -> None:
        """
        Args:
            model: name of a built-in model, of one that PP-OCR has released ("ppocr-v4", see `released.RELEASES`), of
                languages ("fra", "de+en", see `model_folder.LANGUAGES`), or a model folder.
            det, cls, rec, charset, rec_height: ONNX files to use instead of the model's, such as PP-OCR's, the
                characters of such a recognizer, and the height of its lines in pixels where neither its file nor its
                output tells that; see `onnx_files.with_onnx_files`. The log says what the model adds to them.
            letters: all that is to be read: a charset's name ("latin"), a file with one character a line, or the
                letters themselves ("0123456789.,"); None: all that the recognizer knows. Its head is cut to them, which
                saves time where it knows thousands. Confidences are shares among the letters that are left.
            backend: "onnx" (ONNX Runtime), "openvino" or "jax".
            device: "auto", "cpu" or "cuda", for ONNX Runtime; JAX chooses by its own settings.
            threads: cores to use for one image, by ONNX Runtime and OpenVINO; None: all.
            precision: of OpenVINO's arithmetic, "auto": bfloat16 where the processor has it; the others' is float32.
            cache_dir: folder in which OpenVINO keeps compiled networks for later starts; None: it keeps none.
            options: `ReadOptions` for every call.

        Raises:
            ModelError: the model folder is missing, incomplete or contradicts itself.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        self._settings = ReadSettings().changed(**options)
        if threads is not None:
            check_number("threads", threads, least=1, whole=True)
        if rec_height is not None:
            check_number("rec_height", rec_height, least=1, whole=True)
        folder, opened = load_model_folder(model), {}
        if det or cls or rec or charset or rec_height:
            folder, opened = with_onnx_files(
                folder, det=det, cls=cls, rec=rec, charset=charset, rec_height=rec_height, device=device
            )
            if rest := [task for task in TASKS if task not in opened and getattr(folder, task)]:
                _logger.info("no file given for %s: using the model %r", ", ".join(rest), str(model))

        whole, classes = folder, None
        if letters is not None:
            folder, classes = cut_letters(whole, letters)

        def make(task: str, threads: int | None, classes: Sequence[int] | None = None) -> Backend:
            if backend == "onnx" and threads == 1 and task in opened and classes is None:
                return opened[task]
            more = {"precision": precision, "cache_dir": cache_dir, "classes": classes}
            return make_backend(whole, task, backend, device=device, threads=threads, **more)

        # One image keeps all cores busy; of the many lines' batches each runs on one of them.
        alone = backend == "jax" or (backend == "onnx" and on_gpu(device))
        workers = 1 if alone else threads or cores()
        self.stages = Stages(
            TextDetector(make("det", threads), folder.det) if folder.det else None,
            TextRecognizer(make("rec", 1, classes), folder.rec, folder.charset, workers) if folder.rec else None,
            TextClassifier(make("cls", 1), folder.cls, workers) if folder.cls else None,
        )

    @classmethod
    def from_stages(
        cls,
        detector: TextDetector | None = None,
        recognizer: AnyRecognizer | None = None,
        classifier: AnyClassifier | None = None,
        **options: Unpack[ReadOptions],
    ) -> OCR:
        """Return an `OCR` of ready-made stages, such as networks in training; `options` as for `OCR`."""
        return cls._of(Stages(detector, recognizer, classifier), ReadSettings().changed(**options))

    @classmethod
    def _of(cls, stages: Stages, settings: ReadSettings) -> OCR:
        self = cls.__new__(cls)
        self.stages, self._settings = stages, settings
        return self

    @overload
    def __call__(self, source: ImageSource, **options: Unpack[ReadOptions]) -> Page: ...

    @overload
    def __call__(self, source: Iterable[ImageSource], **options: Unpack[ReadOptions]) -> Iterator[Page]: ...

    def __call__(
        self, source: ImageSource | Iterable[ImageSource], **options: Unpack[ReadOptions]
    ) -> Page | Iterator[Page]:
        """Read an image, or each of several.

        Args:
            source: anything `images.load_image` takes; or a list, tuple, or iterator of such, see `read_many`.
            options: for this call alone.

        Returns:
            the lines in reading order, none where the image holds no text; for several images an iterator of such.

        Raises:
            ImageError: the source is not an image that can be read. Documents and folders are what `read` is for.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        if are_several(source):
            return self.read_many(cast("Iterable[ImageSource]", source), **options)
        settings = self._settings.changed(**options)
        image_rgb = load_image(cast("ImageSource", source), max_pixels=settings.max_pixels, partial=True)
        return read_image(self.stages, image_rgb, settings, source=describe_source(source))

    def read_many(
        self,
        sources: Iterable[ImageSource],
        *,
        workers: int | None = None,
        on_error: OnError = "raise",
        combine: bool | None = None,
        **options: Unpack[ReadOptions],
    ) -> Iterator[Page]:
        """Read several images, each of which gives one page, as many at a time as there are cores.

        Each is read on one core, which is up to twice as fast as one image after the other on all cores. On a GPU
        images share the networks' calls instead: those of equal size the detector's, lines of like width the
        recognizer's. As a line's batch then depends on what else is read, so do the last digits of its confidence.

        Args:
            sources: images; an iterator is consumed a few images ahead.
            workers, combine, on_error: see `DocumentOptions`.
            options: for these images alone.

        Yields:
            pages, in the order of the sources.

        Raises:
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        ocr, workers = self._for_many(workers, combine)
        self._settings.changed(**options)  # complains now, not at the first page
        keep_errors = checked_on_error(on_error) == "page"

        def read(source: ImageSource) -> Page:
            try:
                return ocr(source, **options)
            except UserError as error:
                if not keep_errors:
                    raise
                return Page(0, 0, (), describe_source(source), error=str(error))

        return ordered_map(read, sources, workers=workers)

    def read(self, sources: Sources, **options: Unpack[DocumentOptions]) -> Iterator[Page]:
        """Read images, documents and folders: every page of each.

        Args:
            sources: an image, PDF document, multi-page TIFF file or folder, or several of them; see
                `images.read_pages`. An iterator is consumed a few documents ahead.
            options: which pages, how they are read, and what becomes of errors.

        Yields:
            pages, in the order of the sources; `Page.source` and `Page.number` say which.

        Raises:
            UserError: a source cannot be read (unless `on_error` is "page"), or an option makes no sense.
            ValueError, TypeError: an option that does not exist, or its value out of range.
        """
        return (page for page, _ in self._read_documents(sources, options, images=False))

    def read_with_images(
        self, sources: Sources, **options: Unpack[DocumentOptions]
    ) -> Iterator[tuple[Page, InputPage | None]]:
        """Read as `read`; yield each page with the image it was read from, None where that failed."""
        return self._read_documents(sources, options, images=True)

    async def aread(self, sources: Sources, **options: Unpack[DocumentOptions]) -> AsyncIterator[Page]:
        """Read as `read`, in threads beside the running event loop.

        Example:
            async for page in ocr.aread("letter.pdf"):
                print(page.text)
        """
        pages = self.read(sources, **options)
        following: asyncio.Task[Page | None] | None = None
        try:
            while True:
                following = asyncio.create_task(asyncio.to_thread(next, pages, None))
                page = await asyncio.shield(following)
                if page is None:
                    break
                yield page
        finally:
            if following is not None:  # a thread cannot be cancelled, and a generator that runs cannot be closed
                await asyncio.wait([following])
            await asyncio.to_thread(pages.close)  # pyright: ignore[reportAttributeAccessIssue] - a generator

    def single_threaded(self) -> OCR:
        """Return the same models, each call on one core: for those who make many calls at a time."""
        return self._single_threaded

    def combined(self) -> OCR:
        """Return the same models, calls of several threads done together: for many calls at a time on a GPU."""
        stages, batch_size = self.stages, self._settings.batch_size or _COMBINED_BATCH
        detector, lines = stages.detector, _TOGETHER * batch_size
        together = Stages(
            detector and replace(detector, backend=CombinedBackend(detector.backend, _TOGETHER)),
            stages.recognizer and CombinedStage(stages.recognizer, lines),
            stages.classifier and CombinedStage(stages.classifier, lines),
        )
        return OCR._of(together, replace(self._settings, batch_size=batch_size))

    def warm_up(self) -> OCR:
        """Load the networks and run each once, so that the first image takes no longer than the next.

        Returns:
            itself.

        Raises:
            ModelError: a file of the model cannot be loaded.
        """
        sheet = np.full(_SHEET, 255, np.uint8)
        sheet[24:40, 32:224] = 0  # a bar, as nothing looks at blank paper
        if self.stages.detector:
            self.probability_map(sheet)
        if self.stages.recognizer:
            self.recognize([sheet])
        if self.stages.classifier:
            self.classify([sheet])
        return self

    def detect(self, image_rgb: np.ndarray, **options: Unpack[ReadOptions]) -> list[TextBox]:
        """Return the boxes of the text lines in an image (H, W, 3) uint8, in reading order.

        Raises:
            ModelError: the model has no detector.
        """
        settings = self._settings.changed(**options)
        image, before = prepared(self.stages, image_rgb, settings)
        last = np.array(image_rgb.shape[1::-1], np.float32) - 1
        found = self.stages.look(image, settings).boxes
        boxes = [replace(box, points=(box.points - before).clip(0, last)) for box in found]
        return [boxes[i] for i in READING_ORDERS[settings.reading_order](as_quads([box.points for box in boxes]))]

    def probability_map(self, image_rgb: np.ndarray, **options: Unpack[ReadOptions]) -> np.ndarray:
        """Return the detector's map (h, w) float32, 0..1, of an image (H, W, 3) uint8, in the size that it sees.

        Raises:
            ModelError: the model has no detector.
        """
        settings = self._settings.changed(**options)
        return self.stages.present_detector().probability_map(
            image_rgb, limit_side=settings.limit_side, limit_type=settings.limit_type
        )

    def classify(self, crops: Sequence[np.ndarray], **options: Unpack[ReadOptions]) -> list[Direction]:
        """Return how each line crop (h, w, 3) uint8 lies.

        Raises:
            ModelError: the model has no direction classifier.
        """
        return self.stages.classify(crops, self._settings.changed(**options))

    def recognize(self, crops: Sequence[ImageSource], **options: Unpack[ReadOptions]) -> list[Decoded]:
        """Return the text of each image of a line, (h, w, 3) uint8 or a file, however little the confidence.

        Raises:
            ImageError: a file is not an image that can be read.
            ModelError: the model has no recognizer.
        """
        settings = self._settings.changed(**options)
        return self.stages.recognize([load_image(crop, max_pixels=settings.max_pixels) for crop in crops], settings)

    @cached_property
    def _single_threaded(self) -> OCR:
        detector = self.stages.detector
        if detector is not None and isinstance(detector.backend, OnnxBackend):
            detector = replace(detector, backend=detector.backend.with_threads(1))
        stages = Stages(detector, _one_worker(self.stages.recognizer), _one_worker(self.stages.classifier))
        return OCR._of(stages, self._settings)

    def _for_many(self, workers: int | None, combine: bool | None) -> tuple[OCR, int]:
        """Return what reads pages at the same time, and how many at a time.

        Raises:
            OptionError: fewer than one worker.
        """
        if workers is not None:
            check_number("workers", workers, least=1, whole=True)
        stages = (self.stages.detector, self.stages.recognizer, self.stages.classifier)
        backends = [stage.backend for stage in stages if stage is not None]
        if combine is None:
            combine = any(isinstance(backend, OnnxBackend) and on_gpu(backend.device) for backend in backends)
        return (self.combined(), workers or _TOGETHER) if combine else (self.single_threaded(), workers or cores())

    def _read_documents(
        self, sources: Sources, options: DocumentOptions, *, images: bool
    ) -> Iterator[tuple[Page, InputPage | None]]:
        """Check the options now, and read when asked for pages."""
        own = DocumentOptions.__annotations__.keys() - ReadOptions.__annotations__.keys()
        of_reading = {name: value for name, value in options.items() if name not in own}
        settings = self._settings.changed(**cast("ReadOptions", of_reading))
        many, workers = self._for_many(options.get("workers"), options.get("combine"))
        reading = DocumentReading(self.stages, many.stages, workers, settings, options, images=images)
        return reading.run(sources)


_LineStage = TypeVar("_LineStage", AnyClassifier, AnyRecognizer)


def _one_worker(stage: _LineStage | None) -> _LineStage | None:
    return replace(stage, workers=1) if isinstance(stage, TextClassifier | TextRecognizer) else stage
