"""Images of label records: loading from files or databases, and an in-memory cache."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.data.labels.lmdb import image_bytes, is_database_path
from ppocr_jax.data.labels.records import LabelError, Record
from ppocr_jax.images import ImageError, load_image

AnyRecord = TypeVar("AnyRecord", bound=Record)
Item = TypeVar("Item")

logger = logging.getLogger("ppocr_jax")


def load_record_image(path: Path) -> np.ndarray:
    """Return the image of a record, (H, W, 3) uint8 RGB, from a file or a database.

    Raises:
        ImageError: The image is missing or cannot be read.
        LabelError: The database cannot be opened.
    """
    if not is_database_path(path):
        return load_image(path)
    data = image_bytes(path)
    try:
        return load_image(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def has_image(path: Path) -> bool:
    """Return whether the image of a record exists, without opening it; an image in a database is assumed to."""
    return path.is_file() or is_database_path(path)


def any_readable(paths: Iterable[Path]) -> bool:
    """Return whether at least one of the images can be read; they are opened in order until one can."""
    for path in paths:
        try:
            load_record_image(path)
        except ImageError:
            continue
        return True
    return False


def with_images(records: Iterable[AnyRecord], source: str | Path) -> list[AnyRecord]:
    """Return the records whose images exist, and warn of the others; `source` is their label file.

    Raises:
        LabelError: No image exists.
    """
    records = list(records)
    there = [record for record in records if has_image(record.image_path)]
    if lost := len(records) - len(there):
        missing = next(record.image_path for record in records if not has_image(record.image_path))
        if not there:
            raise LabelError(f"{source}: all {lost} images are missing, such as {missing}")
        logger.warning("%s: %d of %d images missing, such as %s", source, lost, len(records), missing)
    return there


def evenly_spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Return `limit` items evenly spread over the sequence, or all if `limit` is None or larger than their number."""
    if limit is None or limit >= len(items):
        return list(items)
    return [items[int(i)] for i in np.linspace(0, len(items) - 1, limit)]


class ImageCache:
    """`load_record_image` with a cache of up to `max_bytes` of pixels and one warning for each unreadable image.

    Threads can share it. A pickled copy starts empty, so that each worker process fills its own.
    """

    def __init__(self, max_bytes: int = 512 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._images: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._bytes = 0
        self._unreadable: dict[Path, str] = {}
        self._lock = threading.Lock()

    def __call__(self, path: Path) -> np.ndarray:
        """Return the upright image (H, W, 3) uint8 RGB, which is read-only.

        Raises:
            ImageError: See `load_record_image`.
        """
        with self._lock:
            if path in self._images:
                self._images.move_to_end(path)
                return self._images[path]
            if path in self._unreadable:
                raise ImageError(self._unreadable[path])
        try:
            image = load_record_image(path)  # outside of the lock, so that threads decode in parallel
        except ImageError as error:
            with self._lock:
                self._unreadable[path] = str(error)
            logger.warning("%s; image skipped", error)
            raise
        image.flags.writeable = False
        with self._lock:
            if path not in self._images and image.nbytes <= self.max_bytes:
                self._images[path] = image
                self._bytes += image.nbytes
            while self._bytes > self.max_bytes:
                self._bytes -= self._images.popitem(last=False)[1].nbytes
        return image

    def __getstate__(self) -> dict[str, Any]:
        return {"max_bytes": self.max_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)
