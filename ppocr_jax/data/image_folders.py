"""Batches for image classifiers: pictures in one folder for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ppocr_jax.data.batches import WHOLE_BATCH, LabelUse, ProcessShare
from ppocr_jax.data.pictures import ImageCache
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_LONGEST_SIDE = 4 / 3  # of a training crop, in units of its other side: usual for ImageNet
_ATTEMPTS = 100  # pictures tried for one that can be read
_VAL_MARGIN = 256 / 224  # the evaluation sees the middle of a picture this much larger


@dataclass(frozen=True)
class ImageFolders:
    """Pictures with their classes, from one folder for each class.

    Attributes:
        classes: names of the folders, sorted; a class's number is its place.
        pictures: path and class of each picture.
    """

    classes: tuple[str, ...]
    pictures: tuple[tuple[Path, int], ...]


def find_pictures(folder: str | Path) -> ImageFolders:
    """List the pictures of a folder of class folders; files of other kinds are passed over.

    Raises:
        UserError: there is no such folder, or it holds no pictures.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"no folder {root}: it must contain one folder of images per class")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
    pictures = tuple(
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in _SUFFIXES
    )
    if not pictures:
        raise UserError(f"{root} contains no images in class folders")
    return ImageFolders(classes, pictures)


@dataclass(frozen=True)
class ImageBatches:
    """`batches(step) -> dict` of arrays, a pure function of (seed, step); picklable.

    Attributes:
        folders: what to draw from, every picture as often as any other.
        path: where they come from, for the account of what is used.
        batch_size: pictures per batch.
        size: side of the network's input.
        least_area: smallest share of a picture that a crop shows.
        mirror: chance that a picture is mirrored.
        seed: of everything random.
        process: which rows of the batches to make.
    """

    folders: ImageFolders
    path: str
    batch_size: int
    size: int
    least_area: float
    mirror: float
    seed: int
    process: ProcessShare = WHOLE_BATCH
    _load: ImageCache = field(default_factory=ImageCache, compare=False)

    def __call__(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the batch of `step`: `images` (B, size, size, 3) float32 normalized; `labels` (B,) int32."""
        rows = [self._row(np.random.default_rng((self.seed, step, i))) for i in self.process.rows(self.batch_size)]
        images, labels = zip(*rows, strict=True)
        return {"images": np.stack(images), "labels": np.array(labels, np.int32)}

    def uses(self) -> tuple[LabelUse, ...]:
        """Return what is used: all pictures; those that can't be read are passed over, with a warning, when met."""
        return (LabelUse(self.path, "images", len(self.folders.pictures)),)

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        for _ in range(_ATTEMPTS):
            path, label = self.folders.pictures[rng.integers(len(self.folders.pictures))]
            try:
                picture = self._load(path)
            except ImageError:
                continue
            return DETECTOR_NORMALIZATION(self._crop(rng, picture)), label
        raise UserError(f"{self.path}: none of {_ATTEMPTS} images could be read")

    def _crop(self, rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
        """Return a random part, resized to the network's input."""
        height, width = picture.shape[:2]
        area = height * width * rng.uniform(self.least_area, 1)
        aspect = math.exp(rng.uniform(-math.log(_LONGEST_SIDE), math.log(_LONGEST_SIDE)))
        h = min(height, max(1, round(math.sqrt(area / aspect))))
        w = min(width, max(1, round(math.sqrt(area * aspect))))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        part = cv2.resize(picture[top : top + h, left : left + w], (self.size, self.size))
        return np.ascontiguousarray(part[:, ::-1]) if rng.random() < self.mirror else part


def middle(picture: np.ndarray, size: int) -> np.ndarray:
    """Return the middle of a picture, its shorter side scaled a little above `size`: (size, size, 3) uint8."""
    height, width = picture.shape[:2]
    scale = size * _VAL_MARGIN / min(height, width)
    scaled = cv2.resize(picture, (max(size, round(width * scale)), max(size, round(height * scale))))
    top, left = (scaled.shape[0] - size) // 2, (scaled.shape[1] - size) // 2
    return scaled[top : top + size, left : left + size]


def middles(paths: Sequence[Path], size: int) -> np.ndarray:
    """Return the normalized middles of pictures: (N, size, size, 3) float32.

    Raises:
        ImageError: one cannot be read.
    """
    from ppocr_jax.data.pictures import load_picture

    return np.stack([DETECTOR_NORMALIZATION(middle(load_picture(path), size)) for path in paths])
