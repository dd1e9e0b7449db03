"""Rules, boxes and bands that stand around a line."""

from __future__ import annotations

import numpy as np

from ppocr_jax.synth.glyphs import InkedText


def draw_rules(rng: np.random.Generator, kind: str, ink: InkedText) -> np.ndarray:
    """The mask of `ink` with something around the text.

    Args:
        rng: chooses widths and distances.
        kind: "underline", "box", "side" (an upright rule) or "band" (a printed bar that leaves the text blank).
        ink: the drawn line.
    """
    import cv2

    left, top, right, bottom = (int(v) for v in ink.box)
    height = bottom - top
    if kind == "band":
        return _band(rng, ink.mask, (left, top, right, bottom))
    mask = ink.mask.copy()
    width = max(1, round(height * float(rng.uniform(0.03, 0.1))))
    gap = width + int(height * rng.uniform(0.06, 0.3))
    level = int(rng.integers(150, 256))
    if kind == "underline":
        y = max(int(ink.baseline), bottom - height // 6) + gap // 2 + width
        ends = left - int(rng.integers(0, gap + 1)), right + int(rng.integers(0, gap + 1))
        cv2.line(mask, (ends[0], y), (ends[1], y), level, width)
    elif kind == "box":
        cv2.rectangle(mask, (left - gap - width, top - gap), (right + gap + width, bottom + gap), level, width)
    else:
        x = left - gap - width if rng.random() < 0.5 else right + gap + width
        cv2.line(mask, (x, 0), (x, mask.shape[0]), level, width)
    return mask


def _band(rng: np.random.Generator, mask: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A bar over `box` and some room around it, mostly to the mask's sides, with the text cut out."""
    import cv2

    left, top, right, bottom = box
    room = (bottom - top) * rng.uniform(0.08, 0.8, 4)
    x0 = 0 if rng.random() < 0.7 else max(0, int(left - room[0]))
    x1 = mask.shape[1] if rng.random() < 0.7 else int(right + room[1])
    band = np.zeros_like(mask)
    band[max(0, int(top - room[2])) : int(bottom + room[3]) + 1, x0:x1] = 255
    return cv2.subtract(band, mask)
