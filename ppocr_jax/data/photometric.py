"""Photometric augmentation of labeled pictures: other tones, blur, noise, JPEG compression. Geometry stays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.geometry import polygon_area, polygon_perimeter
from ppocr_jax.synth import degrade

_STEPS = ((degrade.tone, 0.5), (degrade.gaussian_blur, 0.15), (degrade.noise, 0.15), (degrade.jpeg, 0.2))
_DEFAULT_TEXT_HEIGHT = 20.0


def jitter_photometric(rng: np.random.Generator, image_rgb: np.ndarray, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """A few of the steps, each with its own probability, mild enough that the smallest text stays legible.

    Args:
        rng: Source of the choices.
        image_rgb: (H, W, 3) uint8.
        polygons: The picture's text regions; how much blur they bear depends on their height.
    """
    # A long thin region of area A and perimeter L is about 2 A / L high.
    heights = [2 * polygon_area(p) / polygon_perimeter(p) for p in polygons if polygon_area(p) > 0]
    text_height = float(np.percentile(heights, 10)) if heights else _DEFAULT_TEXT_HEIGHT
    for step, probability in _STEPS:
        if rng.random() < probability:
            image_rgb = step(rng, image_rgb, text_height)
    return image_rgb
