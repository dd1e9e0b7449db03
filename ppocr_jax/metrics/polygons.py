"""Areas and overlaps of outlines, all pairs at once (Shapely's vectorized calls)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import shapely

Outline: TypeAlias = np.ndarray | Sequence[Sequence[float]]
"""Corners of a polygon: (N, 2), N >= 3, as (x, y) pixels, in either winding."""

Polygons: TypeAlias = np.ndarray
"""1-D object array of Shapely geometries."""


def to_polygons(outlines: Sequence[Outline]) -> Polygons:
    """Shapely polygons of `outlines`, valid or not.

    Raises:
        ValueError: an outline does not have at least three (x, y) corners.
    """
    return _as_array([shapely.Polygon(_corners(outline)) for outline in outlines])


def to_convex_hulls(outlines: Sequence[Outline]) -> Polygons:
    """Convex hulls of the outlines' corners; a line or a point where the corners span no area.

    Raises:
        ValueError: an outline does not have at least three (x, y) corners.
    """
    return shapely.convex_hull(_as_array([shapely.MultiPoint(_corners(outline)) for outline in outlines]))


def to_sound_polygons(outlines: Sequence[Outline]) -> Polygons:
    """As `to_polygons`, with the convex hull in place of an outline that crosses itself.

    Raises:
        ValueError: an outline does not have at least three (x, y) corners.
    """
    polygons = to_polygons(outlines)
    return np.where(shapely.is_valid(polygons), polygons, shapely.convex_hull(polygons))


def intersection_areas(first: Polygons, second: Polygons) -> np.ndarray:
    """Area that `first[i]` and `second[j]` share: float64 (len(first), len(second)), square pixels.

    Only pairs whose bounding boxes meet are intersected: on a page of text, a few per box.
    """
    areas = np.zeros((len(first), len(second)))
    a, b = shapely.bounds(first)[:, None], shapely.bounds(second)[None]
    apart = (a[..., :2] >= b[..., 2:]) | (b[..., :2] >= a[..., 2:])
    i, j = np.nonzero(~apart.any(axis=-1))
    areas[i, j] = shapely.area(shapely.intersection(first[i], second[j]))
    return areas


def iou_matrix(first: Polygons, second: Polygons) -> np.ndarray:
    """Intersection over union of every pair: float64 (len(first), len(second)); 0 where both areas are 0."""
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
