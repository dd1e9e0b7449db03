"""Training targets of the DB detector: the shrink and threshold maps of an image, as in PaddleOCR release/2.6.

Polygons are sequences of (x, y) vertices in pixels, with any number of vertices. Polygons smaller than a pixel, which
an integer polygon clipper cannot grow, are left out of the threshold map.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.geometry import offset_polygon, polygon_area, polygon_perimeter, signed_area

Polygons = Sequence[np.ndarray]
Flags = Sequence[bool] | np.ndarray
# The values of DB and of PaddleOCR, with which the published weights were trained.
SHRINK_RATIO = 0.4  # see `offset_distance`
_LOW, _HIGH = 0.3, 0.7  # thresholds away from text borders and on them
_LEAST_SIDE = 8  # pixels of a region's bounding box


def detection_targets(
    polygons: Polygons, ignore: Flags, shape: tuple[int, int], *, shrink_ratio: float = SHRINK_RATIO
) -> dict[str, np.ndarray]:
    """Return all targets of one image.

    As in PaddleOCR, the threshold map is made from the polygons before clipping, and it also holds the small ones that
    the shrink map ignores.

    Args:
        polygons: One (n, 2) array per text region.
        ignore: One flag per region: neither text nor background.
        shape: Height and width of the image.
        shrink_ratio: How far text shrinks, and how wide its border is: see `offset_distance`.

    Returns:
        "shrink_map" and "shrink_mask" (uint8), "threshold_map" (float32) and "threshold_mask" (uint8), each (H, W).
    """
    border, border_mask = threshold_map(polygons, ignore, shape, shrink_ratio=shrink_ratio)
    text, text_mask, _, _ = shrink_map(polygons, ignore, shape, shrink_ratio=shrink_ratio)
    return {"shrink_map": text, "shrink_mask": text_mask, "threshold_map": border, "threshold_mask": border_mask}


def offset_distance(polygon: np.ndarray, ratio: float) -> float:
    """Return the distance by which DB shrinks (or grows) a polygon of area A and perimeter L: `A (1 - ratio^2) / L`.

    DB paper eq. 10.
    """
    return polygon_area(polygon) * (1 - ratio**2) / polygon_perimeter(polygon)


def threshold_map(
    polygons: Polygons, ignore: Flags, shape: tuple[int, int], *, shrink_ratio: float = SHRINK_RATIO
) -> tuple[np.ndarray, np.ndarray]:
    """Return the threshold map.

    It is 0.7 on the borders of text regions and falls to 0.3 at the offset distance inside and outside of them. Where
    regions meet, the larger value counts.

    Args: see `detection_targets`.

    Returns:
        The map (H, W) float32, and its mask (H, W) uint8: 1 inside the grown regions.
    """
    closeness = np.zeros(shape, np.float32)
    mask = np.zeros(shape, np.uint8)
    for polygon, ignored in zip(polygons, ignore, strict=True):
        if not ignored:
            _draw_border(closeness, mask, np.asarray(polygon, np.float64), shrink_ratio)
    return closeness * np.float32(_HIGH - _LOW) + np.float32(_LOW), mask


def shrink_map(
    polygons: Polygons, ignore: Flags, shape: tuple[int, int], *, shrink_ratio: float = SHRINK_RATIO
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], np.ndarray]:
    """Return the shrink map: 1 inside each text region shrunk by its offset distance.

    Polygons are first clipped to the image vertex by vertex. If shrinking splits a region or leaves nothing, it is
    tried again with the multiples of the ratio below 1 (0.8 after 0.4); the pieces of the last try are drawn. Regions
    whose bounding box is narrower or lower than 8 pixels are ignored. An ignored region masks the text below it, but
    does not remove it from the map.

    Args: see `detection_targets`.

    Returns:
        The map (H, W) uint8; its mask (H, W) uint8, 0 on ignored regions; the clipped polygons, all of one
        orientation; their ignore flags (bool), also set for regions that are too small.
    """
    import cv2

    text = np.zeros(shape, np.uint8)
    mask = np.ones(shape, np.uint8)
    clipped = [_clip_and_orient(polygon, shape) for polygon in polygons]
    ignored = np.array(ignore, bool) | np.array([abs(signed_area(polygon)) < 1 for polygon in clipped], bool)
    for i, polygon in enumerate(clipped):
        pieces: list[np.ndarray] = []
        if not ignored[i] and np.ptp(polygon, axis=0).min() >= _LEAST_SIDE:
            pieces = _shrink(polygon, shrink_ratio)
        if pieces:
            # One call per piece: a single call would leave overlaps of the pieces unfilled (even-odd rule).
            for piece in pieces:
                cv2.fillPoly(text, [piece], 1)
        else:
            ignored[i] = True
            cv2.fillPoly(mask, [polygon.astype(np.int32)], 0)
    return text, mask, clipped, ignored


def _clip_and_orient(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    height, width = shape
    clipped = np.clip(np.asarray(polygon, np.float64), 0, (width - 1, height - 1))
    return clipped[::-1] if signed_area(clipped) < 0 else clipped


def _shrink(polygon: np.ndarray, shrink_ratio: float) -> list[np.ndarray]:
    pieces: list[np.ndarray] = []
    for ratio in np.arange(shrink_ratio, 1, shrink_ratio):
        pieces = offset_polygon(polygon, -offset_distance(polygon, ratio))
        if len(pieces) == 1:
            break
    return [np.asarray(piece, np.int32) for piece in pieces]


def _draw_border(closeness: np.ndarray, mask: np.ndarray, polygon: np.ndarray, shrink_ratio: float) -> None:
    """Add a region to the threshold map being built, in place (`closeness`: 1 on borders, 0 far from them)."""
    import cv2

    if polygon_area(polygon) <= 0:
        return
    distance = offset_distance(polygon, shrink_ratio)
    grown = offset_polygon(polygon, distance)
    if not grown:
        return
    outline = np.asarray(grown[0], np.int32)
    cv2.fillPoly(mask, [outline], 1)
    height, width = closeness.shape
    left, top = np.maximum(outline.min(axis=0), 0)
    right, bottom = np.minimum(outline.max(axis=0) + 1, (width, height))
    if left >= right or top >= bottom:
        return
    window = closeness[top:bottom, left:right]
    xs, ys = np.arange(left, right, dtype=np.float64), np.arange(top, bottom, dtype=np.float64)
    near = 1 - np.minimum(_distance_to_edges(polygon, xs, ys) / distance, 1)
    np.maximum(window, near, out=window, casting="same_kind")


def _distance_to_edges(polygon: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel (ys, xs) to the nearest edge of `polygon`, as DB's code measures it.

    It is the distance to the line through the edge if the pixel sees the edge at 90 degrees or more, otherwise to the
    nearer end of the edge. This is not the distance to the segment: outside the circle that has the edge as diameter,
    the nearer end counts even beside the edge. Published weights were trained on such maps.
    """
    to_vertex = [(xs - x)[None, :] ** 2 + (ys - y)[:, None] ** 2 for x, y in polygon]
    nearest = np.full((len(ys), len(xs)), np.inf)
    for i, (x0, y0) in enumerate(polygon):
        j = (i + 1) % len(polygon)
        dx, dy = polygon[j] - polygon[i]
        length_sq = dx * dx + dy * dy
        to_ends = length_sq - to_vertex[i]
        to_ends -= to_vertex[j]
        length = np.sqrt(length_sq) or 1.0
        to_line = ((ys - y0) * (dx / length))[:, None] - ((xs - x0) * (dy / length))[None, :]
        np.square(to_line, out=to_line)
        squared = np.where(to_ends < 0, np.minimum(to_vertex[i], to_vertex[j]), to_line)
        np.minimum(nearest, squared, out=nearest)
    return np.sqrt(nearest)
