"""Synthetic data sets: images with a label file, an LMDB database, or a contact sheet."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ppocr_jax.data.labels import (
    DetectionRecord,
    RecognitionRecord,
    Region,
    write_detection_labels,
    write_recognition_labels,
)
from ppocr_jax.data.labels.lmdb import build_lmdb
from ppocr_jax.errors import UserError
from ppocr_jax.synth.line import LineGenerator
from ppocr_jax.synth.page import PageGenerator

Label = str | tuple[Region, ...]
LABEL_FILES = {"rec": "rec_label.txt", "cls": "rec_label.txt", "det": "label.txt"}
# Tasks submitted in advance per process: enough to keep it busy, few enough to hold in memory.
_AHEAD = 8
# Set in a worker process to the samples that it draws.
_worker_series: list[Samples] = []
# Pixels of a contact sheet.
_SHEET_WIDTH = 1274
_SHEET_ROW_HEIGHT = {"rec": 36, "cls": 36, "det": 314}
_SHEET_GAP = 6


class Samples(Protocol):
    """What `write_folder` writes: `SampleSeries`, or `screenshots.ScreenshotSeries`."""

    @property
    def kind(self) -> str:
        """Key of `LABEL_FILES`."""
        ...

    @property
    def suffix(self) -> str:
        """Suffix of the image files, without the dot."""
        ...

    def encoded(self, index: int) -> tuple[bytes, Label]:
        """Return sample number `index` with the bytes of its image file."""
        ...


@dataclass(frozen=True)
class SampleSeries:
    """Definition of a series of samples; a sample is a pure function of it and its index. Immutable and picklable.

    Attributes:
        kind: "rec" (lines), "cls" (lines, every second one rotated by 180 degrees) or "det" (pages).
        generator: Generator of lines or, for "det", of pages.
        seed: Seed of the series.
        size: Side of a page in pixels.
        words: Whether the regions of a page are its words instead of its lines.
        suffix: "png" or "jpg", the format of the image files.
        quality: Quality of JPEG files, 1 to 100.
        page_kinds: Names in `page.PAGE_KINDS`, used in turn; if empty, all kinds by their shares.
    """

    kind: str
    generator: LineGenerator | PageGenerator
    seed: int = 0
    size: int = 640
    words: bool = False
    suffix: str = "png"
    quality: int = 90
    page_kinds: tuple[str, ...] = ()

    def sample(self, index: int) -> tuple[np.ndarray, Label]:
        """Return (image, label) number `index`: (h, w, 3) uint8 RGB, and a text, "0" or "180", or a page's regions.

        Raises:
            UserError: The sample cannot be drawn, for example because a background is not an image.
        """
        try:
            if isinstance(self.generator, PageGenerator):
                kind = self.page_kinds[index % len(self.page_kinds)] if self.page_kinds else None
                page = self.generator(self.seed, index, size=(self.size, self.size), kind=kind)
                parts = [part for line in page.lines for part in (line.words if self.words else (line,))]
                return page.image_rgb, tuple(Region(part.quad, part.text) for part in parts)
            line = self.generator(self.seed, index)
        except ValueError as error:
            raise UserError(f"sample {index} of seed {self.seed} cannot be drawn: {error}") from error
        if self.kind == "rec":
            return line.image_rgb, line.text
        if index % 2:
            return np.ascontiguousarray(line.image_rgb[::-1, ::-1]), "180"
        return line.image_rgb, "0"

    def encoded(self, index: int) -> tuple[bytes, Label]:
        """Return sample number `index` with the bytes of its image file."""
        from PIL import Image

        image_rgb, label = self.sample(index)
        file = io.BytesIO()
        if self.suffix == "jpg":
            Image.fromarray(image_rgb).save(file, "JPEG", quality=self.quality)
        else:
            Image.fromarray(image_rgb).save(file, "PNG")
        return file.getvalue(), label


def write_folder(output: Path, series: Samples, count: int, *, workers: int = 1) -> None:
    """Write `count` images into `output`/images and their label file, in PaddleOCR's format, next to that folder.

    The label file is written last, so that a folder without one is known to be incomplete.

    Raises:
        UserError: `output` exists and is not an empty folder, or something cannot be written.
    """
    check_empty(output)
    regions, lines = [], []
    with _reported(output):
        (output / "images").mkdir(parents=True)
        for index, (image, label) in enumerate(encoded_samples(series, count, workers=workers)):
            path = output / "images" / f"{index:07d}.{series.suffix}"
            path.write_bytes(image)
            if isinstance(label, str):
                lines.append(RecognitionRecord(path, label))
            else:
                regions.append(DetectionRecord(path, label))
        if series.kind == "det":
            write_detection_labels(output / LABEL_FILES["det"], regions)
        else:
            write_recognition_labels(output / LABEL_FILES[series.kind], lines)


def write_lmdb(output: Path, series: SampleSeries, count: int, *, workers: int = 1) -> None:
    """Write `count` lines into a new database in the folder `output`.

    Raises:
        UserError: `output` exists and is not an empty folder, it cannot be written, or the package lmdb is missing.
    """
    check_empty(output)

    def records(folder: Path) -> Iterator[RecognitionRecord]:
        # An image file exists only until the next record is requested.
        for index, (image, label) in enumerate(encoded_samples(series, count, workers=workers)):
            path = folder / f"{index:07d}.{series.suffix}"
            path.write_bytes(image)
            yield RecognitionRecord(path, str(label))
            path.unlink()

    with _reported(output), tempfile.TemporaryDirectory(prefix="ppocr-jax-synth-") as folder:
        build_lmdb(output, records(Path(folder)))


def check_empty(output: Path) -> None:
    """Raise UserError if `output` exists and is not an empty folder."""
    with _reported(output):
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(f"{output} is not an empty folder; choose a new one, so that nothing is overwritten")


@contextmanager
def _reported(output: Path) -> Iterator[None]:
    """Turn an OSError into a one-line UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write samples: {error.filename or output}: {error.strerror or error}") from error


def sample_sheet(series: SampleSeries, count: int) -> np.ndarray:
    """Return a (h, w, 3) uint8 sheet of the first `count` samples in rows; pages with the outlines of their regions."""
    import cv2

    height = _SHEET_ROW_HEIGHT[series.kind]

    def empty_row() -> np.ndarray:
        return np.full((height + _SHEET_GAP, _SHEET_WIDTH, 3), 128, np.uint8)

    rows, x = [empty_row()], 0
    for index in range(count):
        image_rgb, label = series.sample(index)
        if not isinstance(label, str):
            image_rgb = image_rgb.copy()
            quads = [np.round(region.points).astype(np.int32) for region in label]
            cv2.polylines(image_rgb, quads, True, (255, 0, 0), 1, cv2.LINE_AA)
        width = min(_SHEET_WIDTH, max(1, round(image_rgb.shape[1] * height / image_rgb.shape[0])))
        if x + width > _SHEET_WIDTH:
            rows.append(empty_row())
            x = 0
        rows[-1][:height, x : x + width] = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
        x += width + _SHEET_GAP
    return np.concatenate(rows)


def encoded_samples(series: Samples, count: int, *, workers: int = 1) -> Iterator[tuple[bytes, Label]]:
    """Yield the first `count` samples in order; they do not depend on the number of processes.

    Args:
        series: Definition of the samples.
        count: Number of samples.
        workers: Processes; 1 draws in this one. They are spawned, so the program's main module must be importable.

    Raises:
        UserError: A process ended unexpectedly, for example because memory ran out.
    """
    if workers == 1:
        yield from map(series.encoded, range(count))
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker, (series,))
    waiting: deque[Future[tuple[bytes, Label]]] = deque()
    try:
        for index in range(count):
            waiting.append(pool.submit(_encoded_by_worker, index))
            if len(waiting) >= _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise UserError("a worker process ended unexpectedly; try fewer --workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(series: Samples) -> None:
    """Use one core, leave Ctrl-C to the parent process, and end when the parent ends."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _worker_series[:] = [series]


def _exit_with_parent() -> None:
    """End this process when its parent was killed and cannot close it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _encoded_by_worker(index: int) -> tuple[bytes, Label]:
    return _worker_series[0].encoded(index)
