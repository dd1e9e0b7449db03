"""Augmentation of line images: changes by name, and the recipes made of them, so that few real lines go further.

A change takes a random generator, an image (h, w, 3) uint8 and the x of the characters' centers (n,), pixels, and
returns a new image and where the centers are in it. Pixel centers have integer coordinates.
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

# Smaller images are left as they are by the changes that PaddleOCR guards so, pixels.
_LEAST_SIDE = 20
_LEAST_BLURRED_SIDE = 11
# Height of letters in a line's image, as a fraction of the image's.
_TEXT_HEIGHT = 0.8
# Longest movement of a control point in "bounded_tia", in heights of the image.
_BOUND = 0.2


def _still(change: Callable[[Rng, np.ndarray], np.ndarray]) -> Change:
    """Return a change of the pixels alone."""
    return lambda rng, image_rgb, centers: (change(rng, image_rgb), centers)


def _degraded(change: degrade.Degradation) -> Change:
    """Return a change that does to any line what is done to drawn ones."""
    return _still(lambda rng, image_rgb: change(rng, image_rgb, _TEXT_HEIGHT * image_rgb.shape[0]))


# Geometry


def _warped(draw: Callable[[Rng, tuple[int, int]], tia.Warp], *, least_side: int = 1) -> Change:
    """Return a warp that `draw` draws; none for images with a side below `least_side`."""

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


def _one_after_the_other(*changes: Change) -> Change:
    def change(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
        for step in changes:
            image_rgb, centers = step(rng, image_rgb, centers)
        return image_rgb, centers

    return change


def _change_width(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
    """Change the width by up to a fifth."""
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
    """Cut up to an eighth of the height off the top, and off the bottom: a detector's box that is a little tight."""
    top, bottom = rng.integers(0, image_rgb.shape[0] // 8 + 1, 2)
    return image_rgb[top : image_rgb.shape[0] - bottom]


def _jitter(rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
    """Shift the image diagonally, its left and upper edge stay: by at most a hundredth of the shorter side.

    With PaddleOCR's numbers it begins at images 200 pixels high.
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
    """Blur by a Gaussian of 5 x 5 pixels, deviation 1."""
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
    """Add to the hue (half degrees), scale saturation and brightness."""
    import cv2

    levels = np.arange(256)
    table = np.stack([(levels + hue) % 180, levels * saturation, levels * value], axis=-1)
    hsv = cv2.LUT(cv2.cvtColor(image_rgb, cv2.COLOR_RGB2HSV), np.clip(table, 0, 255).astype(np.uint8)[None])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _noise(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Add half of a Gaussian noise of variance 0.1, in gray levels: PaddleOCR's number, hardly visible."""
    noise = rng.standard_normal(image_rgb.shape, np.float32) * np.float32(0.5 * np.sqrt(0.1))
    return np.clip(image_rgb + noise, 0, 255).astype(np.uint8)


def _contrast(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Scale about the mean, shift, and bend by a gamma, per image; tint the channels a little."""
    import cv2

    values = np.arange(256, dtype=np.float32)
    mean = float(image_rgb.mean())
    bent = 255 * (values / 255) ** rng.uniform(0.7, 1.4)
    levels = (bent - mean) * rng.uniform(0.6, 1.3) + mean + rng.uniform(-25, 25)
    table = np.stack([levels + rng.uniform(-8, 8) for _ in range(3)], axis=-1)
    return cv2.LUT(image_rgb, np.clip(table, 0, 255).astype(np.uint8)[None])


def _soft_blur(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Blur by a Gaussian whose deviation depends on the height."""
    import cv2

    return cv2.GaussianBlur(image_rgb, (0, 0), rng.uniform(0.3, 0.03 * image_rgb.shape[0] + 0.35))


def _resample(rng: Rng, image_rgb: np.ndarray) -> np.ndarray:
    """Lose resolution and come back."""
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
    "tia": _one_after_the_other(_distort, _stretch, _perspective),
    "bounded_tia": _one_after_the_other(_warped(_bounded_distort, least_side=_LEAST_SIDE), _stretch, _perspective),
    "width": _change_width,
    "crop": _still(_crop),
    "trim": _still(_trim),
    "jitter": _jitter,
    "blur": _still(_blur),
    "soft_blur": _still(_soft_blur),
    "motion_blur": _degraded(degrade.motion_blur),
    "low_resolution": _degraded(degrade.low_resolution),
    "resample": _still(_resample),
    "hsv": _still(_hsv),
    "colors": _still(_colors),
    "contrast": _still(_contrast),
    "tone": _degraded(degrade.tone),
    "shadow": _degraded(degrade.cast_shadow),
    "noise": _still(_noise),
    "grain": _still(_grain),
    "jpeg": _degraded(degrade.jpeg),
    "invert": _still(_invert),
}
"""Every change: geometry first, then sharpness, then colors and noise.

"tia" is PaddleOCR's; it moves letters of a line much longer than high out of the image: at 32 x 320 pixels, one line
in ten loses more than half of some letter's height. "bounded_tia" costs no letter more than a sixth.
"""


@dataclass(frozen=True)
class Event:
    """One coin of a recipe.

    Attributes:
        changes: names of changes, of which one happens, each as likely as the other.
        probability: that one happens; None for the probability of the whole augmentation.
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
        Event(("blur", "motion_blur", "low_resolution")),  # two of them would make small text illegible
        Event(("tone", "contrast", "colors", "shadow")),
        *_events("grain", "jpeg", "invert"),
    ),
}
"""What `LineAugmentation` does by the name of the recipe, in this order.

- none: nothing.
- mild: other widths and tones, a little blur and noise, rarely inversion: for short trainings on few real lines.
- bda: "paper" without TIA, for the direction classifier (with `rand_augment`); PP-OCR, section 2.2.
- paper: PP-OCRv2 trains as PP-OCR does, with base data augmentation (BDA) and TIA; the numbers and the order are those
  of PaddleOCR release/2.6. TIA, crop, blur and inversion are visible; the colors, jitter and noise hardly are.
- paper-2.4: the same as PaddleOCR 2.4 and earlier, a coin for each movement of TIA, the jitter without coin.
- strong: the paper's kinds of change with visible strengths, and motion blur, low resolution, shadows, tone and JPEG.
  TIA is bounded, so that letters stay in the image.
"""


class BaseLineAugmentation(ABC):
    """A random change of a line image, which also says where the characters are after it."""

    def __call__(self, rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
        """Return a changed copy of `image_rgb` (h, w, 3) uint8, or the image itself where nothing happens."""
        return self.with_points(rng, image_rgb, np.empty(0))[0]

    @abstractmethod
    def with_points(
        self, rng: np.random.Generator, image_rgb: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the same image that a call makes, and where the characters are in it.

        Args:
            rng: source of the choices.
            image_rgb: (h, w, 3) uint8.
            centers: (n,) x of each character's center, halfway up the image, pixels.

        Returns:
            the image (h', w', 3) uint8 and the centers (n,) in it, NaN for characters that have left it.
        """


@dataclass(frozen=True)
class LineAugmentation(BaseLineAugmentation):
    """Random changes of a line image, each with `probability`.

    The size may change: the width by a fifth in "mild", the height by up to 8 rows or a quarter in the others. Centers
    stay within 0 and w' - 1.

    Attributes:
        probability: chance of each change whose recipe gives it none of its own.
        invert_probability: chance of 255 - x, which makes dark text light; the recipe's if left out.
        recipe: an entry of `RECIPES`.

    Raises:
        ValueError: there is no such recipe.
    """

    probability: float = 0.4
    invert_probability: float | None = None
    recipe: str = "mild"

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f"no recipe {self.recipe!r}; there are {', '.join(RECIPES)}")

    @classmethod
    def from_recipe(cls, recipe: str, probability: float = 0.4) -> LineAugmentation:
        """Return the recipe of that name.

        Raises:
            ValueError: there is no such recipe.
        """
        return cls(probability, recipe=recipe)

    def with_points(self, rng: Rng, image_rgb: np.ndarray, centers: np.ndarray) -> Line:
        for event in RECIPES[self.recipe]:
            if rng.random() < self._probability(event):
                choice = int(rng.integers(len(event.changes))) if len(event.changes) > 1 else 0
                image_rgb, centers = CHANGES[event.changes[choice]](rng, image_rgb, centers)
        return image_rgb, np.clip(centers, 0, image_rgb.shape[1] - 1)

    def _probability(self, event: Event) -> float:
        if self.invert_probability is not None and event.changes == ("invert",):
            return self.invert_probability
        return self.probability if event.probability is None else event.probability


NO_AUGMENTATION = LineAugmentation(recipe="none")
"""Leaves images as they are."""
