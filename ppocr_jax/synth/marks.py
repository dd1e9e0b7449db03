"""Marks on pages that are not text, for a detector to leave alone: logos, barcodes, stamps, pen strokes, boxes."""

from __future__ import annotations

import numpy as np

from ppocr_jax.synth.canvas import PageCanvas


def logo(rng: np.random.Generator, canvas: PageCanvas, x: float, top: float, height: float) -> float:
    """A few simple shapes about `x`; returns the y below them."""
    for _ in range(int(rng.integers(1, 5))):
        half_w, half_h = height * rng.uniform(0.1, 0.9), height * rng.uniform(0.1, 0.5)
        cx, cy = x + height * rng.uniform(-0.6, 0.6), top + height / 2
        shape = int(rng.integers(3))
        width = 0 if rng.random() < 0.5 else max(1, int(height * rng.uniform(0.03, 0.12)))
        box = [cx - half_w, cy - half_h, cx + half_w, cy + half_h]
        if shape == 0:
            canvas.mark("ellipse", box, width=width)
        elif shape == 1:
            canvas.mark("rectangle", box, width=width)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
            points = [(cx + half_w * np.cos(a), cy + half_h * np.sin(a)) for a in angles]
            canvas.mark("polygon", [(float(px), float(py)) for px, py in points])
    return top + height


def barcode(
    rng: np.random.Generator, canvas: PageCanvas, corner: tuple[float, float], *, width: float, height: float
) -> float:
    """Upright bars, or the cells of a square code, from `corner` (left, top) on; returns the y below them."""
    left, top = corner
    if rng.random() < 0.25:
        side, cells = height * 1.5, 21
        grid = rng.random((cells, cells)) < 0.5
        step, left = side / cells, left + (width - side) / 2
        for row, column in zip(*np.nonzero(grid), strict=True):
            x, y = left + column * step, top + row * step
            canvas.mark("rectangle", [x, y, x + step, y + step], width=0)
        return top + side
    unit, x = max(1.0, width / 100), left
    while x < left + width:
        bar = unit * int(rng.integers(1, 4))
        canvas.mark("rectangle", [x, top, x + (bar - 1), top + height], width=0)
        x += bar + unit * int(rng.integers(1, 4))
    return top + height


def check_boxes(
    rng: np.random.Generator, canvas: PageCanvas, sides: tuple[float, float], *, baseline: float, size: int
) -> list[float]:
    """Empty and ticked boxes along a line; returns where the words behind them begin."""
    count = int(rng.integers(2, 5))
    left, right = sides
    starts = [left + i * (right - left) / count for i in range(count)]
    for x in starts:
        side = 0.8 * size
        canvas.mark("rectangle", [x, baseline - side, x + side, baseline], width=max(1, size // 14))
        if rng.random() < 0.4:
            canvas.mark("line", [x, baseline - side, x + side, baseline], width=max(1, size // 12))
            canvas.mark("line", [x, baseline, x + side, baseline - side], width=max(1, size // 12))
    return [x + 1.4 * size for x in starts]


def pen_stroke(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """A tick, a ring or a scribble of a pen, anywhere."""
    x, y = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)
    color = tuple(int(v) for v in ((20, 30, 150), (30, 30, 30), (170, 30, 40))[int(rng.integers(3))])
    width = max(1, round(size * rng.uniform(0.06, 0.14)))
    kind = int(rng.integers(3))
    if kind == 0:
        offsets = np.array([(0, 0), (0.4, 0.7), (1.4, -1.2)]) * size * rng.uniform(0.7, 1.5)
    elif kind == 1:
        angles = np.linspace(0, 2 * np.pi * rng.uniform(0.9, 1.15), 40)
        radii = size * rng.uniform(1.2, 4) * (1 + 0.1 * np.sin(angles + rng.uniform(0, 6)))
        offsets = np.stack([1.4 * radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    else:
        drift = np.array([0.25 * size, 0.0])
        offsets = np.cumsum(drift + rng.normal(0, size * 0.5, (int(rng.integers(5, 20)), 2)), axis=0)
    canvas.mark("line", [(float(x + dx), float(y + dy)) for dx, dy in offsets], width=width, color=color)


def stamp(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """A round or square frame of a rubber stamp."""
    x, y, half = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), size * rng.uniform(2, 4)
    color = ((60, 70, 170), (180, 60, 70), (120, 60, 140))[int(rng.integers(3))]
    shape = "ellipse" if rng.random() < 0.6 else "rectangle"
    for inset in (0.0, 0.18 * half):
        box = [x - half + inset, y - half + inset, x + half - inset, y + half - inset]
        canvas.mark(shape, box, width=max(1, int(size * 0.12)), color=color)


def paper_holes(rng: np.random.Generator, canvas: PageCanvas, size: float) -> None:
    """Punched holes at the left side, seen dark or gray."""
    gray = int(rng.integers(0, 160))
    for share in (0.3, 0.7):
        x, y, radius = 0.03 * canvas.width, share * canvas.height, 0.8 * size
        canvas.mark("ellipse", [x - radius, y - radius, x + radius, y + radius], width=0, color=(gray, gray, gray))
