"""Text image augmentation (TIA): warp a line image by a few control points that move at random.

Luo et al., "Learn to Augment" (CVPR 2020), with the three random movements of PaddleOCR release/2.6: `distort`,
`stretch` and `perspective`. Between the control points, a moving-least-squares warp interpolates (Schaefer et al.,
"Image Deformation Using Moving Least Squares", 2006). Each of the three functions returns a random `Warp`, which moves
both an image and the positions of its characters.

The image keeps its size. Points are (x, y); pixel centers have integer coordinates. Control points lie on the
outline of the image from (0, 0) to (width, height), as in PaddleOCR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# The warp is exact on a grid with this spacing in pixels, and bilinear in between.
_PITCH = 100


@dataclass(frozen=True, eq=False)
class Warp:
    """Source position of each pixel of a warped image.

    Attributes:
        x: (height, width) float32, position in the source; may lie outside of it.
        y: The same for y.
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def between(cls, start: np.ndarray, end: np.ndarray, size: tuple[int, int]) -> Warp:
        """Return the warp of an image of `size` (height, width) that moves control points from `start` to `end`.

        Args:
            start: (n, 2) control points in the source, n >= 2.
            end: (n, 2) their new positions, all distinct.
            size: Height and width, pixels.

        Raises:
            ValueError: There are fewer than two points, or the numbers of starts and ends differ.
        """
        if len(start) != len(end) or len(start) < 2:
            raise ValueError(f"a warp needs two or more control points, got {len(start)} and {len(end)}")
        (rows, down), (columns, across) = (_interpolation(length) for length in size)
        nodes = columns[None, :] + 1j * rows[:, None]
        shift = _similarity(nodes.ravel(), _complex(end), _complex(start)).reshape(nodes.shape) - nodes
        pixels = np.arange(size[1])[None, :] + 1j * np.arange(size[0])[:, None]
        source = pixels + down @ shift @ across.T
        return cls(np.real(source).astype(np.float32), np.imag(source).astype(np.float32))

    def image(self, image_rgb: np.ndarray) -> np.ndarray:
        """Return the warped image, (height, width, 3) uint8; pixels from outside the source repeat its border."""
        import cv2

        return cv2.remap(image_rgb, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def columns(self, x: np.ndarray) -> np.ndarray:
        """Return the x in the warped image of points at `x` (n,) halfway up the source, clipped to the image."""
        height, width = self.y.shape
        middle = np.abs(self.y - (height - 1) / 2).argmin(axis=0)
        across = np.maximum.accumulate(self.x[middle, np.arange(width)])
        return np.interp(x, across, np.arange(width))


def distort(
    rng: np.random.Generator, size: tuple[int, int], *, segments: int | None = None, limit: float | None = None
) -> Warp:
    """Move the corners inward, and points at equal distances on the top and bottom edge in any direction.

    Args:
        rng: Random generator.
        size: Height and width of the image, pixels.
        segments: Number of parts that the line is cut into, at least 1; 3 to 6 at random by default. Points move by up
            to a third of a part.
        limit: Longest movement, in image heights. PaddleOCR has no limit, so that the ends of a line much longer than
            high can be moved out of the image.
    """
    height, width = size
    cuts, part = _cuts(rng, width, segments)
    reach = max(1, min(part // 3, width if limit is None else round(limit * height)))
    corners = _corners(size)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)]) * rng.integers(reach, size=(4, 2))
    inner = np.stack([np.repeat(cuts, 2), np.tile([0.0, height], len(cuts))], axis=1)
    anyhow = rng.integers(reach, size=inner.shape) - reach / 2
    return Warp.between(np.concatenate([corners, inner]), np.concatenate([corners + inwards, inner + anyhow]), size)


def stretch(rng: np.random.Generator, size: tuple[int, int], *, segments: int | None = None) -> Warp:
    """Widen and narrow parts of the line: the cuts between them move sideways by up to two fifths of a part.

    Args:
        rng: Random generator.
        size: Height and width of the image, pixels.
        segments: Number of parts, at least 1; 3 to 6 at random by default.
    """
    height, width = size
    cuts, part = _cuts(rng, width, segments)
    reach = max(1, part * 4 // 5)
    moved = cuts + rng.integers(reach, size=len(cuts)) - reach / 2
    start, end = (np.concatenate([_corners(size), *[[(x, 0), (x, height)] for x in xs]]) for xs in (cuts, moved))
    return Warp.between(start, end, size)


def perspective(rng: np.random.Generator, size: tuple[int, int]) -> Warp:
    """Move the corners vertically inward, by up to half of the height."""
    corners = _corners(size)
    down = np.array([1, 1, -1, -1]) * rng.integers(max(1, size[0] // 2), size=4)
    return Warp.between(corners, corners + np.stack([np.zeros(4), down], axis=1), size)


def _corners(size: tuple[int, int]) -> np.ndarray:
    height, width = size
    return np.array([(0.0, 0), (width, 0), (width, height), (0, height)])


def _cuts(rng: np.random.Generator, width: int, segments: int | None) -> tuple[np.ndarray, int]:
    """Return the x of the cuts between the parts of a line, and the width of a part."""
    count = int(rng.integers(3, 7)) if segments is None else segments
    part = width // count
    return part * np.arange(1.0, count), part


@lru_cache(maxsize=256)
def _interpolation(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the grid nodes along an axis, and the (length, nodes) matrix that interpolates between them.

    The last node is at the last pixel, but the last cell is counted one pixel longer than the distance between its
    nodes, as in PaddleOCR.
    """
    starts = np.arange(0, length, _PITCH)
    pixels = np.arange(length)
    cell = pixels // _PITCH
    share = (pixels - starts[cell]) / np.minimum(_PITCH, length - starts[cell])
    matrix = np.zeros((length, len(starts) + 1))
    matrix[pixels, cell] = 1 - share
    matrix[pixels, cell + 1] = share
    return np.append(starts, length - 1), matrix


def _complex(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, np.float64)
    return points[:, 0] + 1j * points[:, 1]


def _similarity(at: np.ndarray, anchors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    r"""Return the values of the moving-least-squares similarity transform at points.

    At each point v, it is the similarity that best maps the anchors p_i to the targets q_i, with weights
    w_i = 1 / |v - p_i|^2. With the weighted means p* and q*, in complex numbers,

    f(v) = q* + (v - p*) \sum_i w_i conj(p_i - p*) q_i / \sum_i w_i |p_i - p*|^2.

    Args:
        at: (m,) points v.
        anchors: (n,) p.
        targets: (n,) q.

    Returns:
        (m,) f(v); q_i where v = p_i.
    """
    weights = 1 / np.maximum(np.abs(at[:, None] - anchors) ** 2, 1e-9)
    weights /= weights.sum(axis=1, keepdims=True)
    anchor_mean, target_mean = weights @ anchors, weights @ targets
    centered = anchors - anchor_mean[:, None]
    turn = (weights * centered.conj()) @ targets / (weights * np.abs(centered) ** 2).sum(axis=1)
    return target_mean + (at - anchor_mean) * turn
