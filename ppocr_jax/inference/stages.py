"""The three networks with what belongs before and after each: pictures in, boxes, directions or texts out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.geometry import polygon_area
from ppocr_jax.inference.backends import Backend, OnnxBackend, first_height
from ppocr_jax.inference.ctc_decode import Decoded, ctc_greedy_decode
from ppocr_jax.inference.db_postprocess import TextBox, boxes_from_map, filter_boxes
from ppocr_jax.inference.long_lines import join_windows, window_starts
from ppocr_jax.inference.parallel import in_background, parallel_map
from ppocr_jax.inference.specs import ClassifierSpec, DetectorSpec, RecognizerSpec
from ppocr_jax.inference.tiling import tiled_map
from ppocr_jax.preprocess import (
    Normalization,
    crop_batch_width,
    detector_picture,
    line_width,
    line_windows,
    pad_small,
    resize_pad_line,
)

# Small batches waste little on padding, stay in the cache, and keep several cores busy.
BATCH_SIZE = 2
LONGEST = 2560
"""Pixels, at the network's height, up to which a line is read in one piece: longer ones would make batches, and the
memory kept for them, as wide as they are."""
MAX_SCALED_WIDTH = 1 << 16
_LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class TextDetector:
    """Finds text lines."""

    backend: Backend
    spec: DetectorSpec

    def __call__(
        self,
        image_rgb: np.ndarray,
        *,
        limit_side: int | None = None,
        limit_type: str | None = None,
        **thresholds: Any,
    ) -> list[TextBox]:
        """Boxes of the text lines in a picture, in no particular order.

        Args:
            image_rgb: (H, W, 3) uint8.
            limit_side, limit_type: instead of the model's (`preprocess.detector_size`).
            thresholds: fields of `DBOptions`, instead of the model's.
        """
        probability_map = self.probability_map(image_rgb, limit_side=limit_side, limit_type=limit_type)
        options = replace(self.spec.postprocess, **thresholds)
        boxes = boxes_from_map(probability_map, source_size=pad_small(image_rgb).shape[:2], options=options)
        # The order of a quad's corners is ambiguous at exactly 45 degrees; what has no area cannot be cropped.
        return [box for box in filter_boxes(boxes, image_rgb.shape[:2]) if polygon_area(box.points) >= 1]

    def probability_map(
        self, image_rgb: np.ndarray, *, limit_side: int | None = None, limit_type: str | None = None
    ) -> np.ndarray:
        """Where there is text in a picture: (h, w) float32, 0..1, in the size at which the network sees it."""
        picture = detector_picture(
            image_rgb,
            limit_side=limit_side or self.spec.limit_side,
            limit_type=limit_type or self.spec.limit_type,
            size=self.spec.size,
        )
        return self._run(picture) if self.spec.size else tiled_map(self._run, picture)

    def _run(self, picture: np.ndarray) -> np.ndarray:
        return self.backend(self.spec.normalization.planar(picture)[None])[0]


@dataclass(frozen=True)
class Direction:
    """How a line crop lies: `angle` in degrees (0 or 180) and the probability of that class."""

    angle: int
    probability: float


@dataclass(frozen=True)
class TextClassifier:
    """Tells lines that stand on their head. Up to `workers` batches run at a time."""

    backend: Backend
    spec: ClassifierSpec
    workers: int = 1

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int = BATCH_SIZE) -> list[Direction]:
        """Direction of each line crop (h, w, 3) uint8 RGB."""
        parts = [(i, part) for i, crop in enumerate(crops) for part in self._parts(crop)]
        starts = range(0, len(parts), batch_size)
        batches = [[part for _, part in parts[start : start + batch_size]] for start in starts]
        rows = parallel_map(self._run, batches, workers=self.workers)
        seen: list[list[np.ndarray]] = [[] for _ in crops]
        for (i, _), probabilities in zip(parts, itertools.chain.from_iterable(rows), strict=True):
            seen[i].append(probabilities)
        return [self._direction(_joint(rows)) for rows in seen]

    def load_ahead(self) -> None:
        """Begin to load the network, if that is to be done and may be beside other work."""
        _load_ahead(self.backend, self.workers)

    def _run(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        return self.backend(_line_batch(parts, self.spec.normalization, self.spec.height, self.spec.width))

    def _parts(self, crop: np.ndarray) -> list[np.ndarray]:
        if self.spec.long_lines == "squeeze":
            return [crop]
        windows = line_windows(crop.shape, height=self.spec.height, width=self.spec.width)
        return [crop[:, start:end] for start, end in windows]

    def _direction(self, probabilities: np.ndarray) -> Direction:
        best = int(probabilities.argmax())
        return Direction(int(self.spec.labels[best]), float(probabilities[best]))


@dataclass(frozen=True)
class TextRecognizer:
    """Reads text lines. Up to `workers` batches run at a time."""

    backend: Backend
    spec: RecognizerSpec
    charset: Charset
    workers: int = 1

    @cached_property
    def height(self) -> int:
        """At which the network reads lines, pixels.

        Raises:
            ModelError: it takes none of those that it may have.
        """
        return first_height(self.backend, self.spec.heights) if self.spec.heights else self.spec.height

    def load_ahead(self) -> None:
        """Begin to load the network, if that is to be done and may be beside other work."""
        _load_ahead(self.backend, self.workers)

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int = BATCH_SIZE) -> list[Decoded]:
        """Text of each line crop (h, w, 3) uint8 RGB.

        Lines of like width share a batch, as wide as its widest line but at least the model's least width. Lines longer
        than the network takes, or than `LONGEST` pixels, are read through windows.
        """
        longest = self.spec.width or LONGEST
        widths = [line_width(crop.shape, height=self.height, max_width=MAX_SCALED_WIDTH) for crop in crops]
        long = [i for i, width in enumerate(widths) if width > longest]
        short = [i for i, width in enumerate(widths) if width <= longest]
        texts = {i: self._read_long(crops[i], widths[i], longest, batch_size) for i in long}
        batches = [[short[k] for k in batch] for batch in width_sorted_batches([crops[i] for i in short], batch_size)]
        batches.reverse()  # the longest first: what remains at the end is quickly done
        found = parallel_map(lambda batch: self._read_batch([crops[i] for i in batch]), batches, workers=self.workers)
        for indices, decoded in zip(batches, found, strict=True):
            texts.update(zip(indices, decoded, strict=True))
        return [texts[i] for i in range(len(crops))]

    def _read_batch(self, crops: Sequence[np.ndarray]) -> list[Decoded]:
        sizes = [crop.shape[:2] for crop in crops]
        height, least, margin = self.height, self.spec.min_width, self.spec.margin
        width = self.spec.width or max(least, crop_batch_width(sizes, height=height, min_width=0) + margin)
        probabilities = self.backend(_line_batch(crops, self.spec.normalization, height, width))
        frame = width / probabilities.shape[1]
        filled = [line_width(crop.shape, height=height, max_width=width) for crop in crops]
        decoded = ctc_greedy_decode(probabilities, self.charset)
        return [replace(line, extent=pixels / frame) for line, pixels in zip(decoded, filled, strict=True)]

    def _read_long(self, crop: np.ndarray, length: int, width: int, batch_size: int) -> Decoded:
        starts = window_starts(length, width=width)
        line = resize_pad_line(
            crop, height=self.height, width=max(length, starts[-1] + width), normalization=self.spec.normalization
        )
        windows = [line[:, start : start + width] for start in starts]
        batches = [np.stack(windows[k : k + batch_size]) for k in range(0, len(windows), batch_size)]
        rows = list(itertools.chain.from_iterable(parallel_map(self.backend, batches, workers=self.workers)))
        joined = join_windows(rows, starts, width=width)
        return replace(ctc_greedy_decode(joined[None], self.charset)[0], extent=length * len(rows[0]) / width)


def _joint(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities of a line from those of its parts: their geometric mean, scaled to add up to 1."""
    if len(rows) == 1:
        return rows[0]
    means = np.exp(np.log(np.maximum(rows, _LEAST_PROBABILITY)).mean(axis=0))
    return means / means.sum()


def width_sorted_batches(crops: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Indices of the crops in batches, from the least width / height to the greatest."""
    order = sorted(range(len(crops)), key=lambda i: crops[i].shape[1] / crops[i].shape[0])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def _line_batch(crops: Sequence[np.ndarray], normalization: Normalization, height: int, width: int) -> np.ndarray:
    """float32 (N, height, width, 3)."""
    return np.stack([resize_pad_line(c, height=height, width=width, normalization=normalization) for c in crops])


def _load_ahead(backend: Backend, workers: int) -> None:
    if workers > 1 and isinstance(backend, OnnxBackend) and not backend.loaded:
        in_background(backend.load)
