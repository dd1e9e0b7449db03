"""Bending and tilting a drawn line into the frame of its picture, with points that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppocr_jax.data.synthetic.glyphs import InkedText


@dataclass(frozen=True)
class Tilt:
    """A small change of shape about the middle of the text box.

    Attributes:
        stretch: width factor.
        angle: rotation in radians.
        shear: sideways lean per unit of height.
        perspective: relative change of scale along the box (horizontal, vertical).
        bend: height of a wave along the line, in text heights.
        phase: where the wave begins, in radians.
    """

    stretch: float = 1.0
    angle: float = 0.0
    shear: float = 0.0
    perspective: tuple[float, float] = (0.0, 0.0)
    bend: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True)
class Placement:
    """The map from a drawn line's mask to a picture: first a vertical wave, then a homography.

    Attributes:
        homography: (3, 3) float64, mask pixels (x, y, 1) to picture pixels.
        wave: (amplitude, angular frequency, phase): a point at x moves down by amplitude * sin(frequency x + phase).
        size: (width, height) of the picture.
    """

    homography: np.ndarray
    wave: tuple[float, float, float]
    size: tuple[int, int]

    def points(self, xy: np.ndarray) -> np.ndarray:
        """(n, 2) positions in the picture of mask positions `xy`, (n, 2)."""
        return project(self.homography, _bent(xy, self.wave))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """The picture's (height, width) ink mask of a drawn line's mask."""
        import cv2

        if not self.wave[0]:
            return cv2.warpPerspective(mask, self.homography, self.size, flags=cv2.INTER_LINEAR)
        width, height = self.size
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).reshape(-1, 2).astype(np.float64)
        source = project(np.linalg.inv(self.homography), grid)
        amplitude, frequency, phase = self.wave
        source[:, 1] -= amplitude * np.sin(frequency * source[:, 0] + phase)
        maps = source.astype(np.float32).reshape(height, width, 2)
        return cv2.remap(mask, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)


def place(
    ink: InkedText, tilt: Tilt, *, height: int, fill: float, margins: tuple[float, float], lift: float
) -> Placement:
    """Put the tilted text box into a picture of `height` pixels.

    Args:
        ink: the drawn line.
        tilt: how it is tilted.
        height: of the picture, in pixels.
        fill: height of the tilted text box relative to the picture.
        margins: (left, right) room beside it, relative to `height`.
        lift: 0..1, share of the vertical room that lies above the text.
    """
    shape = shape_matrix(ink.box, tilt)
    wave = wave_of(ink.box, tilt)
    low, high = extent(ink.box, tilt)
    scale = fill * height / (high[1] - low[1])
    left = margins[0] * height - scale * low[0]
    top = lift * (1 - fill) * height - scale * low[1]
    to_picture = np.array([[scale, 0, left], [0, scale, top], [0, 0, 1.0]])
    width = round(scale * (high[0] - low[0]) + sum(margins) * height)
    return Placement(to_picture @ shape, wave, (max(2, width), height))


def extent(box: tuple[float, float, float, float], tilt: Tilt) -> tuple[np.ndarray, np.ndarray]:
    """(lowest, highest) x and y of the tilted box, in the units of the mask."""
    xs = np.linspace(box[0], box[2], 9 if tilt.bend else 2)
    outline = np.array([(x, y) for y in (box[1], box[3]) for x in xs])
    points = project(shape_matrix(box, tilt), _bent(outline, wave_of(box, tilt)))
    return points.min(axis=0), points.max(axis=0)


def shape_matrix(box: tuple[float, float, float, float], tilt: Tilt) -> np.ndarray:
    """(3, 3) homography of the tilt, about the middle of `box`."""
    left, top, right, bottom = box
    center = np.array([[1, 0, -(left + right) / 2], [0, 1, -(top + bottom) / 2], [0, 0, 1.0]])
    cos, sin = np.cos(tilt.angle), np.sin(tilt.angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    lean = np.array([[tilt.stretch, tilt.shear, 0], [0, 1, 0], [0, 0, 1.0]])
    along, across = tilt.perspective
    view = np.eye(3)
    view[2, :2] = along / (tilt.stretch * (right - left)), across / (bottom - top)
    return view @ rotation @ lean @ center


def wave_of(box: tuple[float, float, float, float], tilt: Tilt) -> tuple[float, float, float]:
    """(amplitude, angular frequency, phase) of the tilt's wave: half a period along `box`."""
    left, top, right, bottom = box
    return tilt.bend * (bottom - top), np.pi / max(right - left, 1.0), tilt.phase


def _bent(xy: np.ndarray, wave: tuple[float, float, float]) -> np.ndarray:
    amplitude, frequency, phase = wave
    if not amplitude:
        return xy
    return np.stack([xy[:, 0], xy[:, 1] + amplitude * np.sin(frequency * xy[:, 0] + phase)], axis=1)


def project(homography: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """(n, 2) float64 images of the points `xy`, (n, 2), under a (3, 3) homography."""
    mapped = np.asarray(xy, np.float64) @ homography[:, :2].T + homography[:, 2]
    return mapped[:, :2] / mapped[:, 2:]
