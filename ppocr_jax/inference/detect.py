"""Text detector for images of any size, applied to large images in tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from ppocr_jax.geometry import polygon_area
from ppocr_jax.inference.backends import Backend
from ppocr_jax.inference.db_postprocess import TextBox, boxes_from_map, filter_boxes
from ppocr_jax.inference.model_folder import DetectorSpec
from ppocr_jax.preprocess import detector_image, pad_small

MOST = 720_000
"""Pixels of one run: a page of 960 x 736. A network's memory grows with its input: a receipt of 1472 x 736 takes 145 MB
in one run and 75 MB in two tiles, for 13 % more work."""
OVERLAP = 192
"""Pixels that two tiles share. The outer quarters of the overlap are not used: a tile is wrong about text within 32
pixels of its border, and slightly less confident within 96. The rest is higher than most lines, so that no line is
cut."""
_STRIDE = 32
_FLAT = 5  # gray levels by which blank paper, at a quarter of the size, may differ from its surroundings


@dataclass(frozen=True)
class TextDetector:
    """Detector of text lines: a network, its preprocessing and its postprocessing."""

    backend: Backend
    spec: DetectorSpec

    def __call__(
        self,
        image_rgb: np.ndarray,
        *,
        limit_side: int | None = None,
        limit_type: str | None = None,
        **thresholds: Any,
    ) -> list[TextBox]:
        """Return the boxes of the text lines in an image, in no particular order.

        Args:
            image_rgb: Image, (H, W, 3) uint8.
            limit_side, limit_type: Override the model's (`preprocess.detector_size`).
            thresholds: Fields of `DBOptions` that override the model's.
        """
        probability_map = self.probability_map(image_rgb, limit_side=limit_side, limit_type=limit_type)
        options = replace(self.spec.postprocess, **thresholds)
        size = pad_small(image_rgb).shape[:2]
        boxes = boxes_from_map(probability_map, source_size=size, options=options, straighten=True)
        # A box without area after clipping cannot be cropped.
        return [box for box in filter_boxes(boxes, image_rgb.shape[:2]) if polygon_area(box.points) >= 1]

    def probability_map(
        self, image_rgb: np.ndarray, *, limit_side: int | None = None, limit_type: str | None = None
    ) -> np.ndarray:
        """Return the probability map of an image, (h, w) float32, 0..1, at the network's input size."""
        image = detector_image(
            image_rgb,
            limit_side=limit_side or self.spec.limit_side,
            limit_type=limit_type or self.spec.limit_type,
            size=self.spec.size,
        )
        return self._run(image) if self.spec.size else tiled_map(self._run, image)

    def _run(self, image: np.ndarray) -> np.ndarray:
        if _is_blank(image):
            return np.zeros(image.shape[:2], np.float32)
        return self.backend(self.spec.normalization.planar(image)[None])[0]


def _is_blank(image: np.ndarray) -> bool:
    """Return whether an image (H, W, 3) uint8 is blank: it may have shades, as scanned paper has, but no marks."""
    import cv2

    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return int(cv2.absdiff(small, cv2.blur(small, (15, 15))).max()) < _FLAT


def tiled_map(
    run: Callable[[np.ndarray], np.ndarray], image: np.ndarray, *, most: int = MOST, overlap: int = OVERLAP
) -> np.ndarray:
    """Return the probability map (H, W) of an image (H, W, 3), both sides multiples of 32.

    Args:
        run: Function from a part of the image (h, w, 3) to its map (h, w).
        most: Largest number of pixels per call of `run`.
        overlap: Least number of pixels that neighboring tiles share.

    Raises:
        ValueError: If `most` is too small for tiles with this overlap.
    """
    height, width = image.shape[:2]
    if height * width <= most:
        return run(image)
    tile_height, tile_width = _tile_size(height, width, most, overlap)
    tops, lefts = _starts(height, tile_height, overlap), _starts(width, tile_width, overlap)
    bands = [_joined([run(image[y : y + tile_height, x : x + tile_width]).T for x in lefts], lefts).T for y in tops]
    return _joined(bands, tops)


def _tile_size(height: int, width: int, most: int, overlap: int) -> tuple[int, int]:
    """Return the (height, width) of the tiles that need the least work."""
    sizes = [
        (rows * h * columns * w, h, w)
        for (rows, h), (columns, w) in product(_splits(height, overlap), _splits(width, overlap))
        if h * w <= most
    ]
    if not sizes:
        raise ValueError(f"{most} pixels are too few for tiles that share {overlap}")
    return min(sizes)[1:]


def _splits(length: int, overlap: int) -> list[tuple[int, int]]:
    """Return (number of tiles along an axis, their side): from one tile to tiles hardly larger than the overlap."""
    splits, least = [(1, length)], (overlap // _STRIDE + 1) * _STRIDE
    for count in range(2, -(-length // _STRIDE) + 1):
        side = -(-(length + (count - 1) * overlap) // (count * _STRIDE)) * _STRIDE
        if least <= side < splits[-1][1]:
            splits.append((count, side))
        if side <= least:
            break
    return splits


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return the evenly spaced starts of the tiles along an axis."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return ((np.linspace(0, length - tile, count) / _STRIDE).round().astype(int) * _STRIDE).tolist()


def _joined(maps: Sequence[np.ndarray], starts: Sequence[int]) -> np.ndarray:
    """Join the maps of tiles below each other, which start at the rows `starts`."""
    parts, begin = [], 0
    for k in range(1, len(maps)):
        seam = _seam(maps[k - 1], maps[k], starts[k - 1], starts[k])
        parts.append(maps[k - 1][begin - starts[k - 1] : seam - starts[k - 1]])
        begin = seam
    parts.append(maps[-1][begin - starts[-1] :])
    return np.concatenate(parts) if len(parts) > 1 else maps[0]


def _seam(above: np.ndarray, below: np.ndarray, top: int, bottom: int) -> int:
    """Return the row to join two overlapping tiles: the one with the least text, nearest to the middle if equal."""
    shared = top + len(above) - bottom
    text = np.maximum(above[bottom - top :], below[:shared]).sum(axis=1)
    inner = np.arange(shared // 4, shared - shared // 4)
    return bottom + int(inner[np.argmin(text[inner] + np.abs(inner - shared / 2) / shared)])
