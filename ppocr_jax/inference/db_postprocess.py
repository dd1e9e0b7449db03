"""From the detector's probability map to boxes: threshold, contours, score, unclip (DB paper, section 3.5).

Every constant and rounding follows PaddleOCR, whose weights and thresholds were tuned together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.geometry import (
    min_area_quad,
    offset_polygon,
    order_corners_by_sum,
    order_corners_by_x,
    polygon_area,
    polygon_perimeter,
)

_SIMPLIFY = 0.002  # tolerance of a polygon's simplification, as a share of its perimeter
_UNCLIPPED_MARGIN = 2  # how much longer than `min_side` the short side must be after unclipping
_THINNEST = 3  # boxes whose width or height, in whole pixels of the picture, is not above this are dropped


@dataclass(frozen=True)
class DBOptions:
    """How boxes are cut out of a probability map.

    Attributes:
        threshold: a pixel is text where its probability exceeds this.
        box_threshold: least mean probability of a box.
        unclip_ratio: boxes grow by `area * unclip_ratio / perimeter`, to undo the shrinking of the training targets.
        max_candidates: contours that are looked at, in OpenCV's order.
        dilate: grow the text mask by one pixel to the right and down first.
        score_mode: "fast": mean probability inside the rectangle; "slow": inside the contour.
        polygons: return outlines of curved text instead of rectangles.
        min_side: least short side of a rectangle before unclipping, in pixels of the map.
    """

    threshold: float = 0.3
    box_threshold: float = 0.6
    unclip_ratio: float = 1.5
    max_candidates: int = 1000
    dilate: bool = False
    score_mode: str = "fast"
    polygons: bool = False
    min_side: float = 3

    def __post_init__(self) -> None:
        for name in ("threshold", "box_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        if not self.unclip_ratio > 0:
            raise ValueError(f"unclip_ratio must be positive, got {self.unclip_ratio}")
        if self.max_candidates < 1:
            raise ValueError(f"max_candidates must be at least 1, got {self.max_candidates}")
        if self.score_mode not in ("fast", "slow"):
            raise ValueError(f'score_mode must be "fast" or "slow", not {self.score_mode!r}')
        if not self.min_side >= 0:
            raise ValueError(f"min_side must not be negative, got {self.min_side}")


@dataclass(frozen=True, eq=False)
class TextBox:
    """Where a line of text is.

    Attributes:
        points: float32 (4, 2), clockwise from top-left, or (n, 2) with `DBOptions.polygons`; pixels of the picture.
        score: mean probability inside the box before unclipping, 0..1.
    """

    points: np.ndarray
    score: float


def boxes_from_map(
    probability_map: np.ndarray, *, source_size: tuple[int, int], options: DBOptions | None = None
) -> list[TextBox]:
    """Boxes of a detector's probability map (H, W) float32, in the order in which OpenCV lists contours.

    Holes of the text mask count as contours too; their low score usually drops them.

    Args:
        probability_map: values 0..1.
        source_size: (height, width) in pixels of the picture that was resized to the map's size.
        options: thresholds and modes.

    Raises:
        ValueError: the map does not have two axes.
    """
    if probability_map.ndim != 2:
        raise ValueError(f"a probability map is (H, W), got shape {probability_map.shape}")
    options = options or DBOptions()
    probability_map = np.asarray(probability_map, np.float32)
    contours = _contours(probability_map, options)
    find = _polygons if options.polygons else _rectangles
    found, scores = find(probability_map, contours, options)
    return [
        TextBox(_to_source(points, probability_map.shape, source_size), float(score))
        for points, score in zip(found, scores, strict=True)
    ]


def filter_boxes(boxes: Sequence[TextBox], source_size: tuple[int, int], corner_rule: str = "sum") -> list[TextBox]:
    """Clip boxes to the picture's pixels, order their corners for reading, and drop those too thin to read.

    Polygons (n != 4) are only clipped.

    Args:
        boxes: what `boxes_from_map` found.
        source_size: (height, width) of the picture.
        corner_rule: "sum" (PaddleOCR 2.6, see `order_corners_by_sum`) or "x" (2.4 and earlier).

    Raises:
        ValueError: an unknown corner rule.
    """
    if corner_rule not in ("sum", "x"):
        raise ValueError(f'corner_rule must be "sum" or "x", not {corner_rule!r}')
    order = order_corners_by_sum if corner_rule == "sum" else order_corners_by_x
    limit = np.array([source_size[1] - 1, source_size[0] - 1], np.float32)
    kept = []
    for box in boxes:
        quad = len(box.points) == 4
        points = np.trunc(np.clip(order(box.points) if quad else box.points, 0, limit))
        if quad and min(_side(points, 0, 1), _side(points, 0, 3)) <= _THINNEST:
            continue
        kept.append(TextBox(points, box.score))
    return kept


def _side(points: np.ndarray, start: int, end: int) -> int:
    return int(np.hypot(*(points[start] - points[end])))


def _contours(probability_map: np.ndarray, options: DBOptions) -> list[np.ndarray]:
    """Outlines (n, 1, 2) int32 of the text mask and its holes."""
    import cv2

    mask = (probability_map > options.threshold).view(np.uint8)
    if options.dilate:
        mask = cv2.dilate(mask, np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    return list(contours[: options.max_candidates])


def _rectangles(
    probability_map: np.ndarray, contours: list[np.ndarray], options: DBOptions
) -> tuple[list[np.ndarray], list[float]]:
    """Unclipped rectangles (4, 2) and their scores."""
    found, scores = [], []
    for contour in contours:
        quad, short_side = min_area_quad(contour)
        if short_side < options.min_side:
            continue
        score = _mean_inside(probability_map, contour[:, 0] if options.score_mode == "slow" else quad)
        if score < options.box_threshold:
            continue
        grown = _unclip(quad, options)
        if len(grown) != 1:
            continue
        quad, short_side = min_area_quad(grown[0])
        if short_side >= options.min_side + _UNCLIPPED_MARGIN:
            found.append(quad)
            scores.append(score)
    return found, scores


def _polygons(
    probability_map: np.ndarray, contours: list[np.ndarray], options: DBOptions
) -> tuple[list[np.ndarray], list[float]]:
    """Unclipped outlines (n, 2) and their scores."""
    import cv2

    found, scores = [], []
    for contour in contours:
        points = cv2.approxPolyDP(contour, _SIMPLIFY * cv2.arcLength(contour, True), True)[:, 0]
        if len(points) < 4:
            continue
        score = _mean_inside(probability_map, points)
        if score < options.box_threshold:
            continue
        grown = _unclip(points, options)
        if len(grown) == 1 and min_area_quad(grown[0])[1] >= options.min_side + _UNCLIPPED_MARGIN:
            found.append(grown[0])
            scores.append(score)
    return found, scores


def _unclip(points: np.ndarray, options: DBOptions) -> list[np.ndarray]:
    return offset_polygon(points, polygon_area(points) * options.unclip_ratio / polygon_perimeter(points))


def _mean_inside(probability_map: np.ndarray, points: np.ndarray) -> float:
    """Mean probability inside a polygon (n, 2), its border included; looks only at the polygon's bounding window."""
    import cv2

    last = np.array(probability_map.shape[::-1]) - 1
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, last)
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int), 0, last)
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(points - (left, top)).astype(np.int32)], 1)
    return cv2.mean(probability_map[top : bottom + 1, left : right + 1], inside)[0]


def _to_source(points: np.ndarray, map_size: Sequence[int], source_size: tuple[int, int]) -> np.ndarray:
    """Scale points from the map to the picture, rounded (halves to even) and clipped to 0..width, 0..height."""
    map_wh, source_wh = np.array(map_size[::-1], np.float32), np.array(source_size[::-1], np.float32)
    return np.clip(np.round(points / map_wh * source_wh), 0, source_wh).astype(np.float32)
