"""Augmentation of line pictures, so that few real lines go further: recipes of the changes in `line_changes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ppocr_jax.data.line_changes import CHANGES


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
  TIA is bounded, so that letters stay in the picture.
"""


@dataclass(frozen=True)
class LineAugmentation:
    """Random changes of a line picture, each with `probability`.

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
        """The recipe of that name.

        Raises:
            ValueError: there is no such recipe.
        """
        return cls(probability, recipe=recipe)

    def __call__(self, rng: np.random.Generator, image_rgb: np.ndarray) -> np.ndarray:
        """A changed copy of `image_rgb` (h, w, 3) uint8, or the picture itself where nothing happens.

        Its size may differ: the width by a fifth in "mild", the height by up to 8 rows or a quarter in the others.
        """
        return self.with_points(rng, image_rgb, np.empty(0))[0]

    def with_points(
        self, rng: np.random.Generator, image_rgb: np.ndarray, centers: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same picture that a call makes, and where the characters are in it.

        Args:
            rng: source of the choices.
            image_rgb: (h, w, 3) uint8.
            centers: (n,) x of each character's center, halfway up the picture, pixels.

        Returns:
            the picture (h', w', 3) uint8 and the centers (n,) in it, within 0 and w' - 1.
        """
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
"""Leaves pictures as they are."""
