"""Thread pool that reads the pages of all requests; each request gets its pages in order.

A page is decoded and read by one thread, so that there are never more images in memory than threads. A document has at
most as many pages in the pool's queue as there are threads: an image that arrives while a document of 100 pages is
being read waits for a few of its pages, not for all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ppocr_jax.document.page import Page
from ppocr_jax.images import ImageError, InputPage, read_pages
from ppocr_jax.inference.many import cores
from ppocr_jax.inference.ocr import IMAGES_PER_CALL, OCR
from ppocr_jax.serve.settings import ServerSettings


@dataclass(frozen=True)
class ReadPage:
    """A recognized page and its image.

    Attributes:
        page: The recognized page; `page.error` says why it could not be read.
        image: The decoded image and the page count of its document; None if the page could not be read.
        seconds: Time of decoding and reading.
    """

    page: Page
    image: InputPage | None
    seconds: float = 0.0


@dataclass
class Job:
    """The document of one request.

    Attributes:
        data: The uploaded file.
        model: Name of one of the engine's models.
        source: File name to store in the pages.
        options: Arguments of `OCR.__call__` for this document.
        input_options: Arguments of `images.read_pages`: pages, password, dpi, frames.
    """

    data: bytes
    model: str
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input_options: Mapping[str, Any] = field(default_factory=dict)


class Engine:
    """Loaded models and a pool of threads. `start`, `read` and `stop` run in an asyncio event loop."""

    def __init__(self, settings: ServerSettings, load: Callable[[str], OCR] | None = None) -> None:
        """
        Args:
            settings: Models, threads and limits.
            load: Returns the `OCR` for a model name; by default one with the networks of the settings.
        """
        self.settings, self._load = settings, load or self._load_model
        self._models: dict[str, OCR] = {}
        self.ready = False
        self.waiting = 0  # requests that wait or are being read
        self.threads = settings.threads or (IMAGES_PER_CALL if self._combine else cores())
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="ppocr_jax-serve")

    @property
    def full(self) -> bool:
        """Whether the number of requests has reached the limit of the queue."""
        return self.waiting >= self.settings.queue

    async def start(self) -> None:
        """Load the models and run each network once.

        Raises:
            UserError: A model cannot be loaded.
        """
        run = asyncio.get_running_loop().run_in_executor
        for name in self.settings.models:
            self._models[name] = await run(self._pool, self._load, name)
        self.ready = True

    async def stop(self) -> None:
        """Stop reading: cancel queued pages and wait for those that are being read."""
        self.ready = False
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def read(self, job: Job) -> AsyncGenerator[ReadPage]:
        """Read the pages of a document.

        Closing the iterator, for example after a time limit, cancels the pages that no thread has started.

        Yields:
            The pages in order; a page that cannot be read has an `error`.

        Raises:
            UserError: The document cannot be opened, or none of its pages can be read.
        """
        loop = asyncio.get_running_loop()
        several: asyncio.Future[None] = loop.create_future()
        model = self._models[job.model]
        pages = _Pages(job, model, self.settings, lambda: loop.call_soon_threadsafe(_done, several))
        pending: set[asyncio.Future[None]] = set()
        self.waiting += 1
        given = 0
        try:
            while True:
                # One task at first: whether there are more pages is only known once the first page is decoded.
                turns = self.threads if several.done() else 1
                while not pages.exhausted and len(pending) < turns:
                    pending.add(loop.run_in_executor(self._pool, pages.read_next))
                if not pending:
                    return
                awaited = pending if several.done() else {*pending, several}
                done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
                pending -= done
                for future in done:
                    future.result()
                while (page := pages.results.pop(given, None)) is not None:
                    yield page
                    given += 1
        finally:
            self.waiting -= 1
            for future in pending:
                future.cancel()
            several.cancel()
            # In another thread, because `close` waits for a pool thread that is decoding a page of the document.
            threading.Thread(target=pages.close).start()

    @property
    def _combine(self) -> bool:
        if self.settings.combine is not None or self.settings.networks.get("backend", "onnx") != "onnx":
            return bool(self.settings.combine)
        from ppocr_jax.inference.onnx_session import on_gpu

        return on_gpu(self.settings.networks.get("device", "auto"))

    def _load_model(self, name: str) -> OCR:
        ocr = OCR(name, **self.settings.networks)
        # As in `OCR.read_many`: one page per core, or several pages that share network calls on a GPU.
        return (ocr.combined() if self._combine else ocr.single_threaded()).warm_up()


class _Pages:
    """A document whose pages are read by several threads."""

    def __init__(self, job: Job, ocr: OCR, settings: ServerSettings, several: Callable[[], object]) -> None:
        """
        Args:
            job: The document and its options.
            ocr: The model to read with.
            settings: Limits of pages and pixels.
            several: Called in a pool thread when the document is found to have more than one page.
        """
        self._job, self._ocr, self._several = job, ocr, several
        self._options = {**job.options, "max_pixels": settings.max_pixels}
        self._errors: list[ImageError] = []
        self._images: Generator[InputPage] = read_pages(
            job.data,
            max_pixels=settings.max_pixels,
            max_pages=settings.max_pages,
            on_error=self._errors.append,
            **job.input_options,
        )
        self._lock = threading.Lock()
        self._taken = 0
        self.exhausted = False
        self.results: dict[int, ReadPage] = {}

    def close(self) -> None:
        """Read no more pages and free the document."""
        self.exhausted = True
        with self._lock:
            self._images.close()

    def read_next(self) -> None:
        """Read the next page, if there is one, into `results`.

        Raises:
            UserError: The document cannot be opened, or none of its pages can be read.
        """
        begun = time.perf_counter()
        with self._lock:
            image = None if self.exhausted else next(self._images, None)
            if image is None or image.page_count == 1:
                self._images.close()
                self.exhausted = True
            if image is None and self._taken == 0 and self._errors:
                raise self._errors[0]
            for error in self._errors:
                self.results[self._taken] = ReadPage(Page.of_error(error, self._job.source), None)
                self._taken += 1
            self._errors.clear()
            if image is None:
                return
            place, self._taken = self._taken, self._taken + 1
        if not self.exhausted:
            self._several()
        page = self._ocr(image.image_rgb, **self._options)
        page = replace(page, source=self._job.source, number=image.number)
        self.results[place] = ReadPage(page, image, time.perf_counter() - begun)


def _done(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
