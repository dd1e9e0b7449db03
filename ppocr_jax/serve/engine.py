"""Requests share one pool of reading threads; each request's pages come in order.

A page is decoded and read by one thread, so that no more images are in memory than there are threads. A document has
at most as many pages in the pool's queue as there are threads: an image that comes while a document of 100 pages is
read waits for a few of them, not for all.
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
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.serve.settings import ServerSettings

_TOGETHER = 16  # pages that share the calls of a GPU's networks, as in `OCR.read_many`


@dataclass(frozen=True)
class ReadPage:
    """A page with the image it was read from, which is None where `page.error` says why there is none.

    Attributes:
        page: what was read.
        image: with the size of the document it is from.
        seconds: that decoding and reading took.
    """

    page: Page
    image: InputPage | None
    seconds: float = 0.0


@dataclass
class Job:
    """One request's document.

    Attributes:
        data: the uploaded file.
        model: name of one of the engine's models.
        source: what the pages call their file.
        options: of `OCR.__call__`, for this document alone.
        input_options: of `images.read_pages`: pages, password, dpi, frames.
    """

    data: bytes
    model: str
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    input_options: Mapping[str, Any] = field(default_factory=dict)


class Engine:
    """Loaded models and the threads that read with them. Made and used in an asyncio event loop."""

    def __init__(self, settings: ServerSettings, load: Callable[[str], OCR] | None = None) -> None:
        """
        Args:
            settings: models, threads and limits.
            load: makes the `OCR` of a model's name; by default as the settings say.
        """
        self.settings, self._load = settings, load or self._load_model
        self._models: dict[str, OCR] = {}
        self.ready = False
        self.waiting = 0  # requests that wait or are read
        self.threads = settings.threads or (_TOGETHER if self._combine else cores())
        self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix="ppocr_jax-serve")

    @property
    def full(self) -> bool:
        """Whether one more request would be one too many."""
        return self.waiting >= self.settings.queue

    async def start(self) -> None:
        """Load the models and run each network once.

        Raises:
            UserError: a model cannot be loaded.
        """
        run = asyncio.get_running_loop().run_in_executor
        for name in self.settings.models:
            self._models[name] = await run(self._pool, self._load, name)
        self.ready = True

    async def stop(self) -> None:
        """Take no more; wait for the pages that are being read."""
        self.ready = False
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def read(self, job: Job) -> AsyncGenerator[ReadPage]:
        """Read a document's pages.

        Closing the iterator, as a time limit does, leaves the pages undone that no thread has begun.

        Yields:
            the pages in order; one that cannot be read has an `error`, unless nothing can be read.

        Raises:
            UserError: the document cannot be opened, or holds nothing that can be read.
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
                # An image takes one turn in the pool's queue; that there are more pages is known once one is drawn.
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
            # Not in this thread: one of the pool's may hold the document for as long as it takes to draw a page.
            threading.Thread(target=pages.close).start()

    @property
    def _combine(self) -> bool:
        if self.settings.combine is not None or self.settings.networks.get("backend", "onnx") != "onnx":
            return bool(self.settings.combine)
        from ppocr_jax.inference.onnx_session import on_gpu

        return on_gpu(self.settings.networks.get("device", "auto"))

    def _load_model(self, name: str) -> OCR:
        ocr = OCR(name, **self.settings.networks)
        # As `OCR.read_many` does it: one page per core, or many that share the calls of a GPU.
        return (ocr.combined() if self._combine else ocr.single_threaded()).warm_up()


class _Pages:
    """A document that several threads take pages from, each page by one of them."""

    def __init__(self, job: Job, ocr: OCR, settings: ServerSettings, several: Callable[[], object]) -> None:
        """
        Args:
            several: called, from any thread, once the document turns out to have more than one page.
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
        """Give no more pages, and free the document."""
        self.exhausted = True
        with self._lock:
            self._images.close()

    def read_next(self) -> None:
        """Read the next page into `results`; nothing where there is none.

        Raises:
            UserError: the document cannot be opened, or holds nothing that can be read.
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
                failed = Page(0, 0, (), self._job.source, error=str(error), number=error.number)
                self.results[self._taken] = ReadPage(failed, None)
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
