"""Augmentation of line images: named changes, and recipes made of them.

A change takes a random generator, an image (h, w, 3) uint8 and the x (n,) of the characters' centers in pixels. It
returns a new image and the centers in it. Pixel centers have integer coordinates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ppocr_jax.data import tia
from ppocr_jax.synth import degrade

Rng = np.random.Generator
Line = tuple[np.ndarray, np.ndarray]
Change = Callable[[Rng, np.ndarray, np.ndarray], Line]

# Smallest sides, in pixels, of images that some changes apply to, as in PaddleOCR.
_LEAST_SIDE = 20
_LEAST_BLURRED_SIDE = 11
# Height of the letters in a line image, as a fraction of its height.
_TEXT_HEIGHT = 0.8
# Longest movement of a control point in "bounded_tia", in image heights.
_BOUND = 0.2


def _pixels_only(change: Callable[[Rng, np.ndarray], np.ndarray]) -> Change:
    """Return a change that leaves the characters in place."""
    return lambda rng, image_rgb, centers: (change(rng, image_rgb), centers)


def _degraded(change: degrade.Degradation) -> Change:
    """Return a change that applies a degradation of the synthetic lines to any line."""
    return _pixels_only(lambda rng, image_rgb: change(rng, image_rgb, _TEXT_HEIGHT * image_rgb.shape[0]))


# Geometry


def _warped(draw: Callable[[Rng, tuple[int, int]], tia.Warp], *, least_side: int = 1) -> Change:
    """Return a change that applies a random warp, but leaves images with a side below `least_side` unchanged."""

    def change(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
        height, width = image_rgb.shape[:2]
        if min(height, width) < least_side:
            return image_rgb, centers
        warp = draw(rng, (height, width))
        return warp.image(image_rgb), warp.columns(centers)

    return change


def _bounded_distort(rng: Rng, size: tuple[int, int]) -> tia.Warp:
    return tia.distort(rng, size, limit=_BOUND)


_distort = _warped(tia.distort, least_side=_LEAST_SIDE)
_stretch = _warped(tia.stretch, least_side=_LEAST_SIDE)
_perspective = _warped(tia.perspective)


def _in_sequence(*changes: Change) -> Change:
    def change(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
        for step in changes:
            image_rgb, centers = step(rng, image_rgb, centers)
        return image_rgb, centers

    return change


def _change_width(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
    """Scale the width by 0.85 to 1.2."""
    import cv2

    height, width = image_rgb.shape[:2]
    new_width = max(1, round(width * rng.uniform(0.85, 1.2)))
    return cv2.resize(image_rgb, (new_width, height)), (centers + 0.5) * (new_width / width) - 0.5


def _crop(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Cut 1 to 8 rows off the top or the bottom."""
    height, width = image_rgb.shape[:2]
    if min(height, width) < _LEAST_SIDE:
        return image_rgb
    rows = int(rng.integers(1, 9))
    return image_rgb[rows:] if rng.random() < 0.5 else image_rgb[: height - rows]


def _trim(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Cut up to an eighth of the height off the top and the bottom, like a slightly tight detected box."""
    top, bottom = rng.integers(0, image_rgb.shape[0] // 8 + 1, 2)
    return image_rgb[top : image_rgb.shape[0] - bottom]


def _jitter(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
    """Shift the image diagonally by at most a hundredth of its shorter side; its left and top edges stay in place.

    With PaddleOCR's numbers, only images of at least 200 pixels are shifted.
    """
    height, width = image_rgb.shape[:2]
    steps = int(rng.random() * min(height, width) * 0.01)
    if min(height, width) < _LEAST_BLURRED_SIDE or steps < 2:
        return image_rgb, centers
    shifted = image_rgb.copy()
    for step in range(1, steps):
        shifted[step:, step:] = image_rgb[: height - step, : width - step]
    return shifted, centers + (steps - 1)


# Pixels


def _blur(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Blur with a Gaussian of 5 x 5 pixels and standard deviation 1."""
    import cv2

    small = min(image_rgb.shape[:2]) < _LEAST_BLURRED_SIDE
    return image_rgb if small else cv2.GaussianBlur(image_rgb, (5, 5), 1)


def _hsv(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Scale the brightness by 1 +- 0.001: PaddleOCR's number, hardly visible."""
    return _colored(image_rgb, hue=0, saturation=1, value=1 + 0.001 * rng.random() * rng.choice((-1, 1)))


def _colors(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Change hue, saturation and brightness."""
    saturation, value = np.exp(rng.uniform(-0.5, 0.5)), np.exp(rng.uniform(-0.3, 0.3))
    return _colored(image_rgb, hue=int(rng.integers(180)), saturation=saturation, value=value)


def _colored(image_rgb: np.ndarray, *, hue: int, saturation: float, value: float) -> np.ndarray:
    """Add `hue` (half degrees) to the hue and scale saturation and brightness."""
    import cv2

    levels = np.arange(256)
    table = np.stack([(levels + hue) % 180, levels * saturation, levels * value], axis=-1)
    hsv = cv2.LUT(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2HSV), np.clip(table, 0, 255).astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _noise(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Add half of a Gaussian noise with variance 0.1, in gray levels: PaddleOCR's number, hardly visible."""
    noise = rng.standard_normal(image_rgb.shape, np.float32) * np.float32(0.5 * np.sqrt(0.1))
    return np.clip(image_rgb + noise, 0, 255).astype(np.uint8)


def _contrast(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Scale all values about their mean, shift them, apply a gamma curve, and tint the channels slightly."""
    import cv2

    values = np.arange(256, dtype=np.float32)
    mean = float(image_rgb.mean())
    bent = 255 * (values / 255) ** rng.uniform(0.7, 1.4)
    levels = (bent - mean) * rng.uniform(0.6, 1.3) + mean + rng.uniform(-25, 25)
    table = np.stack([levels + rng.uniform(-8, 8) for _ in range(3)], axis=-1)
    return cv2.LUT(image_rgb, np.clip(table, 0, 255).astype(np.uint8)[None])


def _soft_blur(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Blur with a Gaussian whose standard deviation depends on the image height."""
    import cv2

    return cv2.GaussianBlur(image_rgb, (0, 0), rng.uniform(0.3, 0.03 * image_rgb.shape[0] + 0.35))


def _resample(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Reduce the resolution and restore the size."""
    import cv2

    height, width = image_rgb.shape[:2]
    factor = rng.uniform(0.6, 1.0)
    small = cv2.resize(image_rgb, (max(1, round(width * factor)), max(1, round(height * factor))))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def _grain(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Add noise of 2 to 14 gray levels, the same in all channels."""
    noise = rng.standard_normal(image_rgb.shape[:2], np.float32)[..., None] * rng.uniform(2, 14)
    return np.clip(image_rgb + noise, 0, 255).astype(np.uint8)


def _invert(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Invert: 255 - x, which makes dark text light."""
    return 255 - image_rgb


CHANGES: Mapping[str, Change] = {
    "distort": _distort,
    "stretch": _stretch,
    "perspective": _perspective,
    "tia": _in_sequence(_distort, _stretch, _perspective),
    "bounded_tia": _in_sequence(_warped(_bounded_distort, least_side=_LEAST_SIDE), _stretch, _perspective),
    "width": _change_width,
    "crop": _pixels_only(_crop),
    "trim": _pixels_only(_trim),
    "jitter": _jitter,
    "blur": _pixels_only(_blur),
    "soft_blur": _pixels_only(_soft_blur),
    "motion_blur": _degraded(degrade.motion_blur),
    "low_resolution": _degraded(degrade.low_resolution),
    "resample": _pixels_only(_resample),
    "hsv": _pixels_only(_hsv),
    "colors": _pixels_only(_colors),
    "contrast": _pixels_only(_contrast),
    "tone": _degraded(degrade.tone),
    "shadow": _degraded(degrade.cast_shadow),
    "noise": _pixels_only(_noise),
    "grain": _pixels_only(_grain),
    "jpeg": _degraded(degrade.jpeg),
    "invert": _pixels_only(_invert),
}
"""All changes: geometry first, then sharpness, then colors and noise.

"tia" is PaddleOCR's. It moves letters of lines much longer than high out of the image: at 32 x 320 pixels, one line in
ten loses more than half the height of some letter. With "bounded_tia" no letter loses more than a sixth.
"""


@dataclass(frozen=True)
class Event:
    """One random step of a recipe.

    Attributes:
        changes: Names of changes; one of them is applied, all equally likely.
        probability: Probability of the step; None for the probability of the whole augmentation.
    """

    changes: tuple[str, ...]
    probability: float | None = None


def _events(*changes: str) -> tuple[Event, ...]:
    return tuple(Event((name,)) for name in changes)


RECIPES: Mapping[str, tuple[Event, ...]] = {
    "none": (),
    "mild": (*_events("width", "contrast", "soft_blur", "resample", "grain"), Event(("invert",), 0.05)),
    "bda": _events("crop", "blur", "hsv", "jitter", "noise", "invert"),
    "paper": _events("tia", "crop", "blur", "hsv", "jitter", "noise", "invert"),
    "paper-2.4": (
        *_events("distort", "stretch", "perspective", "crop", "blur", "hsv"),
        Event(("jitter",), 1.0),
        *_events("noise", "invert"),
    ),
    "strong": (
        *_events("bounded_tia", "trim"),
        Event(("blur", "motion_blur", "low_resolution")),  # two of these would make small text illegible
        Event(("tone", "contrast", "colors", "shadow")),
        *_events("grain", "jpeg", "invert"),
    ),
}
"""Steps of `LineAugmentation` by the name of the recipe, in order.

- none: nothing.
- mild: other widths and tones, a little blur and noise, rarely inversion; for short training on few real lines.
- bda: "paper" without TIA, for the direction classifier (with `rand_augment`); PP-OCR, section 2.2.
- paper: PP-OCRv2 trains as PP-OCR does, with base data augmentation (BDA) and TIA. The numbers and the order are those
  of PaddleOCR release/2.6. TIA, crop, blur and inversion are visible; colors, jitter and noise hardly are.
- paper-2.4: the same as in PaddleOCR 2.4 and earlier: each movement of TIA is a step of its own, and the jitter is
  always applied.
- strong: the paper's kinds of changes with visible strengths, and motion blur, low resolution, shadows, tone and JPEG.
  TIA is bounded, so that letters stay in the image.
"""


class BaseLineAugmentation(ABC):
    """Random change of a line image that also tracks the positions of its characters."""

    def __call__(self, rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
        """Return a changed copy of `image_rgb` (h, w, 3) uint8, or the image itself if nothing changes."""
        return self.with_points(rng, image_rgb, np.empty(0))[0]

    @abstractmethod
    def with_points(
        self, rng: np.random.Generator, image_rgb: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the changed image, the same as a call returns, and the positions of the characters in it.

        Args:
            rng: Random generator.
            image_rgb: (h, w, 3) uint8.
            centers: (n,) x of each character's center, halfway up the image, in pixels.

        Returns:
            The image (h', w', 3) uint8 and the centers (n,) in it, NaN for characters that are outside of it.
        """


@dataclass(frozen=True)
class LineAugmentation(BaseLineAugmentation):
    """Random changes of a line image, each with `probability`.

    The size may change: the width by a fifth in "mild", the height by up to 8 rows or a quarter in the others. Centers
    are kept between 0 and w' - 1.

    Attributes:
        probability: Probability of each step whose recipe does not set its own.
        recipe: Key of `RECIPES`.

    Raises:
        ValueError: The recipe does not exist.
    """

    probability: float = 0.4
    recipe: str = "mild"

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f"no recipe {self.recipe!r}; there are {', '.join(RECIPES)}")

    def with_points(self, rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
        for event in RECIPES[self.recipe]:
            if rng.random() < (self.probability if event.probability is None else event.probability):
                choice = int(rng.integers(len(event.changes))) if len(event.changes) > 1 else 0
                image_rgb, centers = CHANGES[event.changes[choice]](rng, image_rgb, centers)
        return image_rgb, np.clip(centers, 0, image_rgb.shape[1] - 1)


NO_AUGMENTATION = LineAugmentation(recipe="none")
"""Leaves images unchanged."""
