"""What is wrong with the outline of a region."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ppocr_jax.geometry import bounding_box, convex_hull, is_valid_polygon, polygon_area, signed_area

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

_MIN_SIDE = 1.0
_SLACK = 1.0  # pixels that an outline may reach out of its picture: rounding, and corners given as pixel edges


def outline_problems(points: np.ndarray, size: Size | None) -> list[str]:
    """Kinds of problems of an outline (n, 2), n >= 4.

    Args:
        points: In pixels.
        size: (height, width) of the picture; None where it is not known.
    """
    shape, place = _shape_problem(points), None if size is None else _place_problem(points, size)
    return [kind for kind in (shape, place) if kind is not None]


def _shape_problem(points: np.ndarray) -> str | None:
    if polygon_area(convex_hull(points)) < _MIN_SIDE or _is_thin(points):
        return "degenerate"
    if not is_valid_polygon(points):
        return "self-intersecting"
    if signed_area(points) < 0:
        return "counter-clockwise"
    return "turned" if len(points) == 4 and _is_turned(points) else None


def _is_thin(points: np.ndarray) -> bool:
    """Whether no crop of at least one pixel's width and height can be cut along a quad."""
    sides = np.linalg.norm(points - np.roll(points, -1, axis=0), axis=1)
    return len(points) == 4 and min(max(sides[0], sides[2]), max(sides[1], sides[3])) < _MIN_SIDE


def _is_turned(quad: np.ndarray) -> bool:
    """Whether a quad's text, by the order of its corners, runs more than 45 degrees off the horizontal."""
    x, y = (quad[1] - quad[0]) + (quad[2] - quad[3])
    return bool(x < abs(y))


def _place_problem(points: np.ndarray, size: Size) -> str | None:
    height, width = size
    left, top, right, bottom = bounding_box(points)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "outside"
    inside = min(left, top) >= -_SLACK and right <= width + _SLACK and bottom <= height + _SLACK
    return None if inside else "partly-outside"
