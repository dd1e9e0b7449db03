"""Mild photometric and geometric changes of line pictures, so that few real lines go further."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LineAugmentation:
    """Random changes, each with `probability`: contrast and brightness, blur, noise, JPEG-like resampling, inversion.

    Attributes:
        probability: chance of each change.
        invert_probability: chance of 255 - x, which makes dark text light.
    """

    probability: float = 0.4
    invert_probability: float = 0.05

    def __call__(self, rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
        """A changed copy of `image_rgb` (h, w, 3) uint8, of the same height up to a pixel."""
        for change in (_stretch, _contrast, _blur, _resample, _noise):
            if rng.random() < self.probability:
                image_rgb = change(rng, image_rgb)
        return 255 - image_rgb if rng.random() < self.invert_probability else image_rgb


def _stretch(rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
    """Change the width by up to a fifth."""
    import cv2

    height, width = image_rgb.shape[:2]
    return cv2.resize(image_rgb, (max(1, round(width * rng.uniform(0.85, 1.2))), height))


def _contrast(rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
    """Scale about the mean, shift, and bend by a gamma, per picture; tint the channels a little."""
    values = np.arange(256, dtype=np.float32)
    mean = float(image_rgb.mean())
    bent = 255 * (values / 255) ** rng.uniform(0.7, 1.4)
    levels = (bent - mean) * rng.uniform(0.6, 1.3) + mean + rng.uniform(-25, 25)
    table = np.stack([levels + rng.uniform(-8, 8) for _ in range(3)], axis=-1)
    import cv2

    return cv2.LUT(image_rgb, np.clip(table, 0, 255).astype(np.uint8)[None])


def _blur(rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(image_rgb, (0, 0), rng.uniform(0.3, 0.03 * image_rgb.shape[0] + 0.35))


def _resample(rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
    """Lose resolution and come back."""
    import cv2

    height, width = image_rgb.shape[:2]
    factor = rng.uniform(0.6, 1.0)
    small = cv2.resize(image_rgb, (max(1, round(width * factor)), max(1, round(height * factor))))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _noise(rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
    noise = rng.standard_normal(image_rgb.shape[:2], np.float32)[..., None] * rng.uniform(2, 14)
    return np.clip(image_rgb + noise, 0, 255).astype(np.uint8)
