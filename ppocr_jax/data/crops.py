"""Line pictures cut from labeled pages, held in memory for training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ppocr_jax.data.labels import DetectionRecord, Region, read_labels
from ppocr_jax.data.pictures import load_picture
from ppocr_jax.geometry import min_area_quad, perspective_crop

# Room around a cut line, as a fraction of its height: each use trims it by a random part, as a detector's boxes vary.
_MARGIN = 0.15
# Thinner lines cannot be read, pixels.
_MIN_SIDE = 5


@dataclass(frozen=True, eq=False)
class Crop:
    """One line picture.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, with a margin of `margin` pixels on each side.
        text: the label.
        case_blind: the label does not tell small letters from capitals.
        margin: pixels around the labeled quad.
    """

    pixels: np.ndarray
    text: str
    case_blind: bool
    margin: int = 0

    @property
    def aspect(self) -> float:
        """Width / height of the labeled quad."""
        height, width = (side - 2 * self.margin for side in self.pixels.shape[:2])
        return max(1, width) / max(1, height)

    def image(self, rng: np.random.Generator) -> np.ndarray:
        """The picture with its margins trimmed at random: `image_rgb`."""
        top, bottom, left, right = rng.integers(0, 2 * self.margin + 1, 4) if self.margin else (0, 0, 0, 0)
        height, width = self.pixels.shape[:2]
        top, bottom = min(top, height // 4), min(bottom, height // 4)
        left, right = min(left, width // 4), min(right, width // 4)
        return self.pixels[top : height - bottom, left : width - right]


@dataclass(frozen=True)
class CropSource:
    """A label file to cut lines from; see `config.LabelSource`."""

    path: str
    format: str = "auto"
    case_blind: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class CropBank:
    """All lines of some label files; read when first used, so that it pickles as a list of paths.

    Attributes:
        sources: the label files.
        characters: lines with any other character are left out.
        max_length: longer lines are left out.
    """

    sources: tuple[CropSource, ...]
    characters: frozenset[str]
    max_length: int

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_crops"}

    @cached_property
    def _crops(self) -> tuple[list[Crop], np.ndarray, np.ndarray]:
        """Crops ordered by aspect, their aspects, and the running sum of their weights."""
        crops, weights = [], []
        for source in self.sources:
            found = [c for c in _cut(source) if self._usable(c.text)]
            crops += found
            weights += [source.weight / max(1, len(found))] * len(found)
        if not crops:
            raise ValueError(f"no usable line in {[source.path for source in self.sources]}")
        order = np.argsort([crop.aspect for crop in crops], kind="stable")
        ordered = [crops[i] for i in order]
        return ordered, np.array([c.aspect for c in ordered]), np.cumsum(np.array(weights)[order])

    def _usable(self, text: str) -> bool:
        return 0 < len(text) <= self.max_length and set(text) <= self.characters

    def __len__(self) -> int:
        return len(self._crops[0])

    def draw(self, rng: np.random.Generator, aspect: tuple[float, float]) -> Crop:
        """A crop with an aspect between the limits, by weight; the nearest in aspect where none has."""
        crops, aspects, running = self._crops
        first, last = np.searchsorted(aspects, aspect)
        if first >= last:
            return crops[min(first, len(crops) - 1)]
        low = running[first - 1] if first else 0.0
        at = np.searchsorted(running, low + rng.random() * (running[last - 1] - low), side="right")
        return crops[int(np.clip(at, first, last - 1))]

    def bucket_shares(self, widths: Sequence[int], height: int) -> np.ndarray:
        """Share of the total weight that falls to each width bucket; wider crops count to the last."""
        _, aspects, running = self._crops
        weights = np.diff(running, prepend=0.0)
        bucket = np.minimum(np.searchsorted(np.asarray(widths) / height, aspects), len(widths) - 1)
        shares = np.bincount(bucket, weights, minlength=len(widths))
        return shares / shares.sum()


def _cut(source: CropSource) -> Iterable[Crop]:
    for record in read_labels(source.path, source.format, strict=False).records:
        if not isinstance(record, DetectionRecord):
            yield Crop(load_picture(record.image_path), record.text, source.case_blind)
            continue
        regions = [region for region in record.regions if region.text and not region.ignore]
        image_rgb = load_picture(record.image_path) if regions else np.empty(0)
        for region in regions:
            crop = _cut_with_margin(image_rgb, _quad(region))
            if crop is not None:
                yield Crop(crop[0], region.text, source.case_blind, crop[1])


def _quad(region: Region) -> np.ndarray:
    return region.points if len(region.points) == 4 else min_area_quad(region.points)[0]


def _cut_with_margin(image_rgb: np.ndarray, quad: np.ndarray) -> tuple[np.ndarray, int] | None:
    """The quad's picture with a margin around it, and the margin in pixels; None for a quad too small to read."""
    across = (quad[1] - quad[0] + quad[2] - quad[3]) / 2
    down = (quad[3] - quad[0] + quad[2] - quad[1]) / 2
    width, height = np.linalg.norm(across), np.linalg.norm(down)
    if min(width, height) < _MIN_SIDE:
        return None
    margin = round(_MARGIN * min(width, height))
    out_x, out_y = margin * across / width, margin * down / height
    grown = quad + np.stack([-out_x - out_y, out_x - out_y, out_x + out_y, -out_x + out_y])
    try:
        return perspective_crop(image_rgb, grown), margin
    except ValueError:
        return None
