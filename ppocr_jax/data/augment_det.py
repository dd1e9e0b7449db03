"""Geometric augmentation of detector images: flip, rotation, rescaling and crop.

PaddleOCR release/2.6 resamples the image at each step, and rescales the whole image (to up to 9 times its pixels)
although the crop then keeps only a part of it. Here each step only composes an affine map, a `View` of the source
image, and `render` resamples once, only the pixels that are kept. The random choices and the polygons are the same. Two
things differ: one interpolation instead of three, and corners after rotation that a later rescaling would have blurred.

Points are continuous: pixel i covers [i, i + 1), so flipping maps x to width - x and rescaling multiplies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from ppocr_jax.geometry import min_area_quad, polygon_area, polygon_perimeter
from ppocr_jax.synth import degrade

Polygons = Sequence[np.ndarray]
_STEPS = ((degrade.tone, 0.5), (degrade.gaussian_blur, 0.15), (degrade.noise, 0.15), (degrade.jpeg, 0.2))
_DEFAULT_TEXT_HEIGHT = 20.0
# As in PaddleOCR: largest rotation in degrees, attempts to crop before the whole image is taken, and least side of a
# crop as a fraction of the image's side.
_ROTATION, _CROP_TRIES, _LEAST_CROP = 10, 50, 0.1
_LEGIBLE = 0.6  # minimum visible fraction of a line's height; with less, nobody could read it


@dataclass(frozen=True, eq=False)
class View:
    """Image of `height` x `width` pixels seen through an affine map.

    Attributes:
        matrix: (3, 3), maps points of the source image to points of the view.
        height: Pixels.
        width: Pixels.
    """

    matrix: np.ndarray
    height: int
    width: int

    @classmethod
    def of(cls, image_rgb: np.ndarray) -> View:
        """Return the view that shows an image unchanged."""
        return cls(np.eye(3), *image_rgb.shape[:2])

    def then(self, matrix: np.ndarray, height: int | None = None, width: int | None = None) -> View:
        """Return this view followed by another map; the size stays the same unless it is given."""
        return View(matrix @ self.matrix, height or self.height, width or self.width)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Return the positions in the view of points (..., 2) of the source image."""
        return points @ self.matrix[:2, :2].T + self.matrix[:2, 2]


def random_flip(rng: np.random.Generator, view: View, *, probability: float = 0.5) -> View:
    """Mirror the view horizontally with the given probability."""
    if rng.random() >= probability:
        return view
    return view.then(np.array([(-1.0, 0, view.width), (0, 1, 0), (0, 0, 1)]))


def random_rotation(rng: np.random.Generator, view: View) -> View:
    """Rotate about the center by up to 10 degrees; the canvas keeps its size and its corners are cut off."""
    angle = np.deg2rad(rng.uniform(-_ROTATION, _ROTATION))
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = view.width / 2, view.height / 2
    return view.then(np.array([(cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y), (0, 0, 1)]))


def random_scale(rng: np.random.Generator, view: View, *, factors: tuple[float, float] = (0.5, 3.0)) -> View:
    """Rescale both axes by one uniform random factor."""
    factor = rng.uniform(*factors)
    height, width = (max(1, round(side * factor)) for side in (view.height, view.width))
    return view.then(np.diag([width / view.width, height / view.height, 1.0]), height, width)


def random_text_crop(rng: np.random.Generator, view: View, polygons: Polygons, *, size: int) -> View:
    """Crop between text regions without cutting any, and scale the crop to fit `size` (EAST's crop).

    The borders of the crop lie in rows and columns without text, and the crop holds at least one region. If no such
    crop is found, the whole image is taken. Small crops are enlarged, so text sizes vary widely.

    Args:
        rng: Random generator.
        view: The image.
        polygons: Regions that guide the crop, in the source image, without the ignored ones.
        size: Longer side of the result.
    """
    left, top, right, bottom = 0, 0, view.width, view.height
    boxes = _integer_boxes(view, polygons)
    columns = _free_runs(boxes[:, 0], boxes[:, 2], view.width)
    rows = _free_runs(boxes[:, 1], boxes[:, 3], view.height)
    for _ in range(_CROP_TRIES if columns and rows and len(boxes) else 0):
        x0, x1 = _two_coordinates(rng, columns)
        y0, y1 = _two_coordinates(rng, rows)
        if x1 - x0 < max(1, _LEAST_CROP * view.width) or y1 - y0 < max(1, _LEAST_CROP * view.height):
            continue
        outside = (boxes[:, 2] <= x0) | (boxes[:, 0] >= x1) | (boxes[:, 3] <= y0) | (boxes[:, 1] >= y1)
        if not outside.all():
            left, top, right, bottom = x0, y0, x1, y1
            break
    width, height = right - left, bottom - top
    scale = min(size / width, size / height)
    matrix = np.array([(scale, 0, -left * scale), (0, scale, -top * scale), (0, 0, 1)])
    return view.then(matrix, max(1, int(height * scale)), max(1, int(width * scale)))


def random_window(rng: np.random.Generator, view: View, polygons: Polygons, *, size: int) -> View:
    """Crop a window of `size` without rescaling; it holds the center of a random region if there are any.

    Unlike `random_text_crop`, it keeps the size of the text and may cut regions.
    """
    low, high = np.zeros(2, int), np.maximum((view.width - size, view.height - size), 0)
    if len(polygons):
        center = view.points(polygons[int(rng.integers(len(polygons)))]).mean(axis=0)
        low, high = (np.clip(c, low, high).astype(int) for c in (np.ceil(center - size), np.floor(center)))
    left, top = rng.integers(low, high + 1)
    matrix = np.array([(1, 0, -left), (0, 1, -top), (0, 0, 1.0)])
    return view.then(matrix, min(size, view.height), min(size, view.width))


def render(image_rgb: np.ndarray, view: View, size: int) -> np.ndarray:
    """Render the view at the top left of a black canvas.

    Interpolation is cubic if the view enlarges, otherwise linear (without low-pass filter, like the detector's resize
    at inference).

    Returns:
        (size, size, 3) uint8.
    """
    import cv2

    half = np.array([(1, 0, 0.5), (0, 1, 0.5), (0, 0, 1)])  # OpenCV puts the center of the first pixel at 0
    matrix = (np.linalg.inv(half) @ view.matrix @ half)[:2]
    enlarges = abs(np.linalg.det(view.matrix)) > 1
    flags = cv2.INTER_CUBIC if enlarges else cv2.INTER_LINEAR
    canvas = np.zeros((size, size, 3), np.uint8)
    canvas[: view.height, : view.width] = cv2.warpAffine(image_rgb, matrix, (view.width, view.height), flags=flags)
    return canvas


def visible_polygons(view: View, polygons: Polygons, ignore: Sequence[bool]) -> tuple[list[np.ndarray], list[bool]]:
    """Return the polygons whose bounding box meets the view, not clipped, and their flags; as in PaddleOCR."""
    moved = [view.points(polygon) for polygon in polygons]
    limits = (view.width, view.height)
    kept = [bool((p.max(axis=0) >= 0).all() and (p.min(axis=0) <= limits).all()) for p in moved]
    return list(compress(moved, kept)), [bool(flag) for flag in compress(ignore, kept)]


def clipped_polygons(view: View, polygons: Polygons, ignore: Sequence[bool]) -> tuple[list[np.ndarray], list[bool]]:
    """Return the polygons in the view, cut at its borders, and their flags.

    Moving the vertices of a cut region onto the border, as the shrink map does, would tilt its long sides away from the
    text; cutting keeps them. A region becomes ignored if the short side of its visible part is below `_LEGIBLE` of the
    whole region's short side, because that part is not legible.
    """
    kept: list[np.ndarray] = []
    flags: list[bool] = []
    for polygon, ignored in zip(polygons, ignore, strict=True):
        whole = view.points(polygon)
        part = _clip(whole, view.width, view.height)
        if len(part) < 3:
            continue
        sliver = part is not whole and _short_side(part) < _LEGIBLE * _short_side(whole)
        kept.append(part)
        flags.append(bool(ignored) or sliver)
    return kept, flags


def _short_side(polygon: np.ndarray) -> float:
    return min_area_quad(polygon.astype(np.float32))[1]


def _clip(polygon: np.ndarray, width: float, height: float) -> np.ndarray:
    """Return the part of a polygon in [0, width] x [0, height] (Sutherland-Hodgman); the same object if uncut."""
    for axis, limit in ((0, width), (1, height)):
        for inward, bound in ((1, 0), (-1, limit)):
            depth = (polygon[:, axis] - bound) * inward
            if (depth >= 0).all():
                continue
            vertices: list[np.ndarray] = []
            for i in range(len(polygon)):
                before, now = depth[i - 1], depth[i]
                if (before >= 0) != (now >= 0):
                    vertices.append(polygon[i - 1] + (polygon[i] - polygon[i - 1]) * (before / (before - now)))
                if now >= 0:
                    vertices.append(polygon[i])
            if not vertices:
                return np.empty((0, 2))
            polygon = np.array(vertices)
    return polygon


def _integer_boxes(view: View, polygons: Polygons) -> np.ndarray:
    """Return (n, 4) int: left, top, right, bottom of each polygon in the view, rounded."""
    moved = [np.round(view.points(polygon)) for polygon in polygons]
    return np.array([(*p.min(axis=0), *p.max(axis=0)) for p in moved], int).reshape(-1, 4)


def _free_runs(starts: np.ndarray, ends: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Return the runs (first, last) of coordinates below `length` that no interval [start, end) covers."""
    covered = np.zeros(length + 2, bool)
    covered[[0, -1]] = True
    for start, end in zip(np.maximum(starts, 0), np.maximum(ends, 0), strict=True):
        covered[1 + start : 1 + min(end, length)] = True
    edges = np.flatnonzero(np.diff(covered))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]


def _two_coordinates(rng: np.random.Generator, runs: list[tuple[int, int]]) -> tuple[int, int]:
    """Return two random coordinates in increasing order, each from a random run."""
    picks = rng.integers(len(runs), size=2)
    low, high = sorted(int(rng.integers(runs[i][0], runs[i][1] + 1)) for i in picks)
    return low, high


def jitter_photometric(rng: np.random.Generator, image_rgb: np.ndarray, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Apply some photometric steps, each with its own probability, mild enough that the smallest text stays legible.

    Args:
        rng: Random generator.
        image_rgb: (H, W, 3) uint8.
        polygons: Text regions of the image; their height limits the blur.
    """
    # A long thin region of area A and perimeter L is about 2 A / L high.
    heights = [2 * polygon_area(p) / polygon_perimeter(p) for p in polygons if polygon_area(p) > 0]
    text_height = float(np.percentile(heights, 10)) if heights else _DEFAULT_TEXT_HEIGHT
    for step, probability in _STEPS:
        if rng.random() < probability:
            image_rgb = step(rng, image_rgb, text_height)
    return image_rgb
