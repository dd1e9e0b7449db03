"""CopyPaste: paste text regions of one image onto another, PP-OCRv2 section 2.1.

The rules are those of PaddleOCR release/2.6. Points are continuous: pixel i covers [i, i + 1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.data.labels import Region
from ppocr_jax.geometry import perspective_crop

_SHARE = 0.2
_MOST = 30
_MAX_TRIES = 50


def can_donate(regions: Sequence[Region]) -> bool:
    """Return whether regions can be copied from an image: all are quads, and not all are ignored."""
    return all(len(region.points) == 4 for region in regions) and not all(region.ignore for region in regions)


def copy_paste(
    rng: np.random.Generator,
    image_rgb: np.ndarray,
    regions: Sequence[Region],
    donor_rgb: np.ndarray,
    donor_regions: Sequence[Region],
) -> tuple[np.ndarray, list[Region]]:
    """Paste a fifth of the donor's regions, at least 1 and at most 30, at places without text.

    Each region is cut out upright and rotated by a random whole number of degrees. It is skipped if it is too thin to
    cut, larger than the image, or if 50 random places are all taken: the bounding boxes of regions must not touch.

    Args:
        rng: Random generator.
        image_rgb: (H, W, 3) uint8; not changed.
        regions: Its regions, including the ignored ones.
        donor_rgb: (h, w, 3) uint8, of any size.
        donor_regions: Its regions, see `can_donate`.

    Returns:
        The image (H, W, 3) uint8, and its regions, clipped to the image, followed by the pasted ones.

    Raises:
        ValueError: The donor's regions are not all quads, or all are ignored.
    """
    if not can_donate(donor_regions):
        raise ValueError("a donor of CopyPaste has quads only, of which one at least is not ignored")
    image_rgb, regions = image_rgb.copy(), list(regions)
    height, width = image_rgb.shape[:2]
    for index in _chosen(rng, donor_regions):
        donor = donor_regions[index]
        try:
            crop = perspective_crop(donor_rgb, donor.points)
        except ValueError:  # too thin
            continue
        pasted, opacity, quad = rotate_expanded(crop, int(rng.integers(360)))
        offset = _free_place(rng, (height, width), pasted.shape[:2], quad, regions)
        if offset is not None:
            _blend(image_rgb, pasted, opacity, offset)
            regions.append(Region((quad + offset).astype(np.float32), donor.text, donor.ignore))
    return image_rgb, [Region(np.clip(r.points, 0, (width, height)), r.text, r.ignore) for r in regions]


def _chosen(rng: np.random.Generator, regions: Sequence[Region]) -> list[int]:
    """Return the indices of the donor's regions to paste: random legible ones, a share of the number of all."""
    count = max(1, min(int(_SHARE * len(regions)), _MOST))
    legible = [i for i, region in enumerate(regions) if not region.ignore]
    return [legible[i] for i in rng.permutation(len(legible))[:count]]


def rotate_expanded(image_rgb: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotate an image counter-clockwise on a canvas that holds all of it.

    Args:
        image_rgb: (h, w, 3) uint8.
        degrees: The angle.

    Returns:
        The rotated image (h', w', 3) uint8; its opacity (h', w') float32, 0 in the corners, soft at the edges; and the
        corners (4, 2) of the image on the canvas, top left first.
    """
    import cv2

    height, width = image_rgb.shape[:2]
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([(cos, sin), (-sin, cos)])
    corners = np.array([(0.0, 0), (width, 0), (width, height), (0, height)]) @ turn.T
    low = corners.min(axis=0)
    # Rounding keeps the canvas of right angles from growing by a pixel through floating-point errors.
    canvas_width, canvas_height = np.ceil(np.round(corners.max(axis=0) - low, 6)).astype(int)
    # OpenCV puts the center of the first pixel at 0.
    shift = turn @ (0.5, 0.5) - low - 0.5
    matrix, size = np.column_stack([turn, shift]), (int(canvas_width), int(canvas_height))
    rotated = cv2.warpAffine(image_rgb, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(np.ones((height, width), np.float32), matrix, size, flags=cv2.INTER_LINEAR)
    return rotated, opacity, corners - low


def _free_place(
    rng: np.random.Generator,
    size: tuple[int, int],
    pasted_size: Sequence[int],
    quad: np.ndarray,
    regions: Sequence[Region],
) -> np.ndarray | None:
    """Return (x, y) int where the quad's bounding box touches no region's bounding box; None if none was found."""
    room = np.subtract(size, pasted_size)[::-1]
    if (room < 0).any():
        return None
    lows = np.array([region.points.min(axis=0) for region in regions]).reshape(-1, 2)
    highs = np.array([region.points.max(axis=0) for region in regions]).reshape(-1, 2)
    for _ in range(_MAX_TRIES):
        offset = rng.integers(0, room + 1)
        low, high = quad.min(axis=0) + offset, quad.max(axis=0) + offset
        if not ((lows <= high) & (highs >= low)).all(axis=1).any():
            return offset
    return None


def _blend(image_rgb: np.ndarray, pasted: np.ndarray, opacity: np.ndarray, offset: np.ndarray) -> None:
    """Blend an image into part of another, in place."""
    (left, top), (height, width) = offset, opacity.shape
    under = image_rgb[top : top + height, left : left + width]
    blended = under + (pasted.astype(np.float32) - under) * opacity[..., None]
    under[...] = np.round(blended).astype(np.uint8)
