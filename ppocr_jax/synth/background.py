"""Backgrounds of text: paper, gradients, textures, crops of photographs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

_SIDE = 1024
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_LONGEST_PHOTO = 640


def normal_window(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return (height, width) float32 of standard normal values, which may be read-only.

    Windows of up to 1024 x 1024 are cut out of a fixed field at a random place, so that equal generators give equal
    windows in every process; larger ones are sampled.
    """
    if height > _SIDE or width > _SIDE:
        return rng.standard_normal((height, width), dtype=np.float32)
    y, x = int(rng.random() * (_SIDE - height + 1)), int(rng.random() * (_SIDE - width + 1))
    return _field()[y : y + height, x : x + width]


@lru_cache(maxsize=1)
def _field() -> np.ndarray:
    field = np.random.default_rng(20210907).standard_normal((_SIDE, _SIDE), dtype=np.float32)
    field.setflags(write=False)
    return field


def photo_paths(backgrounds: Sequence[str | Path]) -> tuple[str, ...]:
    """Return the image paths in `backgrounds`, in a fixed order; folders are searched with their subfolders.

    Raises:
        FileNotFoundError: An entry does not exist.
        ValueError: An entry is a folder without images, or a file of another kind.
    """
    paths: list[Path] = []
    for entry in map(Path, backgrounds):
        if not entry.exists():
            raise FileNotFoundError(
                f"background {entry} does not exist: pass a folder of images without text, or none for plain "
                "backgrounds (in training: data.synthetic.backgrounds)"
            )
        found = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
        photos = [p for p in found if p.suffix.lower() in PHOTO_SUFFIXES]
        if not photos:
            raise ValueError(f"background {entry}: no images ({', '.join(sorted(PHOTO_SUFFIXES))})")
        paths += photos
    return tuple(str(p) for p in paths)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Return (height, width) float32 noise with mean about 0, deviation about 1 and spots `cell` pixels wide."""
    import cv2

    rows, columns = max(2, int(height / cell) + 2), max(2, int(width / cell) + 2)
    coarse = normal_window(rng, rows, columns)
    # With linear interpolation, the edges of large cells would be visible.
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR if cell < 6 else cv2.INTER_CUBIC)


def flat(color: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (height, width, 3) float32 of one color."""
    return np.broadcast_to(np.asarray(color, np.float32), (height, width, 3)).copy()


def colored(texture: np.ndarray, color: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """Return (h, w, 3) float32: `color` (3,) plus `texture` (h, w) float32 times `scale` (3,), which is 1 if None."""
    import cv2

    if scale is None:
        return cv2.merge([texture + np.float32(c) for c in color])
    return cv2.merge([texture * np.float32(s) + np.float32(c) for c, s in zip(color, scale, strict=True)])


def gradient(rng: np.random.Generator, color: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `color` changing linearly in a random direction by up to 45 levels; (height, width, 3) float32."""
    change = rng.uniform(-45, 45, 3).astype(np.float32)
    return colored(ramp(rng, height, width), color, change)


def ramp(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return (height, width) float32 that grows linearly in a random direction, from about -1/2 to 1/2."""
    angle = rng.uniform(0, 2 * np.pi)
    ys = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle) / height)
    xs = np.arange(width, dtype=np.float32) * np.float32(np.cos(angle) / width)
    return ys + (xs - np.float32((np.sin(angle) + np.cos(angle)) / 2))


def paper(rng: np.random.Generator, color: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return paper of `color` with fine grain, soft spots and sometimes a crease."""
    texture = smooth_noise(rng, height, width, 1.5) * np.float32(rng.uniform(0, 5))
    spots = smooth_noise(rng, height, width, rng.uniform(0.1, 1) * max(height, 80))
    texture += spots * np.float32(rng.uniform(0, 6))
    if rng.random() < 0.15:
        xs = np.arange(width, dtype=np.float32)[None, :] - np.float32(rng.uniform(0, width))
        ys = np.arange(height, dtype=np.float32)[:, None] * np.float32(rng.uniform(-1, 1))
        sharpness = np.float32(1 / rng.uniform(0.8, 4))
        texture -= np.float32(rng.uniform(8, 30)) * np.exp(-(((xs + ys) * sharpness) ** 2))
    return colored(texture, color)


def plaster(rng: np.random.Generator, color: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a rough painted surface of `color`: wall, cardboard or cloth, lit from the side, sometimes brushed."""
    import cv2

    cell = rng.uniform(1.5, 5)
    grain = smooth_noise(rng, height, width, cell) + smooth_noise(rng, height, width, 4 * cell)
    kind = rng.random()
    if kind < 0.35:  # brushed metal, wood grain, cloth: streaks along one axis
        size = (9, 1) if rng.random() < 0.6 else (1, 9)
        grain = np.float32(1.5) * cv2.blur(grain, size, borderType=cv2.BORDER_REFLECT)
    elif kind < 0.7:  # bumps with a bright and a dark side
        grain = cv2.filter2D(grain, -1, np.array([[0.8, 0.4, 0], [0.4, 0, -0.4], [0, -0.4, -0.8]], np.float32))
    tint = 1 + rng.uniform(-0.15, 0.15, 3).astype(np.float32)
    return colored(grain, color, np.float32(rng.uniform(2, 8)) * tint)


def print_pattern(rng: np.random.Generator, color: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return paper of `color` with a faint printed pattern: stripes, ruled paper, a grid, waves or halftone dots."""
    pitch = rng.uniform(3, 8) if rng.random() < 0.5 else rng.uniform(0.3, 0.9) * max(height, 12)
    ys = np.arange(height, dtype=np.float32)[:, None] / np.float32(pitch) + np.float32(rng.random())
    xs = np.arange(width, dtype=np.float32) / np.float32(pitch)
    turn = np.float32(2 * np.pi)
    kind = int(rng.integers(5))
    if kind == 0:  # slanted stripes
        pattern = np.sin(turn * (xs * np.float32(rng.uniform(-1, 1)) + ys))
    elif kind == 1:  # ruled paper
        pattern = 2.0 * (ys % 1 < max(0.12, 1 / pitch)) + 0 * xs
    elif kind == 2:  # a grid
        thin = max(0.1, 1 / pitch)
        pattern = 2.0 * ((ys % 1 < thin) | (xs % 1 < thin))
    elif kind == 3:  # waves, as on banknotes and tickets
        pattern = np.sin(turn * (ys + np.float32(0.4) * np.sin(xs * np.float32(rng.uniform(0.5, 2)))))
    else:  # halftone
        pattern = np.sin(turn * xs) * np.sin(turn * ys) * 1.4
    shade = -rng.uniform(4, 16) * (1 - rng.uniform(0, 0.7, 3))
    return colored(pattern.astype(np.float32), color, shade.astype(np.float32))


def wood(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a table of vertical planks; (height, width, 3) float32."""
    import cv2

    grain = rng.standard_normal((height // 60 + 2, width // 2 + 1)).astype(np.float32)
    grain = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    soft = smooth_noise(rng, height, width, 150.0)
    streaks = (6 * grain + 9 * soft)[..., None] * np.array([1.0, 0.8, 0.6], np.float32)
    xs = np.arange(width)
    planks = (1 + 0.06 * np.sin(xs // 190 * 2.4)) * np.where(xs % 190 < 3, 0.6, 1.0)
    return ((np.array([124.0, 84.0, 54.0]) + streaks) * planks[None, :, None]).astype(np.float32)


def bricks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a brick wall; (height, width, 3) float32."""
    wall = np.full((height, width, 3), (168.0, 160.0, 150.0), np.float32)
    for row in range(height // 36 + 1):
        for column in range(-1, width // 92 + 1):
            y, x = row * 36, column * 92 + 46 * (row % 2)
            color = np.array([150.0, 84.0, 66.0]) + rng.normal(0, 13) + rng.normal(0, 3, 3)
            wall[y + 4 : y + 36, max(0, x + 4) : max(0, x + 92)] = color
    return wall + smooth_noise(rng, height, width, 2.0)[..., None] * 6


def photo_crop(rng: np.random.Generator, paths: Sequence[str], height: int, width: int) -> np.ndarray:
    """Return a random crop of a random image in `paths`, scaled to (height, width, 3) float32."""
    import cv2

    image = _photo(paths[int(rng.integers(len(paths)))])
    rows, columns = image.shape[:2]
    scale = min(rows / height, columns / width) * rng.uniform(0.3, 1.0)
    crop_h, crop_w = max(2, min(rows, int(height * scale))), max(2, min(columns, int(width * scale)))
    y, x = int(rng.integers(rows - crop_h + 1)), int(rng.integers(columns - crop_w + 1))
    crop = image[y : y + crop_h, x : x + crop_w]
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)


@lru_cache(maxsize=128)
def _photo(path: str) -> np.ndarray:
    """Return the image as RGB, reduced to at most 640 pixels (1 MB)."""
    import cv2

    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"background image {path} cannot be read: remove it or convert it to JPEG")
    longest = max(image.shape[:2])
    if longest > _LONGEST_PHOTO:
        scale = _LONGEST_PHOTO / longest
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
