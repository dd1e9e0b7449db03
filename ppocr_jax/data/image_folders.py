"""Batches for image classifiers, from one folder of images per class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ppocr_jax.data.batches import WHOLE_BATCH, LabelUse, ProcessShare
from ppocr_jax.data.images import ImageCache, load_record_image
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_LARGEST_ASPECT = 4 / 3  # largest aspect ratio of a training crop, as usual for ImageNet
_ATTEMPTS = 100  # images tried until one can be read
_VAL_MARGIN = 256 / 224  # evaluation uses the center of an image that is larger by this factor


@dataclass(frozen=True)
class ImageFolders:
    """Images and their classes, from one folder per class.

    Attributes:
        classes: Sorted names of the folders; the index of a name is the class number.
        images: Path and class number of each image.
    """

    classes: tuple[str, ...]
    images: tuple[tuple[Path, int], ...]


def find_images(folder: str | Path) -> ImageFolders:
    """List the images in the class folders of a folder; other files are skipped.

    Raises:
        UserError: The folder does not exist, or it contains no images.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserError(f"no folder {root}: it must contain one folder of images per class")
    classes = tuple(sorted(path.name for path in root.iterdir() if path.is_dir()))
    images = tuple(
        (path, number)
        for number, name in enumerate(classes)
        for path in sorted((root / name).rglob("*"))
        if path.suffix.lower() in _SUFFIXES
    )
    if not images:
        raise UserError(f"{root} contains no images in class folders")
    return ImageFolders(classes, images)


@dataclass(frozen=True)
class ImageBatches:
    """Batches of images with their classes: `batches(step)` is a pure function of (seed, step); picklable.

    Attributes:
        folders: Images to draw from, all equally often.
        path: Their source, for reporting.
        batch_size: Images per batch.
        size: Side of the network's input.
        least_area: Smallest fraction of an image's area that a crop shows.
        mirror: Probability of mirroring an image.
        seed: Seed of all randomness.
        process: Rows of the batches that this process makes.
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
        """Return the use of the images: all are counted; unreadable ones are skipped with a warning when drawn."""
        return (LabelUse(self.path, "images", len(self.folders.images)),)

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        for _ in range(_ATTEMPTS):
            path, label = self.folders.images[rng.integers(len(self.folders.images))]
            try:
                image = self._load(path)
            except ImageError:
                continue
            return DETECTOR_NORMALIZATION(self._crop(rng, image)), label
        raise UserError(f"{self.path}: none of {_ATTEMPTS} images could be read")

    def _crop(self, rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
        """Return a random part of the image, resized to the network's input."""
        height, width = image.shape[:2]
        area = height * width * rng.uniform(self.least_area, 1)
        aspect = math.exp(rng.uniform(-math.log(_LARGEST_ASPECT), math.log(_LARGEST_ASPECT)))
        h = min(height, max(1, round(math.sqrt(area / aspect))))
        w = min(width, max(1, round(math.sqrt(area * aspect))))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        part = cv2.resize(image[top : top + h, left : left + w], (self.size, self.size))
        return np.ascontiguousarray(part[:, ::-1]) if rng.random() < self.mirror else part


def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """Return the center of an image whose shorter side is scaled slightly above `size`: (size, size, 3) uint8."""
    height, width = image.shape[:2]
    scale = size * _VAL_MARGIN / min(height, width)
    scaled = cv2.resize(image, (max(size, round(width * scale)), max(size, round(height * scale))))
    top, left = (scaled.shape[0] - size) // 2, (scaled.shape[1] - size) // 2
    return scaled[top : top + size, left : left + size]


def center_crops(paths: Sequence[Path], size: int) -> np.ndarray:
    """Return the normalized centers of images: (N, size, size, 3) float32.

    Raises:
        ImageError: An image cannot be read.
    """
    return np.stack([DETECTOR_NORMALIZATION(center_crop(load_record_image(path), size)) for path in paths])
