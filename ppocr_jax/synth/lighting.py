"""Light and shadow on a photographed or scanned line: uneven light, cast shadows, glare.

Like those of `degrade`, the functions take and return a picture (h, w, 3) uint8; `text_height` is in pixels.
"""

from __future__ import annotations

import numpy as np

from ppocr_jax.synth.background import ramp


def uneven_light(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Light that falls off to one side, or with the distance from a lamp, by up to half; sometimes warm or cold."""
    height, width = image_rgb.shape[:2]
    if rng.random() < 0.5:
        light = 1 + ramp(rng, height, width) * np.float32(rng.uniform(0.2, 0.6))
    else:
        x, y = rng.uniform(-0.2, 1.2) * width, rng.uniform(-1, 2) * height
        light = 1 - np.float32(rng.uniform(0.2, 0.55)) * _distance(height, width, (x, y)) ** 2
        light *= np.float32(rng.uniform(1.0, 1.2))
    if rng.random() < 0.3:
        tint = 1 + rng.uniform(-0.12, 0.05, 3).astype(np.float32)
        return _scaled(image_rgb, light[..., None] * tint)
    return _scaled(image_rgb, light[..., None])


def cast_shadow(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A soft-edged shadow over part of the picture, open to one side or a strip as of an arm or a cable."""
    height, width = image_rgb.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ys = (np.arange(height, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, height))) * np.float32(np.sin(angle))
    xs = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0, width))) * np.float32(np.cos(angle))
    inside = ys + xs
    softness = np.float32(text_height * rng.uniform(0.1, 3))
    if rng.random() < 0.35:
        inside = np.float32(text_height * rng.uniform(0.3, 2)) - np.abs(inside)
    soft = np.clip(inside / softness + np.float32(0.5), 0, 1)
    return _scaled(image_rgb, (1 - soft * np.float32(rng.uniform(0.1, 0.5)))[..., None])


def glare(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A lamp mirrored by a glossy surface: one or two soft bright spots that veil the text without hiding it."""
    height, width = image_rgb.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        # An upright or a lying ellipse, from half a letter to a few words.
        reach_y, reach_x = text_height * rng.uniform(0.4, 1.5), text_height * rng.uniform(0.4, 4)
        ys = (np.arange(height, dtype=np.float32) - np.float32(rng.uniform(0, height))) / np.float32(reach_y)
        xs = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0, width))) / np.float32(reach_x)
        spot = np.exp(-(ys**2))[:, None] * np.exp(-(xs**2))
        veil = np.maximum(veil, spot * np.float32(rng.uniform(0.2, 0.55)))
    veil = veil[..., None]
    return (image_rgb + (255 - image_rgb.astype(np.float32)) * veil).astype(np.uint8)


def _distance(height: int, width: int, center: tuple[float, float]) -> np.ndarray:
    """(height, width) float32 distance from `center` (x, y), as a share of that of the farthest corner."""
    ys = np.arange(height, dtype=np.float32)[:, None] - np.float32(center[1])
    xs = np.arange(width, dtype=np.float32) - np.float32(center[0])
    distance = np.sqrt(ys * ys + xs * xs)
    return distance / max(float(distance.max()), 1.0)


def _scaled(image_rgb: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.minimum(image_rgb * factor, 255).astype(np.uint8)
