"""Batches for the direction classifier: lines upright and turned by 180 degrees, half each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.crops import CropBank
from ppocr_jax.data.synthetic.text_line import LineGenerator
from ppocr_jax.preprocess import resize_pad_line

# Characters that look the same upside down: a line of nothing else has no direction.
SYMMETRIC_CHARACTERS = frozenset("0OoIlHNSsXxZz8.-=:|+*%/\\_~#' ")


def has_direction(text: str) -> bool:
    """Whether a line of `text` looks different upside down."""
    return not set(text) <= SYMMETRIC_CHARACTERS


@dataclass(frozen=True)
class DirectionBatches:
    """`batches(step) -> {"images": (B, height, width, 3), "labels": (B,)}`, a pure function of (seed, step).

    Attributes:
        generator: draws synthetic lines.
        bank: real lines; None for drawn ones alone.
        batch_size: lines per batch.
        synthetic_share: fraction of drawn lines.
        augmentation: applied to real lines.
        seed: of everything random.
        height, width: of the network's input.
    """

    generator: LineGenerator
    bank: CropBank | None
    batch_size: int
    synthetic_share: float
    augmentation: LineAugmentation
    seed: int
    height: int = 48
    width: int = 192

    def __call__(self, step: int) -> Mapping[str, np.ndarray]:
        """The batch of `step`; label 0 is upright, 1 is turned."""
        rng = np.random.default_rng((self.seed, step))
        drawn = self.batch_size if self.bank is None else round(self.batch_size * self.synthetic_share)
        pictures = [self._drawn(step * 4096 + i) for i in range(drawn)]
        pictures += [self._real(rng) for _ in range(self.batch_size - drawn)]
        labels = rng.integers(0, 2, self.batch_size).astype(np.int32)
        images = [
            resize_pad_line(np.ascontiguousarray(p[::-1, ::-1]) if turned else p, height=self.height, width=self.width)
            for p, turned in zip(pictures, labels, strict=True)
        ]
        return {"images": np.stack(images), "labels": labels}

    def _drawn(self, index: int) -> np.ndarray:
        attempts = (self.generator(self.seed * 8 + attempt, index) for attempt in range(8))
        return next((s.image_rgb for s in attempts if has_direction(s.text)), self.generator(0, index).image_rgb)

    def _real(self, rng: np.random.Generator) -> np.ndarray:
        assert self.bank is not None
        while True:
            center = float(np.exp(rng.normal(1.4, 0.8)))
            crop = self.bank.draw(rng, (center * 0.8, center * 1.25))
            if has_direction(crop.text):
                return self.augmentation(rng, crop.image(rng))
