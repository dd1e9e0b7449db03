"""Warping of a drawn line into its image, and of points with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ppocr_jax.synth.glyphs import InkedText


@dataclass(frozen=True)
class Tilt:
    """A small change of shape about the center of the text box.

    Attributes:
        stretch: Width factor.
        angle: Rotation in radians.
        shear: Horizontal shift per unit of height.
        perspective: Relative change of scale along the box (horizontal, vertical).
        bend: Amplitude of a wave along the line, in text heights.
        phase: Phase of the wave, in radians.
    """

    stretch: float = 1.0
    angle: float = 0.0
    shear: float = 0.0
    perspective: tuple[float, float] = (0.0, 0.0)
    bend: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True)
class LineWarp:
    """Map from the mask of a drawn line to an image: first a vertical wave, then a homography.

    Attributes:
        homography: (3, 3) float64, mask pixels (x, y, 1) to image pixels.
        wave: (amplitude, angular frequency, phase): a point at x moves down by amplitude * sin(frequency x + phase).
        size: (height, width) of the image.
    """

    homography: np.ndarray
    wave: tuple[float, float, float]
    size: tuple[int, int]

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Return the (n, 2) positions in the image of mask positions `xy`, (n, 2)."""
        return project(self.homography, _bent(xy, self.wave))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Return the image's (height, width) ink mask, warped from a drawn line's mask."""
        import cv2

        if not self.wave[0] and not self.homography[2, :2].any():
            return cv2.warpAffine(mask, self.homography[:2], self.size[::-1], flags=cv2.INTER_LINEAR)
        if not self.wave[0]:
            return cv2.warpPerspective(mask, self.homography, self.size[::-1], flags=cv2.INTER_LINEAR)
        height, width = self.size
        inverse = np.linalg.inv(self.homography)
        xs, ys = np.arange(width), np.arange(height)[:, None]
        depth = inverse[2, 0] * xs + inverse[2, 1] * ys + inverse[2, 2]
        source_x = (inverse[0, 0] * xs + inverse[0, 1] * ys + inverse[0, 2]) / depth
        source_y = (inverse[1, 0] * xs + inverse[1, 1] * ys + inverse[1, 2]) / depth
        amplitude, frequency, phase = self.wave
        source_y -= amplitude * np.sin(frequency * source_x + phase)
        return cv2.remap(mask, source_x.astype(np.float32), source_y.astype(np.float32), cv2.INTER_LINEAR)


def place(
    ink: InkedText, tilt: Tilt, *, height: int, fill: float, margins: tuple[float, float], lift: float
) -> LineWarp:
    """Return the warp that puts the tilted text box into an image of `height` pixels.

    Args:
        ink: The drawn line.
        tilt: Its tilt.
        height: Height of the image, in pixels.
        fill: Height of the tilted text box relative to the image.
        margins: (left, right) space beside it, relative to `height`.
        lift: 0..1, fraction of the vertical space that is above the text.
    """
    shape = shape_matrix(ink.box, tilt)
    wave = wave_of(ink.box, tilt)
    low, high = extent(ink.box, tilt)
    scale = fill * height / (high[1] - low[1])
    left = margins[0] * height - scale * low[0]
    top = lift * (1 - fill) * height - scale * low[1]
    to_image = np.array([[scale, 0, left], [0, scale, top], [0, 0, 1.0]])
    width = round(scale * (high[0] - low[0]) + sum(margins) * height)
    return LineWarp(to_image @ shape, wave, (height, max(2, width)))


def extent(box: tuple[float, float, float, float], tilt: Tilt) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the (minimum, maximum) corners, each (x, y), of the tilted box, in mask pixels before scaling."""
    left, top, right, bottom = box
    steps = 8 if tilt.bend else 1
    amplitude, frequency, phase = wave_of(box, tilt)
    (xx, xy, x0), (yx, yy, y0), (dx, dy, d0) = shape_matrix(box, tilt).tolist()
    xs, ys = [], []
    # For a few points, plain floats are faster than arrays.
    for i in range(steps + 1):
        x = left + (right - left) * i / steps
        wave = amplitude * math.sin(frequency * x + phase) if amplitude else 0.0
        for y in (top + wave, bottom + wave):
            depth = dx * x + dy * y + d0
            xs.append((xx * x + xy * y + x0) / depth)
            ys.append((yx * x + yy * y + y0) / depth)
    return (min(xs), min(ys)), (max(xs), max(ys))


def shape_matrix(box: tuple[float, float, float, float], tilt: Tilt) -> np.ndarray:
    """Return the (3, 3) homography of the tilt about the center of `box`: stretch and shear, rotation, perspective."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    cos, sin = math.cos(tilt.angle), math.sin(tilt.angle)
    xx, xy = cos * tilt.stretch, cos * tilt.shear - sin
    yx, yy = sin * tilt.stretch, sin * tilt.shear + cos
    shift_x, shift_y = -xx * x - xy * y, -yx * x - yy * y
    along = tilt.perspective[0] / (tilt.stretch * (right - left))
    across = tilt.perspective[1] / (bottom - top)
    return np.array(
        [
            [xx, xy, shift_x],
            [yx, yy, shift_y],
            [along * xx + across * yx, along * xy + across * yy, along * shift_x + across * shift_y + 1],
        ]
    )


def wave_of(box: tuple[float, float, float, float], tilt: Tilt) -> tuple[float, float, float]:
    """Return the (amplitude, angular frequency, phase) of the tilt's wave: half a period along `box`."""
    left, top, right, bottom = box
    return tilt.bend * (bottom - top), np.pi / max(right - left, 1.0), tilt.phase


def _bent(xy: np.ndarray, wave: tuple[float, float, float]) -> np.ndarray:
    amplitude, frequency, phase = wave
    if not amplitude:
        return xy
    return np.stack([xy[:, 0], xy[:, 1] + amplitude * np.sin(frequency * xy[:, 0] + phase)], axis=1)


def project(homography: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return the (n, 2) float64 images of the points `xy`, (n, 2), under a (3, 3) homography."""
    mapped = np.asarray(xy, np.float64) @ homography[:, :2].T + homography[:, 2]
    return mapped[:, :2] / mapped[:, 2:]
