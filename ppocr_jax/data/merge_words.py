"""Words -> text lines. PP-OCR's unit of detection is the line; some data sets are labeled word by word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.data.labels import Region


def merge_words_into_lines(
    regions: Sequence[Region],
    *,
    max_gap: float = 1.0,
    min_overlap: float = 0.5,
    min_height_ratio: float = 0.5,
    max_angle: float = 15.0,
) -> tuple[Region, ...]:
    """Join neighboring words of one row into one region each.

    Two words belong together when, seen along the first one's reading direction, the gap between them is below
    `max_gap` times the smaller height, they share `min_overlap` of that height, their heights differ by no more than
    a factor `1 / min_height_ratio`, and their directions by no more than `max_angle` degrees. Ignored words join
    ignored words only, so that no region is partly legible. Regions that are not quads stay as they are.

    Args:
        regions: Words; quads run clockwise from the corner where reading starts.

    Returns:
        Lines, in the order of their first words. A joined line is the smallest rectangle around its words along the
        line's direction; its text is theirs with spaces between, or "" where one of them is not known.
    """
    quads = [i for i, region in enumerate(regions) if len(region.points) == 4]
    groups = {i: [i] for i in range(len(regions))}
    if len(quads) > 1:
        frames = _Frames(np.stack([regions[i].points for i in quads]).astype(np.float64))
        ignore = np.array([regions[i].ignore for i in quads])
        linked = frames.neighbors(max_gap, min_overlap, min_height_ratio, max_angle)
        for a, b in np.argwhere(linked & (ignore[:, None] == ignore)):
            _join(groups, quads[a], quads[b])
    lines = {id(group): group for group in groups.values()}.values()
    return tuple(_line([regions[i] for i in group]) for group in sorted(lines, key=min))


class _Frames:
    """Quads (n, 4, 2) as center, unit reading direction, width and height."""

    def __init__(self, quads: np.ndarray) -> None:
        along = quads[:, 1] + quads[:, 2] - quads[:, 0] - quads[:, 3]
        down = quads[:, 3] + quads[:, 2] - quads[:, 0] - quads[:, 1]
        self.quads = quads
        self.centers = quads.mean(axis=1)
        self.direction = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
        self.heights = np.linalg.norm(down, axis=1) / 2

    def neighbors(self, max_gap: float, min_overlap: float, min_height_ratio: float, max_angle: float) -> np.ndarray:
        """(n, n) bool: whether word b follows word a; see `merge_words_into_lines`."""
        normal = self.direction[:, ::-1] * (-1, 1)
        # [a, b, corner]: the corners of b in the frame of a.
        offsets = self.quads[None] - self.centers[:, None, None]
        xs = np.einsum("abck,ak->abc", offsets, self.direction)
        ys = np.einsum("abck,ak->abc", offsets, normal)
        left, right, top, bottom = xs.min(-1), xs.max(-1), ys.min(-1), ys.max(-1)
        own = np.arange(len(self.quads))
        gap = left - right[own, own][:, None]
        overlap = np.minimum(bottom, bottom[own, own][:, None]) - np.maximum(top, top[own, own][:, None])
        smaller = np.minimum(self.heights[:, None], self.heights)
        larger = np.maximum(self.heights[:, None], self.heights)
        return (
            (np.abs(gap) < max_gap * smaller)
            & (overlap > min_overlap * smaller)
            & (smaller > min_height_ratio * larger)
            & (self.direction @ self.direction.T > np.cos(np.deg2rad(max_angle)))
        )


def _join(groups: dict[int, list[int]], a: int, b: int) -> None:
    if groups[a] is groups[b]:
        return
    merged = groups[a] + groups[b]
    groups.update(dict.fromkeys(merged, merged))


def _line(words: list[Region]) -> Region:
    if len(words) == 1:
        return words[0]
    quads = np.stack([word.points for word in words]).astype(np.float64)
    direction = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]).sum(axis=0)
    order = np.argsort(quads.mean(axis=1) @ direction)
    # The words' own directions are coarse where words are short; the line through the first and last center is not.
    start = quads[order[0], [0, 3]].mean(axis=0)
    end = quads[order[-1], [1, 2]].mean(axis=0)
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
    axes = np.stack([along, along[::-1] * (-1, 1)])
    corners = quads.reshape(-1, 2) @ axes.T
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) @ axes
    texts = [words[i].text for i in order]
    text = " ".join(texts) if all(texts) else ""
    return Region(points.astype(np.float32), words[0].text if words[0].ignore else text, words[0].ignore)
