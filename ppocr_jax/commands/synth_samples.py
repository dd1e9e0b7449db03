"""Samples of `ppocr-jax synth`, drawn one after the other or in several processes."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from ppocr_jax.data.labels import Region
from ppocr_jax.errors import UserError
from ppocr_jax.synth.page import PageGenerator
from ppocr_jax.synth.text_line import LineGenerator

Label = str | tuple[Region, ...]
# Tasks handed out ahead for each process: enough to keep it busy, few enough to hold in memory.
_AHEAD = 8
# In a drawing process, what it draws.
_own_drawing: list[Drawing] = []


@dataclass(frozen=True)
class Drawing:
    """What is drawn; a sample is a pure function of this and its number. Immutable and picklable.

    Attributes:
        kind: "rec" (lines), "cls" (lines, every second one turned by 180 degrees) or "det" (pages).
        generator: of lines or, for "det", of pages.
        seed: number of the series.
        size: side of a page in pixels.
        words: the regions of a page are its words instead of its lines.
        suffix: "png" or "jpg", the format of the picture files.
        quality: of JPEG files, 1 to 100.
    """

    kind: str
    generator: LineGenerator | PageGenerator
    seed: int = 0
    size: int = 640
    words: bool = False
    suffix: str = "png"
    quality: int = 90

    def sample(self, index: int) -> tuple[np.ndarray, Label]:
        """(picture, label) number `index`: (h, w, 3) uint8 RGB, and a text, "0" or "180", or the regions of a page.

        Raises:
            UserError: it cannot be drawn, for example on a background that is no picture.
        """
        try:
            return self._page(index) if isinstance(self.generator, PageGenerator) else self._line(index)
        except ValueError as error:
            raise UserError(f"sample {index} of seed {self.seed} cannot be drawn: {error}") from error

    def encoded(self, index: int) -> tuple[bytes, Label]:
        """Sample number `index` with the bytes of its picture's file."""
        from PIL import Image

        image_rgb, label = self.sample(index)
        file = io.BytesIO()
        if self.suffix == "jpg":
            Image.fromarray(image_rgb).save(file, "JPEG", quality=self.quality)
        else:
            Image.fromarray(image_rgb).save(file, "PNG")
        return file.getvalue(), label

    def _page(self, index: int) -> tuple[np.ndarray, Label]:
        assert isinstance(self.generator, PageGenerator)
        page = self.generator(self.seed, index, size=(self.size, self.size))
        parts = [part for line in page.lines for part in (line.words if self.words else (line,))]
        return page.image_rgb, tuple(Region(part.quad, part.text) for part in parts)

    def _line(self, index: int) -> tuple[np.ndarray, Label]:
        assert isinstance(self.generator, LineGenerator)
        line = self.generator(self.seed, index)
        if self.kind == "rec":
            return line.image_rgb, line.text
        if index % 2:
            return np.ascontiguousarray(line.image_rgb[::-1, ::-1]), "180"
        return line.image_rgb, "0"


def encoded_samples(drawing: Drawing, count: int, *, workers: int = 1) -> Iterator[tuple[bytes, Label]]:
    """The first `count` samples in order, the same whatever the number of processes.

    Args:
        drawing: what is drawn.
        count: number of samples.
        workers: processes; 1 draws in this one. They are spawned, so the program's main module must be importable.

    Raises:
        UserError: a process ended by itself, for example for want of memory.
    """
    if workers == 1:
        yield from map(drawing.encoded, range(count))
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (drawing,))
    waiting: deque[Future[tuple[bytes, Label]]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(_encoded_by_worker, index))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError("a drawing process ended by itself; try fewer --workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(drawing: Drawing) -> None:
    """Keep to one core, leave it to the parent to react when the user stops the program, and end with it."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _own_drawing[:] = [drawing]


def _exit_with_parent() -> None:
    """A parent that was killed cannot close its processes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encoded_by_worker(index: int) -> tuple[bytes, Label]:
    return _own_drawing[0].encoded(index)
