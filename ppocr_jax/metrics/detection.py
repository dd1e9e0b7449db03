"""Precision, recall and Hmean of detected text boxes.

There are two ways to count. `detection_counts` matches boxes one to one by IoU, the ICDAR 2015 protocol of PaddleOCR's
evaluation and of PP-OCRv2 Table 2. `area_counts` measures how much of each box is covered, so a line detected word by
word, or words detected as one line, are not penalized: use it if labels and detector differ in granularity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import shapely

Outline: TypeAlias = np.ndarray | Sequence[Sequence[float]]
"""Corners of a polygon: (N, 2), N >= 3, (x, y) in pixels, in either winding."""

Polygons: TypeAlias = np.ndarray
"""1-D object array of Shapely geometries."""

IOU_THRESHOLD = 0.5
IGNORED_SHARE = 0.5  # a detection with a larger share of its area in an ignored region is ignored
TIE_SHARE = 0.5  # boxes are tied if their intersection is at least this share of the smaller one
RECALLED_SHARE = 0.8  # Wolf and Jolion 2006: a ground-truth box is recalled if at least this share is covered,
PRECISE_SHARE = 0.4  # and a detection is precise if at least this share is filled


@runtime_checkable
class RegionLike(Protocol):
    """A labeled region."""

    @property
    def points(self) -> Outline:
        """Corners, (N, 2) pixels."""
        ...

    @property
    def ignore(self) -> bool:
        """Whether the region is neither a target nor makes a detection there a false positive."""
        ...


@dataclass(frozen=True)
class DetectionCounts:
    """Counts of one image; `+` adds those of several.

    Attributes:
        recalled: Ground-truth boxes that were detected.
        targets: Ground-truth boxes that are not ignored.
        precise: Correct detections.
        detections: Detections outside ignored regions.
    """

    recalled: int = 0
    targets: int = 0
    precise: int = 0
    detections: int = 0

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(
            self.recalled + other.recalled,
            self.targets + other.targets,
            self.precise + other.precise,
            self.detections + other.detections,
        )


def detection_counts(ground_truth: Sequence[RegionLike], detections: Sequence[Outline]) -> DetectionCounts:
    """Count one-to-one matches of one image (PaddleOCR release/2.6, `DetectionIoUEvaluator`).

    Self-intersecting outlines are left out. A detection is ignored if more than half of its area lies in one ignored
    region. Each ground-truth box in turn takes the first free detection with IoU > 0.5.

    Args:
        ground_truth: Labeled regions.
        detections: Outlines, (N, 2) pixels each.

    Returns:
        Counts with `recalled == precise`, the number of matches.
    """
    truth = to_polygons([region.points for region in ground_truth])
    ignored = np.array([region.ignore for region in ground_truth], bool)
    valid = shapely.is_valid(truth)
    targets, ignored_regions = truth[valid & ~ignored], truth[valid & ignored]
    found = to_polygons(detections)
    found = found[shapely.is_valid(found)]
    found = found[(shares_inside(found, ignored_regions) <= IGNORED_SHARE).all(axis=1)]

    matched = _count_greedy_matches(iou_matrix(targets, found) > IOU_THRESHOLD)
    return DetectionCounts(matched, len(targets), matched, len(found))


def area_counts(ground_truth: Sequence[RegionLike], detections: Sequence[Outline]) -> DetectionCounts:
    """Count matches of one image by covered area (after Wolf and Jolion, "Object count/area graphs", IJDAR 2006).

    A ground-truth box and a detection are tied if their intersection is at least half of the smaller one. A box is
    recalled if the detections tied to it cover at least 0.8 of its area; a detection is precise if the boxes tied to it
    fill at least 0.4 of its area. As in the original, areas of intersections are added, so that what two detections
    share counts twice; unlike in the original, splitting and merging are not penalized. A detection is ignored if more
    than half of its area lies inside ignored regions. A self-intersecting outline counts as its convex hull.

    Args:
        ground_truth: Labeled regions.
        detections: Outlines, (N, 2) pixels each.
    """
    truth = to_sound_polygons([region.points for region in ground_truth])
    ignored = np.array([region.ignore for region in ground_truth], bool)
    found = to_sound_polygons(detections)
    found = found[shares_inside(found, truth[ignored]).sum(axis=1) <= IGNORED_SHARE]
    targets = truth[~ignored]

    shared = intersection_areas(targets, found)
    shared = np.where(tied(targets, found, shared), shared, 0.0)
    target_areas, found_areas = shapely.area(targets), shapely.area(found)
    recalled = (target_areas > 0) & (shared.sum(axis=1) >= RECALLED_SHARE * target_areas)
    precise = (found_areas > 0) & (shared.sum(axis=0) >= PRECISE_SHARE * found_areas)
    return DetectionCounts(int(recalled.sum()), len(targets), int(precise.sum()), len(found))


def detection_score(counts: DetectionCounts) -> dict[str, float]:
    """Return `precision`, `recall` and their harmonic mean `hmean`, 0..1; a score without a divisor is 0."""
    precision = counts.precise / counts.detections if counts.detections else 0.0
    recall = counts.recalled / counts.targets if counts.targets else 0.0
    both = precision + recall
    return {"precision": precision, "recall": recall, "hmean": 2 * precision * recall / both if both else 0.0}


def tied(first: Polygons, second: Polygons, shared: np.ndarray) -> np.ndarray:
    """Return which pairs share at least half of the smaller one's area: bool (len(first), len(second)).

    Args:
        first, second: Polygons.
        shared: Their intersection areas.
    """
    smaller = np.minimum(shapely.area(first)[:, None], shapely.area(second)[None])
    return (shared > 0) & (shared >= TIE_SHARE * smaller)


def shares_inside(inner: Polygons, outer: Polygons) -> np.ndarray:
    """Return the share of `inner[i]`'s area that lies in `outer[j]`: (len(inner), len(outer)), 0 for an empty area."""
    shared, areas = intersection_areas(inner, outer), shapely.area(inner)[:, None]
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def _count_greedy_matches(allowed: np.ndarray) -> int:
    """Count the matches if each row in turn takes its first free column."""
    free = np.ones(allowed.shape[1], bool)
    for row in allowed:
        candidates = np.flatnonzero(row & free)
        free[candidates[:1]] = False
    return int((~free).sum())


# Areas and overlaps of outlines, all pairs at once (Shapely's vectorized calls)


def to_polygons(outlines: Sequence[Outline]) -> Polygons:
    """Return Shapely polygons of `outlines`, valid or not.

    Raises:
        ValueError: If an outline does not have at least three (x, y) corners.
    """
    return _as_array([shapely.Polygon(_corners(outline)) for outline in outlines])


def to_convex_hulls(outlines: Sequence[Outline]) -> Polygons:
    """Return convex hulls of the outlines' corners; corners that span no area give a line or a point.

    Raises:
        ValueError: If an outline does not have at least three (x, y) corners.
    """
    return shapely.convex_hull(_as_array([shapely.MultiPoint(_corners(outline)) for outline in outlines]))


def to_sound_polygons(outlines: Sequence[Outline]) -> Polygons:
    """Return polygons as `to_polygons`, but the convex hull of a self-intersecting outline.

    Raises:
        ValueError: If an outline does not have at least three (x, y) corners.
    """
    polygons = to_polygons(outlines)
    return np.where(shapely.is_valid(polygons), polygons, shapely.convex_hull(polygons))


def intersection_areas(first: Polygons, second: Polygons) -> np.ndarray:
    """Return the intersection area of `first[i]` and `second[j]`: float64 (len(first), len(second)), square pixels.

    Only pairs whose bounding boxes overlap are intersected: on a page of text, a few per box.
    """
    areas = np.zeros((len(first), len(second)))
    a, b = shapely.bounds(first)[:, None], shapely.bounds(second)[None]
    apart = (a[..., :2] >= b[..., 2:]) | (b[..., :2] >= a[..., 2:])
    i, j = np.nonzero(~apart.any(axis=-1))
    areas[i, j] = shapely.area(shapely.intersection(first[i], second[j]))
    return areas


def iou_matrix(first: Polygons, second: Polygons) -> np.ndarray:
    """Return the intersection over union of every pair: float64 (len(first), len(second)); 0 if both areas are 0."""
    shared = intersection_areas(first, second)
    union = shapely.area(first)[:, None] + shapely.area(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _corners(outline: Outline) -> np.ndarray:
    corners = np.asarray(outline, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError(f"an outline is at least three (x, y) corners, got an array of shape {corners.shape}")
    return corners


def _as_array(geometries: list[shapely.Geometry]) -> Polygons:
    array = np.empty(len(geometries), object)
    array[:] = geometries
    return array
