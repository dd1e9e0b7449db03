"""Text recognition in images and documents: the class `OCR`."""

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
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, cut_letters, load_model_folder
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.onnx_session import on_gpu
from ppocr_jax.inference.options import ReadOptions, ReadSettings
from ppocr_jax.inference.page import prepare_image
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.inference.stages import AnyClassifier, AnyRecognizer, Stages, as_quads
from ppocr_jax.language_model import LanguageModel

if TYPE_CHECKING:
    from ppocr_jax.inference.classify import Direction
    from ppocr_jax.inference.db_postprocess import TextBox
    from ppocr_jax.inference.decode import Decoded

_logger = logging.getLogger(__name__)
IMAGES_PER_CALL = 16
"""Images that share network calls on a GPU."""
_COMBINED_BATCH = 32  # lines per batch in that case
_WARM_UP_SIZE = (64, 256, 3)


class OCR:
    """OCR engine for images and documents. Immutable; several threads may call one object at the same time.

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
        language_model: str | Path = "auto",
        backend: str = "onnx",
        device: str = "auto",
        threads: int | None = None,
        precision: Literal["auto", "float32"] = "auto",
        cache_dir: str | Path | None = None,
        **options: Unpack[ReadOptions],
    ) -> None:
        """Load a model.

        Args:
            model: Name of a built-in model, of a PP-OCR release ("ppocr-v4", see `released.RELEASES`), of one or more
                languages ("fra", "de+en", see `model_folder.LANGUAGES`), or the path of a model folder.
            det, cls, rec: ONNX files that replace the networks of the model, such as PP-OCR's; see
                `onnx_files.with_onnx_files`. Networks that the model adds to them are logged.
            charset: Characters of the recognizer given as `rec`.
            rec_height: Height of its lines in pixels, if neither its file nor its output determines it.
            letters: The only characters to recognize: the name of a charset ("latin"), a file with one character per
                line, or the characters themselves ("0123456789.,"). None: all characters of the recognizer. The
                recognizer's head is cut to them, which saves time if it has thousands of classes. Confidences are
                softmax probabilities among the remaining characters.
            language_model: File of a language model (`ppocr-jax language-model`), with which uncertain lines are
                decoded. "auto": that of the model, if it has one and `rec` does not have other characters. "none":
                decode greedily.
            backend: "onnx" (ONNX Runtime), "openvino" or "jax".
            device: "auto", "cpu" or "cuda", for ONNX Runtime. JAX chooses the device by its own settings.
            threads: Number of cores that ONNX Runtime and OpenVINO use for one image. None: all.
            precision: Precision of OpenVINO. "auto": bfloat16 if the processor supports it. Other backends use float32.
            cache_dir: Folder in which OpenVINO caches compiled networks. None: no cache.
            options: `ReadOptions`, the defaults of every call.

        Raises:
            ModelError: If the model folder is missing, incomplete or inconsistent.
            LanguageModelError: If the language model is missing or is none.
            TypeError: If an option does not exist.
            ValueError: If the value of an option is out of range.
        """
        settings = ReadSettings().changed(**options)
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

        # One image uses all cores in the detector. Batches of lines run in parallel, each on one core.
        alone = backend == "jax" or (backend == "onnx" and on_gpu(device))
        workers = 1 if alone else threads or cores()
        self.stages = Stages(
            TextDetector(make("det", threads), folder.det) if folder.det else None,
            TextRecognizer(
                make("rec", 1, classes), folder.rec, folder.charset, workers, _language(folder, language_model)
            )
            if folder.rec
            else None,
            TextClassifier(make("cls", 1), folder.cls, workers) if folder.cls else None,
            settings,
        )

    @classmethod
    def from_stages(
        cls,
        detector: TextDetector | None = None,
        recognizer: AnyRecognizer | None = None,
        classifier: AnyClassifier | None = None,
        **options: Unpack[ReadOptions],
    ) -> OCR:
        """Return an `OCR` made of existing stages, such as networks in training. For `options`, see `OCR`."""
        return cls._of(Stages(detector, recognizer, classifier).changed(**options))

    @classmethod
    def _of(cls, stages: Stages) -> OCR:
        self = cls.__new__(cls)
        self.stages = stages
        return self

    @overload
    def __call__(self, source: ImageSource, **options: Unpack[ReadOptions]) -> Page: ...

    @overload
    def __call__(self, source: Iterable[ImageSource], **options: Unpack[ReadOptions]) -> Iterator[Page]: ...

    def __call__(
        self, source: ImageSource | Iterable[ImageSource], **options: Unpack[ReadOptions]
    ) -> Page | Iterator[Page]:
        """Read one or several images.

        Args:
            source: Anything that `images.load_image` accepts, or a list, tuple or iterator of these (see `read_many`).
            options: Options for this call only.

        Returns:
            A page with its lines in reading order, without lines if the image has no text. For several images, an
            iterator of pages.

        Raises:
            ImageError: If the source is not a readable image. Use `read` for documents and folders.
            TypeError: If an option does not exist.
            ValueError: If the value of an option is out of range.
        """
        if are_several(source):
            return self.read_many(cast("Iterable[ImageSource]", source), **options)
        stages = self.stages.changed(**options)
        image_rgb = load_image(cast("ImageSource", source), max_pixels=stages.settings.max_pixels, partial=True)
        return read_image(stages, image_rgb, source=describe_source(source))

    def read_many(
        self,
        sources: Iterable[ImageSource],
        *,
        workers: int | None = None,
        on_error: OnError = "raise",
        combine: bool | None = None,
        **options: Unpack[ReadOptions],
    ) -> Iterator[Page]:
        """Read several images, one page each, in parallel.

        By default one image per core is read at a time. This is up to twice as fast as reading one image after the
        other on all cores. On a GPU, images share network calls instead: images of equal size share detector calls,
        and lines of similar width share recognizer calls. The batch of a line then depends on the other images, so
        the last digits of its confidence may vary.

        Args:
            sources: Images. An iterator is consumed a few images ahead.
            workers, combine, on_error: See `DocumentOptions`.
            options: Options for these images only.

        Yields:
            Pages, in the order of the sources.

        Raises:
            TypeError: If an option does not exist.
            ValueError: If the value of an option is out of range.
        """
        ocr, workers = self._for_many(workers, combine)
        self.stages.changed(**options)  # raise errors now and not at the first page
        keep_errors = checked_on_error(on_error) == "page"

        def read(source: ImageSource) -> Page:
            try:
                return ocr(source, **options)
            except UserError as error:
                if not keep_errors:
                    raise
                return Page.of_error(error, describe_source(source))

        return ordered_map(read, sources, workers=workers)

    def read(self, sources: Sources, **options: Unpack[DocumentOptions]) -> Iterator[Page]:
        """Read every page of images, documents and folders.

        Args:
            sources: An image, PDF document, multi-page TIFF file or folder, or several of these; see
                `images.read_pages`. An iterator is consumed a few documents ahead.
            options: Which pages are read, and how, and how errors are handled.

        Yields:
            Pages, in the order of the sources. `Page.source` and `Page.number` identify them.

        Raises:
            UserError: If a source cannot be read (unless `on_error` is "page"), or options are invalid.
            TypeError: If an option does not exist.
            ValueError: If the value of an option is out of range.
        """
        return (page for page, _ in self._read_documents(sources, options, images=False))

    def read_with_images(
        self, sources: Sources, **options: Unpack[DocumentOptions]
    ) -> Iterator[tuple[Page, InputPage | None]]:
        """Read like `read`, and yield each page with its image. The image is None if it could not be read."""
        return self._read_documents(sources, options, images=True)

    async def aread(self, sources: Sources, **options: Unpack[DocumentOptions]) -> AsyncIterator[Page]:
        """Read like `read`, asynchronously: the work is done in threads outside the event loop.

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
            if following is not None:  # a thread cannot be canceled, and a running generator cannot be closed
                await asyncio.wait([following])
            await asyncio.to_thread(pages.close)  # pyright: ignore[reportAttributeAccessIssue] - a generator

    def single_threaded(self) -> OCR:
        """Return the same models with one core per call, for callers that make many calls in parallel."""
        return self._single_threaded

    def combined(self) -> OCR:
        """Return the same models with simultaneous calls combined into batches, for many parallel calls on a GPU."""
        stages, batch_size = self.stages, self.stages.settings.batch_size or _COMBINED_BATCH
        detector, lines = stages.detector, IMAGES_PER_CALL * batch_size
        together = Stages(
            detector and replace(detector, backend=CombinedBackend(detector.backend, IMAGES_PER_CALL)),
            stages.recognizer and CombinedStage(stages.recognizer, lines),
            stages.classifier and CombinedStage(stages.classifier, lines),
            replace(stages.settings, batch_size=batch_size),
        )
        return OCR._of(together)

    def warm_up(self) -> OCR:
        """Load the networks and run each once, so that the first image is not slower than the next.

        Returns:
            This object.

        Raises:
            ModelError: If a file of the model cannot be loaded.
        """
        sheet = np.full(_WARM_UP_SIZE, 255, np.uint8)
        sheet[24:40, 32:224] = 0  # a bar, because the detector skips blank images
        if self.stages.detector:
            self.probability_map(sheet)
        if self.stages.recognizer:
            self.recognize([sheet])
        if self.stages.classifier:
            self.classify([sheet])
        return self

    def detect(self, source: ImageSource, **options: Unpack[ReadOptions]) -> list[TextBox]:
        """Return the boxes of the text lines in an image, in reading order.

        Raises:
            ImageError: If the source is not a readable image.
            ModelError: If the model has no detector.
        """
        stages = self.stages.changed(**options)
        image_rgb = load_image(source, max_pixels=stages.settings.max_pixels)
        image, before = prepare_image(stages, image_rgb)
        last = np.array(image_rgb.shape[1::-1], np.float32) - 1
        found = stages.detect_lines(image).boxes
        boxes = [replace(box, points=(box.points - before).clip(0, last)) for box in found]
        order = READING_ORDERS[stages.settings.reading_order](as_quads([box.points for box in boxes]))
        return [boxes[i] for i in order]

    def probability_map(self, source: ImageSource, **options: Unpack[ReadOptions]) -> np.ndarray:
        """Return the detector's probability map (h, w) float32, 0..1, of an image, at the detector's input size.

        Raises:
            ImageError: If the source is not a readable image.
            ModelError: If the model has no detector.
        """
        stages = self.stages.changed(**options)
        return stages.probability_map(load_image(source, max_pixels=stages.settings.max_pixels))

    def classify(self, crops: Sequence[ImageSource], **options: Unpack[ReadOptions]) -> list[Direction]:
        """Return the direction of each line image.

        Raises:
            ImageError: If a source is not a readable image.
            ModelError: If the model has no direction classifier.
            TypeError: If `crops` is a single image.
        """
        stages = self.stages.changed(**options)
        return stages.classify(_load_lines(crops, stages.settings))

    def recognize(self, crops: Sequence[ImageSource], **options: Unpack[ReadOptions]) -> list[Decoded]:
        """Return the text of each line image, whatever the confidence.

        Raises:
            ImageError: If a source is not a readable image.
            ModelError: If the model has no recognizer.
            TypeError: If `crops` is a single image.
        """
        stages = self.stages.changed(**options)
        return stages.recognize(_load_lines(crops, stages.settings))

    @cached_property
    def _single_threaded(self) -> OCR:
        detector = self.stages.detector
        if detector is not None and isinstance(detector.backend, OnnxBackend):
            detector = replace(detector, backend=detector.backend.with_threads(1))
        recognizer, classifier = _one_worker(self.stages.recognizer), _one_worker(self.stages.classifier)
        return OCR._of(Stages(detector, recognizer, classifier, self.stages.settings))

    def _for_many(self, workers: int | None, combine: bool | None) -> tuple[OCR, int]:
        """Return the `OCR` that reads pages in parallel, and the number of pages at a time.

        Raises:
            OptionError: If `workers` is less than 1.
        """
        if workers is not None:
            check_number("workers", workers, least=1, whole=True)
        stages = (self.stages.detector, self.stages.recognizer, self.stages.classifier)
        backends = [stage.backend for stage in stages if stage is not None]
        if combine is None:
            combine = any(isinstance(backend, OnnxBackend) and on_gpu(backend.device) for backend in backends)
        if combine:
            return self.combined(), workers or IMAGES_PER_CALL
        return self.single_threaded(), workers or cores()

    def _read_documents(
        self, sources: Sources, options: DocumentOptions, *, images: bool
    ) -> Iterator[tuple[Page, InputPage | None]]:
        """Check the options now, and read the pages lazily."""
        own = DocumentOptions.__annotations__.keys() - ReadOptions.__annotations__.keys()
        of_reading = {name: value for name, value in options.items() if name not in own}
        page_options = cast("ReadOptions", of_reading)
        alone = self.stages.changed(**page_options)
        many, workers = self._for_many(options.get("workers"), options.get("combine"))
        together = many.stages.changed(**page_options)
        return DocumentReading(alone, together, workers, options, images=images).run(sources)


def _load_lines(crops: Sequence[ImageSource], settings: ReadSettings) -> list[np.ndarray]:
    if not are_several(crops):  # an array would be taken for as many lines as it has rows of pixels
        raise TypeError(f"pass line images as a list, such as [image], not {type(crops).__name__}")
    return [load_image(crop, max_pixels=settings.max_pixels) for crop in crops]


_LineStage = TypeVar("_LineStage", AnyClassifier, AnyRecognizer)


def _one_worker(stage: _LineStage | None) -> _LineStage | None:
    return replace(stage, workers=1) if isinstance(stage, TextClassifier | TextRecognizer) else stage


def _language(model: ModelFolder, given: str | Path) -> LanguageModel | None:
    """Return the language model given as the option `language_model`."""
    if given == "none" or (given == "auto" and model.language is None):
        return None
    return LanguageModel.load(given if given != "auto" else model.path / str(model.language))
