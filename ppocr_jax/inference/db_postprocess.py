"""Boxes from the detector's probability map: threshold, contours, score, unclip (DB paper, section 3.5).

Every constant and rounding follows PaddleOCR, whose weights and thresholds were tuned together. There are two
exceptions: the corner order of boxes at 45 degrees (`filter_boxes`), and an option to straighten short boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.geometry import (
    bounding_box,
    min_area_quads,
    offset_polygon,
    order_corners_clockwise,
)

_SIMPLIFY = 0.002  # tolerance of polygon simplification, as a share of the perimeter
_UNCLIPPED_MARGIN = 2  # how much longer than `min_side` the short side must be after unclipping
_THINNEST = 3  # boxes with a width or height, in whole pixels of the image, up to this are dropped
_SHORT, _HARDLY_LARGER = 2.0, 1.25  # aspect ratio, and ratio of areas; see `_smallest_rectangles`


@dataclass(frozen=True)
class DBOptions:
    """Options of the conversion of a probability map to boxes.

    Attributes:
        threshold: Pixels with a probability above this value are text.
        box_threshold: Least mean probability of a box.
        unclip_ratio: Boxes grow by `area * unclip_ratio / perimeter`, to undo the shrinking of the training targets.
        max_candidates: Largest number of contours to process, in OpenCV's order, from the bottom of the image. None:
            all.
        dilate: Whether to grow the text mask by one pixel to the right and down first.
        score_mode: Where to compute the mean probability. "fast": inside the rectangle; "slow": inside the contour.
        polygons: Return outlines of curved text instead of rectangles.
        min_side: Least short side of a rectangle before unclipping, in pixels of the map.
    """

    threshold: float = 0.3
    box_threshold: float = 0.6
    unclip_ratio: float = 1.5
    max_candidates: int | None = None
    dilate: bool = False
    score_mode: str = "fast"
    polygons: bool = False
    min_side: float = 3

    def __post_init__(self) -> None:
        for name in ("threshold", "box_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        if not 0 < self.unclip_ratio < math.inf:
            raise ValueError(f"unclip_ratio must be positive and finite, got {self.unclip_ratio}")
        if self.max_candidates is not None and self.max_candidates < 1:
            raise ValueError(f"max_candidates must be at least 1, got {self.max_candidates}")
        if self.score_mode not in ("fast", "slow"):
            raise ValueError(f'score_mode must be "fast" or "slow", not {self.score_mode!r}')
        if not 0 < self.min_side < math.inf:
            raise ValueError(f"min_side must be positive and finite, got {self.min_side}")


@dataclass(frozen=True, eq=False)
class TextBox:
    """Position of a line of text.

    Attributes:
        points: Corners in pixels of the image, float32 (4, 2), clockwise from top-left, or (n, 2) with
            `DBOptions.polygons`.
        score: Mean probability inside the box before unclipping, 0..1.
    """

    points: np.ndarray
    score: float


def boxes_from_map(
    probability_map: np.ndarray,
    *,
    source_size: tuple[int, int],
    options: DBOptions | None = None,
    straighten: bool = False,
) -> list[TextBox]:
    """Return the boxes of a detector's probability map (H, W) float32, in OpenCV's order of contours.

    Holes of the text mask are contours, too. Their low score usually drops them.

    Args:
        probability_map: Probabilities, 0..1.
        source_size: (height, width) in pixels of the image that was resized to the size of the map.
        options: Thresholds and modes.
        straighten: Replace the rectangle of a short box by an upright one if that is hardly larger. PaddleOCR's are
            sometimes rotated by up to 45 degrees.

    Raises:
        ValueError: If the map does not have two axes.
    """
    if probability_map.ndim != 2:
        raise ValueError(f"a probability map is (H, W), got shape {probability_map.shape}")
    options = options or DBOptions()
    probability_map = np.asarray(probability_map, np.float32)
    contours = _contours(probability_map, options)
    if options.polygons:
        shapes = inner_areas = _simplified(contours)
    else:
        shapes, inner_areas = _rectangles(contours, options, straighten)
    scores = [_mean_inside(probability_map, points) for points in inner_areas]
    grown = [
        (outlines[0], score)
        for points, score in zip(shapes, scores, strict=True)
        if score >= options.box_threshold and len(outlines := _unclip(points, options)) == 1
    ]
    quads, short_sides = _smallest_rectangles([outline for outline, _ in grown], straighten)
    return [
        TextBox(_to_source(outline if options.polygons else quad, probability_map.shape, source_size), score)
        for (outline, score), quad, short_side in zip(grown, quads, short_sides, strict=True)
        if short_side >= options.min_side + _UNCLIPPED_MARGIN
    ]


def filter_boxes(boxes: Sequence[TextBox], source_size: tuple[int, int]) -> list[TextBox]:
    """Clip boxes to the image, order their corners for reading, and drop boxes that are too thin.

    Outlines of curved text, found with `DBOptions.polygons`, are only clipped.

    Args:
        boxes: Boxes found by `boxes_from_map`.
        source_size: (height, width) of the image.
    """
    last = np.array([source_size[1] - 1, source_size[0] - 1], np.float32)
    if any(len(box.points) != 4 for box in boxes):
        return [TextBox(np.trunc(np.clip(box.points, 0, last)), box.score) for box in boxes]
    quads = np.array([box.points for box in boxes], np.float32).reshape(-1, 4, 2)
    quads = np.trunc(np.clip(order_corners_clockwise(quads), 0, last))
    widths, heights = (np.trunc(np.linalg.norm(quads[:, 0] - quads[:, corner], axis=1)) for corner in (1, 3))
    kept = np.flatnonzero(np.minimum(widths, heights) > _THINNEST)
    return [TextBox(quads[i], boxes[i].score) for i in kept.tolist()]


def _contours(probability_map: np.ndarray, options: DBOptions) -> list[np.ndarray]:
    """Return the outlines (n, 1, 2) int32 of the text mask and its holes."""
    import cv2

    mask = (probability_map > options.threshold).view(np.uint8)
    if options.dilate:
        mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return list(contours[: options.max_candidates])


def _rectangles(
    contours: list[np.ndarray], options: DBOptions, straighten: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return rectangles (4, 2) around the contours that are wide enough, and the outlines for their scores."""
    quads, short_sides = _smallest_rectangles(contours, straighten)
    wide = np.flatnonzero(short_sides >= options.min_side).tolist()
    rectangles = [quads[i] for i in wide]
    return rectangles, [contours[i][:, 0] for i in wide] if options.score_mode == "slow" else rectangles


def _smallest_rectangles(outlines: Sequence[np.ndarray], straighten: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest rectangles (n, 4, 2) around outlines, and their short sides (n,) before straightening.

    The blob of one or two characters has no angle of its own: its smallest rectangle follows the pixel grid and may be
    rotated by up to 45 degrees. An upright rectangle is hardly larger, except around a short word that is slanted.
    """
    quads, short_sides = min_area_quads(outlines)
    if not straighten or not len(quads):
        return quads, short_sides
    sides = np.linalg.norm(quads[:, [1, 3]] - quads[:, :1], axis=2)
    for i in np.flatnonzero(sides.max(axis=1) < _SHORT * sides.min(axis=1)).tolist():
        left, top, right, bottom = bounding_box(outlines[i].reshape(-1, 2))
        if (right - left) * (bottom - top) < _HARDLY_LARGER * sides[i].prod():
            quads[i] = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return quads, short_sides


def _simplified(contours: list[np.ndarray]) -> list[np.ndarray]:
    """Return the simplified outlines (n, 2) of the contours, if they have at least four vertices."""
    import cv2

    outlines = [cv2.approxPolyDP(c, _SIMPLIFY * cv2.arcLength(c, True), True)[:, 0] for c in contours]
    return [outline for outline in outlines if len(outline) >= 4]


def _unclip(points: np.ndarray, options: DBOptions) -> list[np.ndarray]:
    import cv2

    return offset_polygon(points, cv2.contourArea(points) * options.unclip_ratio / cv2.arcLength(points, True))


def _mean_inside(probability_map: np.ndarray, points: np.ndarray) -> float:
    """Return the mean probability inside a polygon (n, 2), border included, computed in its bounding box."""
    import cv2

    height, width = probability_map.shape
    left, top, right, bottom = bounding_box(points)
    left, right = (min(max(x, 0), width - 1) for x in (math.floor(left), math.ceil(right)))
    top, bottom = (min(max(y, 0), height - 1) for y in (math.floor(top), math.ceil(bottom)))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(points - (left, top)).astype(np.int32)], 1)
    return cv2.mean(probability_map[top : bottom + 1, left : right + 1], inside)[0]


def _to_source(points: np.ndarray, map_size: Sequence[int], source_size: tuple[int, int]) -> np.ndarray:
    """Scale points from the map to the image, round (halves to even) and clip to 0..width, 0..height."""
    map_wh, source_wh = np.array(map_size[::-1], np.float32), np.array(source_size[::-1], np.float32)
    return np.clip(np.round(points / map_wh * source_wh), 0, source_wh).astype(np.float32)
