"""Degradation of text images by printers, paper, light, scanners and cameras."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppocr_jax.synth.background import normal_window, ramp, smooth_noise


def uneven_light(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Darken the image toward one side or with the distance from a lamp, by up to half; sometimes warm or cold."""
    height, width = image_rgb.shape[:2]
    if rng.random() < 0.5:
        light = 1 + ramp(rng, height, width) * np.float32(rng.uniform(0.2, 0.6))
    else:
        x, y = rng.uniform(-0.2, 1.2) * width, rng.uniform(-1, 2) * height
        light = 1 - np.float32(rng.uniform(0.2, 0.55)) * _distance(height, width, (x, y)) ** 2
        light *= np.float32(rng.uniform(1.0, 1.2))
    if rng.random() < 0.3:
        tint = 1 + rng.uniform(-0.12, 0.05, 3).astype(np.float32)
        return _scaled(image_rgb, light[..., None] * tint)
    return _scaled(image_rgb, light[..., None])


def cast_shadow(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Cast a soft-edged shadow over one side of the image, or over a strip as from an arm or a cable."""
    height, width = image_rgb.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    ys = (np.arange(height, dtype=np.float32)[:, None] - np.float32(rng.uniform(0, height))) * np.float32(np.sin(angle))
    xs = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0, width))) * np.float32(np.cos(angle))
    inside = ys + xs
    softness = np.float32(text_height * rng.uniform(0.1, 3))
    if rng.random() < 0.35:
        inside = np.float32(text_height * rng.uniform(0.3, 2)) - np.abs(inside)
    soft = np.clip(inside / softness + np.float32(0.5), 0, 1)
    return _scaled(image_rgb, (1 - soft * np.float32(rng.uniform(0.1, 0.5)))[..., None])


def glare(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Add the reflection of a lamp: one or two soft bright spots that veil the text without hiding it."""
    height, width = image_rgb.shape[:2]
    veil = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 3))):
        # A vertical or horizontal ellipse, from half a letter to a few words.
        reach_y, reach_x = text_height * rng.uniform(0.4, 1.5), text_height * rng.uniform(0.4, 4)
        ys = (np.arange(height, dtype=np.float32) - np.float32(rng.uniform(0, height))) / np.float32(reach_y)
        xs = (np.arange(width, dtype=np.float32) - np.float32(rng.uniform(0, width))) / np.float32(reach_x)
        spot = np.exp(-(ys**2))[:, None] * np.exp(-(xs**2))
        veil = np.maximum(veil, spot * np.float32(rng.uniform(0.2, 0.55)))
    veil = veil[..., None]
    return (image_rgb + (255 - image_rgb.astype(np.float32)) * veil).astype(np.uint8)


def _distance(height: int, width: int, center: tuple[float, float]) -> np.ndarray:
    """Return the (height, width) float32 distance from `center` (x, y), relative to that of the farthest corner."""
    ys = np.arange(height, dtype=np.float32)[:, None] - np.float32(center[1])
    xs = np.arange(width, dtype=np.float32) - np.float32(center[0])
    distance = np.sqrt(ys * ys + xs * xs)
    return distance / max(float(distance.max()), 1.0)


def _scaled(image_rgb: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return np.minimum(image_rgb * factor, 255).astype(np.uint8)


def fade_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Fade part of the print, as on thermal paper: in soft spots, to one side, or under a worn print head."""
    keep = smooth_noise(rng, *ink.shape, cell=max(2.0, text_height * rng.uniform(0.3, 3)))
    keep *= np.float32(rng.uniform(0.05, 0.25))
    keep += np.float32(rng.uniform(0.6, 0.95))
    kind = rng.random()
    if kind < 0.3:
        keep += ramp(rng, *ink.shape) * np.float32(rng.uniform(0.2, 0.5))
    elif kind < 0.45:
        keep += smooth_noise(rng, 2, ink.shape[1], cell=max(1.0, text_height * 0.08))[:1] * np.float32(0.12)
    return (ink * np.clip(keep, 0.4, 1)).astype(np.uint8)


def break_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Break the strokes with small holes, and sometimes with a dead row of a print head."""
    holes = smooth_noise(rng, *ink.shape, cell=max(1.0, text_height * rng.uniform(0.03, 0.1)))
    ink = np.where(holes > np.float32(rng.uniform(0.9, 1.8)), ink // 4, ink)
    if rng.random() < 0.3 and text_height > 14:
        ink = ink.copy()
        row = int(rng.integers(ink.shape[0]))
        ink[row : row + max(1, int(text_height * 0.05))] //= 3
    return ink


def spread_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float) -> np.ndarray:
    """Thicken strokes, as fax copies and cheap prints do; sometimes thin them if the text is large."""
    import cv2

    if text_height > 24 and rng.random() < 0.35:
        return cv2.erode(ink, np.ones((2, 2), np.uint8))
    kernel = np.ones((1, 2) if rng.random() < 0.5 else (2, 1), np.uint8)
    return cv2.dilate(ink, kernel)


def gaussian_blur(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Blur slightly, as a soft scanner does."""
    import cv2

    sigma = rng.uniform(0.015, 0.05) * text_height
    return cv2.GaussianBlur(image_rgb, (0, 0), max(0.3, sigma))


def motion_blur(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Blur along a line, as a moving camera does."""
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
    """Blur each point to a disc, as a lens out of focus does."""
    import cv2

    radius = max(0.7, text_height * rng.uniform(0.02, 0.05))
    reach = int(np.ceil(radius))
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(xs, ys), 0, 1).astype(np.float32)
    return cv2.filter2D(image_rgb, -1, disc / disc.sum(), borderType=cv2.BORDER_REPLICATE)


def low_resolution(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Reduce the image and enlarge it again; letters keep at least about 9 pixels."""
    import cv2

    height, width = image_rgb.shape[:2]
    scale = max(rng.uniform(0.35, 0.9), min(1.0, 10 / text_height))
    small = (max(2, round(width * scale)), max(2, round(height * scale)))
    reduced = cv2.resize(image_rgb, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(
        reduced, (width, height), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    )


def noise(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Add sensor noise, usually the same in all channels."""
    height, width = image_rgb.shape[:2]
    channels = 3 if rng.random() < 0.3 else 1
    grain = np.stack([normal_window(rng, height, width) for _ in range(channels)], axis=-1)
    return np.clip(image_rgb + grain * np.float32(rng.uniform(1, 10)), 0, 255).astype(np.uint8)


def speckles(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Add dirt as on a scan: a few dark or light specks smaller than a full stop."""
    height, width = image_rgb.shape[:2]
    count = int(rng.integers(1, max(2, height * width // 400) + 1))
    ys, xs = rng.integers(0, height, count), rng.integers(0, width, count)
    image_rgb = image_rgb.copy()
    image_rgb[ys, xs] = rng.integers(0, 256, (count, 1))
    return image_rgb


def jpeg(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Compress as JPEG with quality 35 to 90."""
    import cv2

    _, data = cv2.imencode(".jpg", image_rgb, (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 91))))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def tone(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Change contrast, brightness and gamma with a table of the 256 levels."""
    levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.45, 0.45))
    levels = (levels - 0.5) * rng.uniform(0.6, 1.25) + 0.5 + rng.uniform(-0.12, 0.12)
    return _mapped(image_rgb, levels * 255)


def scan_levels(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Make paper nearly white and print nearly black, as scanners do, unless the contrast is too low."""
    dark, bright = _dark_and_bright(image_rgb)
    if bright - dark < 60:
        return image_rgb
    black, white = dark - rng.uniform(0, 0.3) * (bright - dark), bright + rng.uniform(-0.1, 0.05) * (bright - dark)
    return _mapped(image_rgb, (np.arange(256) - black) / (white - black) * 255)


def fax(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Reduce the image to nearly two levels with ragged edges, as a fax or photocopy does.

    The threshold is Bernsen's: the middle of the darkest and brightest pixels nearby, so that print remains print
    everywhere on the page. Where the neighborhood is uniform, the levels of the whole image are used.
    """
    import cv2

    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    dark, bright = _dark_and_bright(gray)
    if bright - dark < 60:
        return image_rgb
    ragged = smooth_noise(rng, *gray.shape, cell=rng.uniform(1, 1.6)) * np.float32(rng.uniform(0.03, 0.12))
    share, steepness = np.float32(rng.uniform(0.45, 0.65)), np.float32(rng.uniform(2, 6))
    low, high = _surroundings(gray, text_height)
    # Where the local contrast is low, blend toward the extremes of the whole image.
    near = np.clip((high - low - 20) / 30, 0, 1)
    low += (1 - near) * (np.float32(dark) - low)
    contrast = high - low + (1 - near) * (np.float32(bright) - high)
    levels = (gray - low) / contrast - share + ragged
    levels = np.clip(levels * (150 * steepness) + 127, 0, 255).astype(np.uint8)
    return cv2.cvtColor(levels, cv2.COLOR_GRAY2RGB)


def _surroundings(gray: np.ndarray, text_height: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two (h, w) float32: the darkest and brightest level within about a text height, smoothed."""
    import cv2

    reach = 2 * max(2, round(0.6 * text_height)) + 1
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (reach, reach))
    low, high = cv2.erode(gray, around), cv2.dilate(gray, around)
    return cv2.blur(low, (reach, reach)).astype(np.float32), cv2.blur(high, (reach, reach)).astype(np.float32)


def bleed_through(rng: np.random.Generator, image_rgb: np.ndarray, text_height: float) -> np.ndarray:
    """Let the print of the other side shine through, mirrored and soft."""
    import cv2

    height, width = image_rgb.shape[:2]
    other = cv2.GaussianBlur(image_rgb[:, ::-1], (0, 0), max(0.6, text_height * 0.05))
    paper = int(np.median(other[:: 1 + height // 64, :: 1 + width // 64]))
    darker = cv2.subtract(np.full_like(other, paper), other)
    darker = np.roll(darker, (int(rng.integers(0, max(1, width))), int(rng.integers(0, height))), (1, 0))
    strength = np.float32(rng.uniform(0.05, 0.2))
    return cv2.subtract(image_rgb, (darker * strength).astype(np.uint8))


def _dark_and_bright(image: np.ndarray) -> tuple[int, int]:
    """Return the levels at the 2nd and 90th percentile of the pixels."""
    shares = np.cumsum(np.bincount(image[::2, ::2].ravel(), minlength=256))
    dark, bright = np.searchsorted(shares, (0.02 * shares[-1], 0.9 * shares[-1]))
    return int(dark), int(bright)


def _mapped(image_rgb: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the image with each level replaced by its entry in a table."""
    import cv2

    return cv2.LUT(image_rgb, np.clip(levels, 0, 255).astype(np.uint8))


Degradation = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]

# Each entry is one possible event: (probability, functions of which one is then chosen).
# Blur and low resolution exclude each other, because together they make small text illegible.
_Events = tuple[tuple[float, tuple[Degradation, ...]], ...]
INK_EVENTS: dict[str, _Events] = {
    "receipt": ((0.25, (fade_ink, fade_ink, fade_ink, break_ink)), (0.12, (spread_ink,))),
    "document": ((0.16, (fade_ink, break_ink)), (0.12, (spread_ink,))),
    "scene": ((0.1, (break_ink,)),),
}
_PAPER_LIGHT = (cast_shadow, cast_shadow, uneven_light, uneven_light, bleed_through, bleed_through)
_SCENE_LIGHT = (cast_shadow, cast_shadow, uneven_light, uneven_light, uneven_light, glare)
_LENS_TO_FILE: _Events = (
    (0.5, (gaussian_blur, gaussian_blur, low_resolution, low_resolution, defocus_blur, motion_blur)),
    (0.45, (tone, tone, tone, scan_levels, scan_levels, scan_levels, fax)),
    (0.28, (noise, noise, noise, speckles)),
    (0.4, (jpeg,)),
)
_CAMERA_TO_FILE: _Events = (
    _LENS_TO_FILE[0],
    (0.4, (tone, tone, tone, tone, scan_levels)),
    (0.28, (noise,)),
    (0.45, (jpeg,)),
)
IMAGE_EVENTS: dict[str, _Events] = {
    "receipt": ((0.12, _PAPER_LIGHT), *_LENS_TO_FILE),
    "document": ((0.1, _PAPER_LIGHT), *_LENS_TO_FILE),
    "scene": ((0.22, _SCENE_LIGHT), *_CAMERA_TO_FILE),
}


def degrade_ink(rng: np.random.Generator, ink: np.ndarray, text_height: float, *, kind: str = "receipt") -> np.ndarray:
    """Apply each of the ink events of `kind` ("receipt", "document" or "scene") with its probability."""
    return _apply(INK_EVENTS[kind], rng, ink, text_height)


def degrade(
    rng: np.random.Generator, image_rgb: np.ndarray, text_height: float, *, kind: str = "receipt"
) -> np.ndarray:
    """Apply each image event of `kind` with its probability, in the order light, lens, sensor, file.

    Args:
        rng: Random generator.
        image_rgb: (h, w, 3) uint8.
        text_height: Height of the text in pixels; strengths are relative to it.
        kind: "receipt" or "document" for scanned or photographed paper, "scene" for signs and screens.
    """
    return _apply(IMAGE_EVENTS[kind], rng, image_rgb, text_height)


def _apply(events: _Events, rng: np.random.Generator, image: np.ndarray, text_height: float) -> np.ndarray:
    for (probability, functions), value in zip(events, rng.random(len(events)), strict=True):
        if value < probability:
            # Given that it is below `probability`, the value is uniform, so it can also choose the function.
            function = functions[int(value / probability * len(functions))]
            image = function(rng, image, text_height)
    return image
