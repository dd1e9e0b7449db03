"""A detector's map of a picture too large for one run: tile by tile, joined where what tiles share holds no text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

MOST = 720_000
"""Pixels of one run: a page of 960 x 736. A network's memory grows with its input: a receipt of 1472 x 736 takes 145 MB
at once and 75 MB in two tiles, for 13 % more work."""
OVERLAP = 192
"""Pixels two tiles share. The quarters at both ends are left alone: up to 32 pixels from its border a tile is wrong
about what is text, and a little less sure up to 96. What lies between is higher than most lines: none is cut."""
_STRIDE = 32


def tiled_map(
    run: Callable[[np.ndarray], np.ndarray], picture: np.ndarray, *, most: int = MOST, overlap: int = OVERLAP
) -> np.ndarray:
    """The probability map (H, W) of a picture (H, W, 3), both sides multiples of 32.

    Args:
        run: from a part of the picture (h, w, 3) to its map (h, w).
        most: pixels of what `run` is given at a time.
        overlap: least number of pixels neighboring tiles share.

    Raises:
        ValueError: `most` has no room for a tile beyond the overlap.
    """
    height, width = picture.shape[:2]
    if height * width <= most:
        return run(picture)
    tile_height, tile_width = _tile_size(height, width, most, overlap)
    tops, lefts = _starts(height, tile_height, overlap), _starts(width, tile_width, overlap)
    bands = [_joined([run(picture[y : y + tile_height, x : x + tile_width]).T for x in lefts], lefts).T for y in tops]
    return _joined(bands, tops)


def _tile_size(height: int, width: int, most: int, overlap: int) -> tuple[int, int]:
    """Sides of the tiles that make the least work."""
    sizes = [
        (rows * h * columns * w, h, w)
        for (rows, h), (columns, w) in product(_splits(height, overlap), _splits(width, overlap))
        if h * w <= most
    ]
    if not sizes:
        raise ValueError(f"{most} pixels are too few for tiles that share {overlap}")
    return min(sizes)[1:]


def _splits(length: int, overlap: int) -> list[tuple[int, int]]:
    """(how many tiles along an axis, their side), from one tile to tiles hardly larger than the overlap."""
    splits, least = [(1, length)], (overlap // _STRIDE + 1) * _STRIDE
    for count in range(2, -(-length // _STRIDE) + 1):
        side = -(-(length + (count - 1) * overlap) // (count * _STRIDE)) * _STRIDE
        if least <= side < splits[-1][1]:
            splits.append((count, side))
        if side <= least:
            break
    return splits


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along an axis, evenly spread."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return ((np.linspace(0, length - tile, count) / _STRIDE).round().astype(int) * _STRIDE).tolist()


def _joined(maps: Sequence[np.ndarray], starts: Sequence[int]) -> np.ndarray:
    """The map of a whole picture from those of its tiles, one below the other from the rows `starts` on."""
    parts, begin = [], 0
    for k in range(1, len(maps)):
        seam = _seam(maps[k - 1], maps[k], starts[k - 1], starts[k])
        parts.append(maps[k - 1][begin - starts[k - 1] : seam - starts[k - 1]])
        begin = seam
    parts.append(maps[-1][begin - starts[-1] :])
    return np.concatenate(parts) if len(parts) > 1 else maps[0]


def _seam(above: np.ndarray, below: np.ndarray, top: int, bottom: int) -> int:
    """The row with the least text in it, and among equals the one nearest to the middle, of what two tiles share."""
    shared = top + len(above) - bottom
    text = np.maximum(above[bottom - top :], below[:shared]).sum(axis=1)
    inner = np.arange(shared // 4, shared - shared // 4)
    return bottom + int(inner[np.argmin(text[inner] + np.abs(inner - shared / 2) / shared)])
