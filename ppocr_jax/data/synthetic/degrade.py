"""What printers, paper, scanners and cameras do to text.

Functions with "ink" in the name take and return an opacity mask (h, w) uint8, the others a picture (h, w, 3) uint8.
Strengths are limited so that a person can still read the text.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppocr_jax.data.synthetic.background import smooth_noise


def fade_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Thermal paper that has lost part of its print, in soft spots."""
    spots = smooth_noise(rng, *ink.shape, cell=max(2.0, text_height * rng.uniform(0.3, 3)))
    keep = np.clip(rng.uniform(0.6, 0.95) + spots * rng.uniform(0.05, 0.25), 0.4, 1)
    return (ink * keep).astype(np.uint8)


def break_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Small holes, and now and then a dead row of a print head, in the strokes."""
    holes = smooth_noise(rng, *ink.shape, cell=max(1.0, text_height * rng.uniform(0.03, 0.1)))
    ink = np.where(holes > rng.uniform(0.9, 1.8), ink // 4, ink)
    if rng.random() < 0.3 and text_height > 14:
        ink = ink.copy()
        row = int(rng.integers(ink.shape[0]))
        ink[row : row + max(1, int(text_height * 0.05))] //= 3
    return ink


def spread_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Thicker strokes, as on fax copies and cheap prints, or thinner ones when the text is large."""
    import cv2

    if text_height > 24 and rng.random() < 0.35:
        return cv2.erode(ink, np.ones((2, 2), np.uint8))
    kernel = np.ones((1, 2) if rng.random() < 0.5 else (2, 1), np.uint8)
    return cv2.dilate(ink, kernel)


def gaussian_blur(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A picture slightly out of focus, or a soft scanner."""
    import cv2

    sigma = rng.uniform(0.015, 0.05) * text_height
    return cv2.GaussianBlur(image_rgb, (0, 0), max(0.3, sigma))


def motion_blur(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A camera moved while the shutter was open."""
    import cv2

    length = max(2.0, text_height * rng.uniform(0.05, 0.13))
    size = int(length) | 1
    size = max(3, size)
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = size // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = np.round(middle - reach).astype(int), np.round(middle + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return cv2.filter2D(image_rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def defocus_blur(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A lens out of focus: every point becomes a disc."""
    import cv2

    radius = max(0.7, text_height * rng.uniform(0.02, 0.05))
    reach = int(np.ceil(radius))
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xs, ys), 0, 1).astype(np.float32)
    return cv2.filter2D(image_rgb, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def low_resolution(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A small picture that was enlarged; letters keep at least about 9 pixels."""
    import cv2

    height, width = image_rgb.shape[:2]
    scale = max(rng.uniform(0.35, 0.9), min(1.0, 10 / text_height))
    small = (max(2, round(width * scale)), max(2, round(height * scale)))
    reduced = cv2.resize(image_rgb, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(
        reduced, (width, height), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    )


def noise(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Sensor noise, mostly the same in all channels."""
    height, width = image_rgb.shape[:2]
    channels = 3 if rng.random() < 0.3 else 1
    grain = rng.standard_normal((height, width, channels), dtype=np.float32) * rng.uniform(1, 10)
    return np.clip(image_rgb + grain, 0, 255).astype(np.uint8)


def speckles(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Dirt on a scan: a few dark or light specks smaller than a full stop."""
    height, width = image_rgb.shape[:2]
    count = int(rng.integers(1, max(2, height * width // 400) + 1))
    ys, xs = rng.integers(0, height, count), rng.integers(0, width, count)
    image_rgb = image_rgb.copy()
    image_rgb[ys, xs] = rng.integers(0, 256, (count, 1))
    return image_rgb


def jpeg(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """JPEG compression, quality 35 to 90."""
    import cv2

    _, data = cv2.imencode(".jpg", image_rgb, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 91))))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def tone(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Other contrast, brightness and gamma, by a table of the 256 levels."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.45, 0.45))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.25) + 0.5 + rng.uniform(-0.12, 0.12)
    return np.clip(levels * 255, 0, 255).astype(np.uint8)[image_rgb]


def scan_levels(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A scanner's levels: paper becomes nearly white and print nearly black, as far as their contrast goes."""
    dark, bright = np.percentile(image_rgb[::2, ::2], (2, 90))
    if bright - dark < 60:
        return image_rgb
    black, white = dark - rng.uniform(0, 0.3) * (bright - dark), bright + rng.uniform(-0.1, 0.05) * (bright - dark)
    levels = (np.arange(256) - black) / (white - black) * 255
    return np.clip(levels, 0, 255).astype(np.uint8)[image_rgb]


def fax(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A fax or photocopy: nearly two levels, ragged edges."""
    grey = image_rgb.mean(axis=2, dtype=np.float32)
    dark, bright = np.percentile(grey[::2, ::2], (2, 90))
    if bright - dark < 60:
        return image_rgb
    ragged = smooth_noise(rng, *grey.shape, cell=rng.uniform(1, 1.6)) * (bright - dark) * rng.uniform(0.03, 0.12)
    middle = dark + rng.uniform(0.45, 0.65) * (bright - dark)
    levels = 127 + (grey + ragged - middle) * rng.uniform(2, 6)
    return np.repeat(np.clip(levels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def shadow(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A soft-edged shadow over part of the picture."""
    height, width = image_rgb.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ys = (np.arange(height, dtype=np.float32)[:, None] - rng.uniform(0, height)) * np.float32(np.sin(angle))
    xs = (np.arange(width, dtype=np.float32)[None, :] - rng.uniform(0, width)) * np.float32(np.cos(angle))
    soft = np.clip((ys + xs) / (text_height * rng.uniform(0.1, 3)) + 0.5, 0, 1)
    factor = 1 - soft * np.float32(rng.uniform(0.1, 0.5))
    return (image_rgb * factor[..., None]).astype(np.uint8)


def bleed_through(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """The print of the other side shines through, mirrored and soft."""
    import cv2

    other = cv2.GaussianBlur(image_rgb[:, ::-1], (0, 0), max(0.6, text_height * 0.05))
    shift = int(rng.integers(0, max(1, image_rgb.shape[1])))
    other = np.roll(other, (shift, int(rng.integers(0, image_rgb.shape[0]))), (1, 0))
    strength = rng.uniform(0.05, 0.18)
    darker = np.minimum(0, other.astype(np.float32) - float(np.median(other)))
    return np.clip(image_rgb + strength * darker, 0, 255).astype(np.uint8)


Degradation = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]

# Every entry is one thing that can happen: (probability, the functions of which one is then chosen).
# Blur and low resolution exclude each other, because together they make small text illegible.
_INK_EVENTS: tuple[tuple[float, tuple[Degradation, ...]], ...] = (
    (0.22, (fade_ink, fade_ink, break_ink)),
    (0.12, (spread_ink,)),
)
_PICTURE_EVENTS: tuple[tuple[float, tuple[Degradation, ...]], ...] = (
    (0.07, (shadow, shadow, bleed_through)),
    (0.5, (gaussian_blur, gaussian_blur, low_resolution, low_resolution, defocus_blur, motion_blur)),
    (0.45, (tone, tone, tone, scan_levels, scan_levels, scan_levels, fax)),
    (0.28, (noise, noise, noise, speckles)),
    (0.4, (jpeg,)),
)


def degrade_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """None, one or two of the ink functions."""
    return _happen(_INK_EVENTS, rng, ink, text_height)


def degrade(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """A few of the picture functions, in the order in which light, lens, sensor and file act; sometimes none."""
    return _happen(_PICTURE_EVENTS, rng, image_rgb, text_height)


def _happen(
    events: tuple[tuple[float, tuple[Degradation, ...]], ...],
    rng: np.random.Generator,
    image: np.ndarray,
    text_height: float,
) -> np.ndarray:
    for (probability, functions), value in zip(events, rng.random(len(events)), strict=True):
        if value < probability:
            # The value left of the draw is uniform again: it chooses the function.
            function = functions[int(value / probability * len(functions))]
            image = function(rng, image, text_height)
    return image
