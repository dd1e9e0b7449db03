"""Batches for the direction classifier: lines that are upright or rotated by 180 degrees, about half of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.augment_rec import NO_AUGMENTATION, BaseLineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, LabelUse, ProcessShare
from ppocr_jax.data.crops import CropBank
from ppocr_jax.data.recognition import frame_labels, unknown_frames
from ppocr_jax.preprocess import line_windows, resize_pad_line
from ppocr_jax.synth.line import LineGenerator

# Indices of synthetic lines reserved for each step; more than a batch holds.
_INDEX_STRIDE = 4096
# Real lines tried until one has a visible direction.
_ATTEMPTS = 1000
# Characters that look the same upside down, and characters that look like another one of the set when upside down.
SYMMETRIC_CHARACTERS = frozenset("0OoIlHNSsXxZz8.-=:|+*%/\\_~#' ")
_ROTATED_PAIRS = frozenset("69dpbqnumwMW()[]{}<>")
# Digits that look the same upside down on a seven-segment display.
_SYMMETRIC_ON_DISPLAYS = frozenset("25")


def has_direction(text: str) -> bool:
    """Return whether `text` no longer looks like text when upside down; "HIS" and "96" still do."""
    return not set(text) <= SYMMETRIC_CHARACTERS | _ROTATED_PAIRS | _SYMMETRIC_ON_DISPLAYS


def direction_ids(text: str, charset: Charset, *, rotated: bool) -> list[int]:
    """Return the class id of each character; `charset.num_classes - 1` is added if it is visibly upside down."""
    shift = charset.num_classes - 1 if rotated else 0
    return [i + (0 if c in SYMMETRIC_CHARACTERS else shift) for c, i in zip(text, charset.encode(text), strict=True)]


@dataclass(frozen=True)
class DirectionBatches:
    """Batches of lines with their direction: `batches(step)` is a pure function of (seed, step); picklable.

    Attributes:
        generator: Generates synthetic lines.
        bank: Real lines; None to use synthetic lines only.
        batch_size: Lines per batch.
        synthetic_share: Fraction of synthetic lines.
        augmentation: Applied to real lines.
        synthetic_augmentation: Applied to synthetic lines, which their generator has already degraded.
        seed: Seed of all randomness.
        height, width: Size of the network's input.
        long_lines: "squeeze" or "windows", see `ClassifierSpec`.
        charset: Charset of the frame labels; None for no frame labels.
        process: Rows of the batches that this process makes.
    """

    generator: LineGenerator
    bank: CropBank | None
    batch_size: int
    synthetic_share: float
    augmentation: BaseLineAugmentation
    seed: int
    height: int = 48
    width: int = 192
    long_lines: str = "squeeze"
    synthetic_augmentation: BaseLineAugmentation = NO_AUGMENTATION
    charset: Charset | None = None
    process: ProcessShare = WHOLE_BATCH

    def __post_init__(self) -> None:
        if self.bank is None and self.synthetic_share == 0:
            raise ValueError("data.synthetic_share is 0, but there are no data.train_labels; name some, or set it to 1")

    def __call__(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the batch of `step`.

        Returns:
            `images` (B, height, width, 3) float32 normalized; `labels` (B,) int32, 0 upright, 1 upside down; with a
            charset also `frames` (B, width / 4) int32: `direction_ids` at the characters' centers, 0 elsewhere,
            -1 unknown.
        """
        rng = np.random.default_rng((self.seed, step))
        synthetic = self.batch_size if self.bank is None else round(self.batch_size * self.synthetic_share)
        labels = rng.integers(0, 2, self.batch_size).astype(np.int32)
        own = self.process.rows(self.batch_size)
        rows = [
            self._synthetic_row(step * _INDEX_STRIDE + i, rotated=bool(labels[i]))
            if i < synthetic
            else self._real_row((self.seed, step, i), rotated=bool(labels[i]))
            for i in own
        ]
        stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        return stacked | {"labels": labels[own.start : own.stop]}

    def uses(self) -> tuple[LabelUse, ...]:
        """Return the use of each label source; see `CropBank.uses`."""
        return () if self.bank is None else self.bank.uses()

    def _synthetic_row(self, index: int, *, rotated: bool) -> dict[str, np.ndarray]:
        attempts = (self.generator(self.seed * 8 + attempt, index) for attempt in range(8))
        sample = next((s for s in attempts if has_direction(s.text)), None) or self.generator(0, index)
        rng = np.random.default_rng((self.seed, index, 1))
        image_rgb, centers = self.synthetic_augmentation.with_points(rng, sample.image_rgb, sample.char_centers)
        return self._row(rng, image_rgb, sample.text, centers, rotated=rotated)

    def _real_row(self, seed: tuple[int, ...], *, rotated: bool) -> dict[str, np.ndarray]:
        assert self.bank is not None
        rng = np.random.default_rng(seed)
        for _ in range(_ATTEMPTS):
            center = float(np.exp(rng.normal(1.4, 0.8)))  # of the aspect ratio: half of the lines from 2.4 to 7
            crop = self.bank.draw(rng, (center * 0.8, center * 1.25))
            if has_direction(crop.text):
                return self._row(rng, self.augmentation(rng, crop.image(rng)), None, None, rotated=rotated)
        raise ValueError(
            f"hardly any line of {[source.path for source in self.bank.sources]} looks different upside down; "
            "label lines with words, or set data.synthetic_share to 1"
        )

    def _row(
        self,
        rng: np.random.Generator,
        upright: np.ndarray,
        text: str | None,
        centers: np.ndarray | None,
        *,
        rotated: bool,
    ) -> dict[str, np.ndarray]:
        line = np.ascontiguousarray(upright[::-1, ::-1]) if rotated else upright
        start, end = self._visible_range(rng, line)
        image = line[:, start:end]
        row = {"images": resize_pad_line(image, height=self.height, width=self.width)}
        if self.charset is None:
            return row
        if text is None or centers is None:
            return row | {"frames": unknown_frames(self.width)}
        places = (upright.shape[1] - 1 - centers if rotated else centers) - start
        visible = (places >= 0) & (places < image.shape[1])  # False for NaN, a character moved out of the image
        ids = np.array(direction_ids(text, self.charset, rotated=rotated))[visible].tolist()
        size = image.shape[:2]
        return row | {"frames": frame_labels(ids, places[visible], size=size, height=self.height, width=self.width)}

    def _visible_range(self, rng: np.random.Generator, line: np.ndarray) -> tuple[int, int]:
        """Return the left and right end of the part of a line that the network sees."""
        if self.long_lines == "squeeze":
            return 0, line.shape[1]
        windows = line_windows(line.shape, height=self.height, width=self.width)
        return windows[int(rng.integers(len(windows)))]
