"""Line images cut from labeled pages and held in memory for training."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.batches import LabelUse
from ppocr_jax.data.images import any_readable, has_image, load_record_image
from ppocr_jax.data.labels import DetectionRecord, LabelSet, Record, Region, read_labels
from ppocr_jax.geometry import CROP_GROWTH, CropGrowth, grow_quad, min_area_quad, perspective_crop
from ppocr_jax.images import ImageError

logger = logging.getLogger("ppocr_jax")

# Maximum random difference of each side of a crop from the crop at inference (`CROP_GROWTH`), as a fraction of the line
# height: detected boxes differ from labeled ones by about this much.
_SPREAD = 0.1
_WIDEST_GROWTH = CropGrowth(*(side + _SPREAD for side in CROP_GROWTH))
# Thinner lines cannot be read; in pixels.
_MIN_SIDE = 5
_CHARACTERS_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Crop:
    """Image of one line.

    Attributes:
        pixels: (h, w, 3) uint8 RGB; if the line was cut from a page, with the widest growth used in training.
        text: The label, in lower case for a charset without capitals.
        case_blind: Whether the label does not distinguish small letters from capitals.
        slack: Maximum number of pixels trimmed from each side: twice the spread of the growth; 0 for an image that was
            already a line.
    """

    pixels: np.ndarray
    text: str
    case_blind: bool
    slack: int = 0

    @property
    def aspect(self) -> float:
        """Width / height of the average trimmed image, which equals the crop at inference."""
        height, width = (side - self.slack for side in self.pixels.shape[:2])
        return max(1, width) / max(1, height)

    def image(self, rng: np.random.Generator) -> np.ndarray:
        """Return the image (h, w, 3) with its sides trimmed at random, as if its box had been detected."""
        top, bottom, left, right = rng.integers(0, self.slack + 1, 4) if self.slack else (0, 0, 0, 0)
        height, width = self.pixels.shape[:2]
        top, bottom = min(top, height // 4), min(bottom, height // 4)
        left, right = min(left, width // 4), min(right, width // 4)
        return self.pixels[top : height - bottom, left : width - right]


@dataclass(frozen=True)
class CropSource:
    """Label file to cut lines from; see `config.LabelSource`."""

    path: str
    format: str = "auto"
    case_blind: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class CropBank:
    """All usable lines of some label files. They are read at first use, so that the bank pickles as a list of paths.

    Attributes:
        sources: The label files.
        charset: Lines with any other character are left out, see `Charset.fold`.
        max_length: Longer lines are left out.
    """

    sources: tuple[CropSource, ...]
    charset: Charset
    max_length: int

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_labels", "_crops")}

    def uses(self) -> tuple[LabelUse, ...]:
        """Return the use of each source. Images are looked for, and opened until one can be read.

        Raises:
            LabelError: The labels of a source cannot be read at all.
        """
        return tuple(self._use(source, labels) for source, labels in zip(self.sources, self._labels, strict=True))

    @cached_property
    def _labels(self) -> tuple[LabelSet, ...]:
        """Labels of each source, read only once, so that warnings about them are logged once."""
        return tuple(read_labels(source.path, source.format, strict=False) for source in self.sources)

    @cached_property
    def _crops(self) -> tuple[list[Crop], np.ndarray, np.ndarray]:
        """Crops ordered by aspect, their aspects, and the cumulative sum of their weights."""
        crops, weights = [], []
        for source, labels in zip(self.sources, self._labels, strict=True):
            found = list(self._cut(source, labels))
            crops += found
            weights += [source.weight / max(1, len(found))] * len(found)
        if not crops:
            raise ValueError(f"no usable line in {[source.path for source in self.sources]}")
        order = np.argsort([crop.aspect for crop in crops], kind="stable")
        ordered = [crops[i] for i in order]
        return ordered, np.array([c.aspect for c in ordered]), np.cumsum(np.array(weights)[order])

    def __len__(self) -> int:
        return len(self._crops[0])

    def draw(self, rng: np.random.Generator, aspect: tuple[float, float]) -> Crop:
        """Return a random crop, by weight, with an aspect within the limits; if there is none, the next wider one."""
        crops, aspects, running = self._crops
        first, last = np.searchsorted(aspects, aspect)
        if first >= last:
            return crops[min(first, len(crops) - 1)]
        low = running[first - 1] if first else 0.0
        at = np.searchsorted(running, low + rng.random() * (running[last - 1] - low), side="right")
        return crops[int(np.clip(at, first, last - 1))]

    def bucket_shares(self, widths: Sequence[int], height: int) -> np.ndarray:
        """Return the share of the total weight in each width bucket; wider crops count to the last one."""
        _, aspects, running = self._crops
        weights = np.diff(running, prepend=0.0)
        bucket = np.minimum(np.searchsorted(np.asarray(widths) / height, aspects), len(widths) - 1)
        shares = np.bincount(bucket, weights, minlength=len(widths))
        return shares / shares.sum()

    def _reason_left_out(self, text: str, region: Region | None) -> str:
        """Return why a line cannot be used in training, or "" if it can."""
        if region is not None and region.ignore:
            return "marked as ignored"
        if not text:
            return "without a text"
        if len(text) > self.max_length:
            return f"longer than {self.max_length}"
        if not all(c in self.charset for c in self.charset.fold(text)):
            return "outside the charset"
        if region is not None and min(_sides(_quad(region))) < _MIN_SIDE:
            return f"smaller than {_MIN_SIDE} pixels"
        return ""

    def _use(self, source: CropSource, labels: LabelSet) -> LabelUse:
        reasons: Counter[str] = Counter({"in entries that cannot be used": len(labels.bad_entries)})
        unknown: Counter[str] = Counter()
        total, there = len(labels.bad_entries), dict[Path, bool]()
        for record in labels.records:
            path = record.image_path
            for text, region in _lines_of(record):
                total += 1
                reason = self._reason_left_out(text, region)
                if reason == "outside the charset":
                    unknown.update({c for c in self.charset.fold(text) if c not in self.charset})
                if not reason:
                    if path not in there:
                        there[path] = has_image(path)
                    reason = "" if there[path] else "whose image is missing"
                reasons[reason] += 1
        used = reasons.pop("", 0)
        if used and not any_readable(path for path, is_there in there.items() if is_there):
            reasons["whose image cannot be read"] = used
        if lost := next((path for path, is_there in there.items() if not is_there), None):
            reasons[f"whose image is missing (such as {lost})"] = reasons.pop("whose image is missing")
        if unknown:
            shown = ", ".join(c for c, _ in unknown.most_common(_CHARACTERS_SHOWN))
            reasons[f"outside the charset ({shown})"] = reasons.pop("outside the charset")
        return LabelUse(source.path, "lines", total, {reason: n for reason, n in reasons.most_common() if n})

    def _cut(self, source: CropSource, labels: LabelSet) -> Iterator[Crop]:
        """Yield the usable lines; unreadable images are skipped and counted in a warning."""
        unreadable: dict[Path, ImageError] = {}
        for record in labels.records:
            lines = [line for line in _lines_of(record) if not self._reason_left_out(*line)]
            if not lines:
                continue
            try:
                image_rgb = load_record_image(record.image_path)
            except ImageError as error:
                unreadable[record.image_path] = error
                continue
            for text, region in lines:
                if region is None:
                    yield Crop(image_rgb, self.charset.fold(text), source.case_blind)
                    continue
                quad = _quad(region)
                try:
                    pixels = perspective_crop(image_rgb, grow_quad(quad, _WIDEST_GROWTH))
                except ValueError:  # the quad is too thin
                    continue
                yield Crop(pixels, self.charset.fold(text), source.case_blind, round(2 * _SPREAD * min(_sides(quad))))
        if unreadable:
            first = next(iter(unreadable.values()))
            logger.warning("%s: %d images skipped, such as %s", source.path, len(unreadable), first)


def _lines_of(record: Record) -> Iterable[tuple[str, Region | None]]:
    """Return text and region of each line of a record; the region is None if the image is the line."""
    if isinstance(record, DetectionRecord):
        return [(region.text, region) for region in record.regions]
    return [(record.text, None)]


def _quad(region: Region) -> np.ndarray:
    return region.points if len(region.points) == 4 else min_area_quad(region.points)[0]


def _sides(quad: np.ndarray) -> tuple[float, float]:
    """Return (height, width) of a quad: the mean lengths of its opposite sides."""
    across, down = (quad[1] - quad[0] + quad[2] - quad[3]) / 2, (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    return float(np.linalg.norm(down)), float(np.linalg.norm(across))
