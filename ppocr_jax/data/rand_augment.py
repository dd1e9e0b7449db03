"""RandAugment: apply a few random operations from a list, all at one magnitude.

Cubuk et al. (2019). PP-OCR (arXiv 2009.09941), section 2.2, trains the direction classifier with it after the base data
augmentation. Operations and strengths are those of PaddleOCR release/2.6; Pillow applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.data.augment_rec import BaseLineAugmentation

if TYPE_CHECKING:
    from PIL.Image import Image

_GREATEST_MAGNITUDE = 10
_GRAY = (128, 128, 128)

# From a strength and a (width, height) to the first two rows of the affine map from the new image to the old one.
Geometry = Callable[[float, tuple[int, int]], tuple[float, float, float, float, float, float]]
Pixels = Callable[["Image", float], "Image"]


@dataclass(frozen=True)
class RandAugment(BaseLineAugmentation):
    """Apply `count` random operations in sequence, with `probability`. The image keeps its size.

    Attributes:
        probability: Probability that anything is applied.
        count: Number of operations; the same one may be drawn twice.
        magnitude: 1 to 10. Posterizing and solarizing become weaker with it; "autocontrast", "equalize" and "invert" do
            not depend on it; all others become stronger.
        operations: Names of the operations to draw from, keys of `OPERATIONS`.

    Raises:
        ValueError: The magnitude is out of range, an operation does not exist, or there is none.
    """

    probability: float = 0.5
    count: int = 2
    magnitude: int = 5
    operations: tuple[str, ...] = field(default_factory=lambda: tuple(OPERATIONS))

    def __post_init__(self) -> None:
        unknown = set(self.operations) - set(OPERATIONS)
        if unknown or not self.operations:
            raise ValueError(f"no operations {sorted(unknown)}; there are {', '.join(OPERATIONS)}")
        if not 1 <= self.magnitude <= _GREATEST_MAGNITUDE:
            raise ValueError(f"magnitude must be 1 to {_GREATEST_MAGNITUDE}, not {self.magnitude}")

    def with_points(
        self, rng: np.random.Generator, image_rgb: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.probability:
            return image_rgb, centers
        points = np.stack([centers, np.full(len(centers), (image_rgb.shape[0] - 1) / 2)], axis=1)
        for index in rng.integers(len(self.operations), size=self.count):
            image_rgb, points = OPERATIONS[self.operations[index]](rng, image_rgb, points, self.magnitude)
        inside = ((points >= 0) & (points <= (image_rgb.shape[1] - 1, image_rgb.shape[0] - 1))).all(axis=1)
        return image_rgb, np.where(inside, points[:, 0], np.nan)


@dataclass(frozen=True)
class Chain(BaseLineAugmentation):
    """Several augmentations in sequence; PP-OCR's classifier: `Chain((bda, RandAugment()))`."""

    parts: tuple[BaseLineAugmentation, ...]

    def with_points(
        self, rng: np.random.Generator, image_rgb: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        for part in self.parts:
            image_rgb, centers = part.with_points(rng, image_rgb, centers)
        return image_rgb, centers


# (generator, image, points (n, 2), magnitude) -> the new image, and the positions of the points in it.
Operation = Callable[[np.random.Generator, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def _geometric(full_strength: float, geometry: Geometry, *, signed: bool = True) -> Operation:
    """Return an operation that moves pixels, with cubic interpolation and a gray background."""

    def operation(
        rng: np.random.Generator, image_rgb: np.ndarray, points: np.ndarray, magnitude: int
    ) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        strength = full_strength * magnitude / _GREATEST_MAGNITUDE * (rng.choice((-1, 1)) if signed else 1)
        image = Image.fromarray(image_rgb)
        rows = geometry(strength, image.size)
        moved = image.transform(
            image.size, Image.Transform.AFFINE, rows, resample=Image.Resampling.BICUBIC, fillcolor=_GRAY
        )
        matrix = np.reshape(rows, (2, 3))
        # In Pillow's map, the center of the first pixel is at (0.5, 0.5).
        return np.array(moved), np.linalg.solve(matrix[:, :2], (points + 0.5 - matrix[:, 2]).T).T - 0.5

    return operation


def _pixelwise(full_strength: float, change: Pixels, *, signed: bool = False) -> Operation:
    """Return an operation that changes pixel values but moves nothing."""

    def operation(
        rng: np.random.Generator, image_rgb: np.ndarray, points: np.ndarray, magnitude: int
    ) -> tuple[np.ndarray, np.ndarray]:
        from PIL import Image

        strength = full_strength * magnitude / _GREATEST_MAGNITUDE * (rng.choice((-1, 1)) if signed else 1)
        return np.array(change(Image.fromarray(image_rgb), strength)), points

    return operation


def _rotation(degrees: float, size: tuple[int, int]) -> tuple[float, float, float, float, float, float]:
    """Return the map of a counter-clockwise rotation about the center."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y = size[0] / 2, size[1] / 2
    return cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y


def _shear_y(slope: float, size: tuple[int, int]) -> tuple[float, float, float, float, float, float]:
    """Return the map of a vertical shear that keeps the left edge fixed."""
    return 1, 0, 0, slope, 1, 0


def _enhanced(name: str) -> Operation:
    """Return an operation that applies one of Pillow's enhancers with a factor of 0.1 to 1.9."""

    def change(image: Image, strength: float) -> Image:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, name)(image).enhance(1 + strength)

    return _pixelwise(0.9, change, signed=True)


def _mapped(name: str, full_strength: float | None = None) -> Operation:
    """Return an operation that applies a function of `ImageOps`, with an integer argument if it has one."""

    def change(image: Image, strength: float) -> Image:
        from PIL import ImageOps

        function = getattr(ImageOps, name)
        return function(image) if full_strength is None else function(image, max(1, int(strength)))

    return _pixelwise(full_strength or 0.0, change)


OPERATIONS: Mapping[str, Operation] = {
    "shear_x": _geometric(0.3, lambda strength, size: (1, strength, 0, 0, 1, 0)),
    "shear_y": _geometric(0.3, _shear_y),
    "translate_x": _geometric(150 / 331, lambda strength, size: (1, 0, strength * size[0], 0, 1, 0)),
    "translate_y": _geometric(150 / 331, lambda strength, size: (1, 0, 0, 0, 1, strength * size[1])),
    "rotate": _geometric(30.0, _rotation, signed=False),
    "color": _enhanced("Color"),
    "contrast": _enhanced("Contrast"),
    "sharpness": _enhanced("Sharpness"),
    "brightness": _enhanced("Brightness"),
    "posterize": _mapped("posterize", 4.0),
    "solarize": _mapped("solarize", 256.0),
    "autocontrast": _mapped("autocontrast"),
    "equalize": _mapped("equalize"),
    "invert": _mapped("invert"),
}
"""PaddleOCR's fourteen operations, with the strength at magnitude 10: shears are slopes, translations fractions of the
size, rotation degrees, enhancers factors, posterizing bits, solarizing a gray level. The sign is random except for
"rotate".
"""
