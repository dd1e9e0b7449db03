"""Recognizer batches: synthetic and real lines of one width bucket, with labels and, if known, alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import BLANK, Charset
from ppocr_jax.data.augment_rec import NO_AUGMENTATION, LineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, LabelUse, ProcessShare
from ppocr_jax.data.crops import Crop, CropBank
from ppocr_jax.preprocess import line_width, resize_pad_line
from ppocr_jax.synth.line import LineGenerator

_UNLABELED = -1
# Maximum fraction of the frames that a label may fill: repeated characters need a blank between them.
_MOST_FILLED = 0.75
# Maximum number of lines joined to a first one: PaddleOCR's configuration of PP-OCRv3 (`ext_data_num`).
_MORE_LINES = 2
# Narrower lines are not drawn from the bank; width / height.
_LEAST_ASPECT = 0.4
# Lines tried until one fits its bucket.
_ATTEMPTS = 8
# Indices of synthetic lines reserved for each step; more than a batch holds.
_INDEX_STRIDE = 4096


@dataclass(frozen=True)
class RecognitionBatches:
    """Batches of lines with their texts: `batches(step)` is a pure function of (seed, step); picklable.

    Attributes:
        charset: Charset of the labels.
        generator: Generates synthetic lines.
        bank: Real line images; None to use synthetic lines only.
        widths: Bucket widths in pixels, ascending; all lines of a batch share one.
        batch_size: Lines per batch in a bucket of `reference_width`; other buckets hold as many as cost about the same.
        reference_width: See `batch_size`; None keeps `batch_size` in all buckets.
        synthetic_share: Fraction of synthetic lines after the first `synthetic_warm_steps`.
        synthetic_warm_steps: Number of first steps with synthetic lines only.
        max_label_length: Longer labels are not used.
        augmentation: Applied to real lines.
        synthetic_augmentation: Applied to synthetic lines, which their generator has already degraded.
        seed: Seed of all randomness.
        height: Height of a line image.
        frame_width: Pixels of a line per frame of the network's output, which limits the length of labels.
        join_probability: Probability that a real line is made of several lines, side by side; see `_joined`.
        multiple_of: With `reference_width`, batch sizes are multiples of this.
        process: Rows of the batches that this process makes.
    """

    charset: Charset
    generator: LineGenerator
    bank: CropBank | None
    widths: tuple[int, ...]
    batch_size: int
    synthetic_share: float
    synthetic_warm_steps: int
    max_label_length: int
    augmentation: LineAugmentation
    seed: int
    synthetic_augmentation: LineAugmentation = NO_AUGMENTATION
    height: int = 32
    reference_width: int | None = 160
    frame_width: int = 4
    join_probability: float = 0.0
    multiple_of: int = 8
    process: ProcessShare = WHOLE_BATCH

    def __post_init__(self) -> None:
        if self.bank is None and self.synthetic_share == 0:
            raise ValueError("data.synthetic_share is 0, but there are no data.train_labels; name some, or set it to 1")

    def __call__(self, step: int) -> Mapping[str, np.ndarray]:
        """Return the batch of `step`.

        Returns:
            `images` (B, height, W, 3) float32 normalized; `labels` (B, L) int32 padded with 0; `lengths` (B,) int32;
            `frames` (B, W / frame_width) int32: class id at each character's center, 0 elsewhere, -1 if unknown;
            `case_blind` (B,) bool.
        """
        rng = np.random.default_rng((self.seed, step))
        bucket = int(rng.choice(len(self.widths), p=self._bucket_shares()))
        width = self.widths[bucket]
        count = self._batch_size_of(width)
        share = 1.0 if self.bank is None or step < self.synthetic_warm_steps else self.synthetic_share
        synthetic = round(count * share)
        rows = [
            self._synthetic_row(step * _INDEX_STRIDE + i, bucket) if i < synthetic else self._real_row(step, i, bucket)
            for i in self.process.rows(count)
        ]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def uses(self) -> tuple[LabelUse, ...]:
        """Return the use of each label source; see `CropBank.uses`."""
        return () if self.bank is None else self.bank.uses()

    def _batch_size_of(self, width: int) -> int:
        """Return the number of lines in a batch of this bucket."""
        if self.reference_width is None:
            return self.batch_size
        unit = self.multiple_of
        return max(unit, round(self.batch_size * self.reference_width / width / unit) * unit)

    def _bucket_shares(self) -> np.ndarray:
        """Return the probability of each bucket: half uniform, half the distribution of the real lines."""
        even = np.full(len(self.widths), 1 / len(self.widths))
        return even if self.bank is None else 0.5 * even + 0.5 * self.bank.bucket_shares(self.widths, self.height)

    def _aspect_limits(self, bucket: int) -> tuple[float, float]:
        low = self.widths[bucket - 1] / self.height if bucket else _LEAST_ASPECT
        return low, self.widths[bucket] / self.height

    def _synthetic_row(self, index: int, bucket: int) -> dict[str, np.ndarray]:
        width = self.widths[bucket]
        for attempt in range(_ATTEMPTS):
            sample = self.generator(self.seed * _ATTEMPTS + attempt, index, aspect=self._aspect_limits(bucket))
            if self._fits(sample.text, width):
                break
        else:
            return self._blank_row(width)
        rng = np.random.default_rng((self.seed, index, 1))
        image_rgb, centers = self.synthetic_augmentation.with_points(rng, sample.image_rgb, sample.char_centers)
        ids = self.charset.encode(sample.text)
        sizes = {"size": image_rgb.shape[:2], "height": self.height, "width": width, "frame_width": self.frame_width}
        frames = frame_labels(ids, centers, **sizes)
        return self._row(image_rgb, sample.text, width, frames=frames, case_blind=False)

    def _real_row(self, step: int, row: int, bucket: int) -> dict[str, np.ndarray]:
        assert self.bank is not None
        rng, width = np.random.default_rng((self.seed, step, row)), self.widths[bucket]
        low, high = self._aspect_limits(bucket)
        for _ in range(_ATTEMPTS):
            joins = self.join_probability > 0 and rng.random() < self.join_probability
            crop = self.bank.draw(rng, (_LEAST_ASPECT if joins else low, high))
            if self._fits(crop.text, width):
                crop = self._joined(rng, crop, width) if joins else crop
                image_rgb = self.augmentation(rng, crop.image(rng))
                return self._row(image_rgb, crop.text, width, frames=None, case_blind=crop.case_blind)
        return self._blank_row(width)

    def _joined(self, rng: np.random.Generator, first: Crop, width: int) -> Crop:
        """Append up to two more lines to a line, as long as images and labels fit: PP-OCRv3's TextConAug.

        A network that sees a few short lines together learns to use more of the context. No space is put between the
        texts, as in PaddleOCR (`RecConAug`).
        """
        import cv2

        assert self.bank is not None
        parts, text, case_blind = [first.image(rng)], first.text, first.case_blind
        for _ in range(_MORE_LINES):
            room = width / self.height - sum(part.shape[1] / part.shape[0] for part in parts)
            crop = self.bank.draw(rng, (_LEAST_ASPECT, max(room, _LEAST_ASPECT)))
            part = crop.image(rng)
            if part.shape[1] / part.shape[0] > room or not self._fits(text + crop.text, width):
                break
            parts, text, case_blind = [*parts, part], text + crop.text, case_blind or crop.case_blind
        if len(parts) == 1:
            return Crop(parts[0], text, case_blind)
        sizes = [(max(1, round(part.shape[1] / part.shape[0] * self.height)), self.height) for part in parts]
        images = [cv2.resize(part, size) for part, size in zip(parts, sizes, strict=True)]
        return Crop(np.concatenate(images, axis=1), text, case_blind)

    def _fits(self, text: str, width: int) -> bool:
        return 0 < len(text) <= self._label_length(width) and all(c in self.charset for c in text)

    def _label_length(self, width: int) -> int:
        return min(self.max_label_length, int(width // self.frame_width * _MOST_FILLED))

    def _row(
        self, image_rgb: np.ndarray, text: str, width: int, *, frames: np.ndarray | None, case_blind: bool
    ) -> dict[str, np.ndarray]:
        ids = self.charset.encode(self._without_case(text) if case_blind else text)
        labels = np.zeros(self._label_length(width), np.int32)
        labels[: len(ids)] = ids
        return {
            "images": resize_pad_line(image_rgb, height=self.height, width=width),
            "labels": labels,
            "lengths": np.array(len(ids), np.int32),
            "frames": unknown_frames(width, self.frame_width) if frames is None else frames,
            "case_blind": np.array(case_blind),
        }

    def _without_case(self, text: str) -> str:
        """Return the text with each letter in upper case if the charset has its capital ("ß" is "SS", so it stays)."""
        return "".join(c.upper() if c.upper() in self.charset else c for c in text)

    def _blank_row(self, width: int) -> dict[str, np.ndarray]:
        """Return a mid-gray line without text, in place of a line that was not found."""
        gray = np.full((self.height, width, 3), 128, np.uint8)
        return self._row(gray, "", width, frames=np.zeros(width // self.frame_width, np.int32), case_blind=False)


def unknown_frames(width: int, frame_width: int = 4) -> np.ndarray:
    """Return (W / frame_width,) int32: labels of a line whose character positions are unknown; see `frame_labels`."""
    return np.full(width // frame_width, _UNLABELED, np.int32)


def frame_labels(
    ids: Sequence[int], centers: np.ndarray, *, size: Sequence[int], height: int, width: int, frame_width: int = 4
) -> np.ndarray:
    """Return the class id of each output frame of a line with known character positions.

    The frame at a character's center has the character's id, its two neighbors are unknown (-1), all others blank.

    Args:
        ids: Class ids of the characters.
        centers: (n,) x of each character's center, in pixels of the original image.
        size: (h, w) of the original image.
        height, width: Size of the network input that the image is scaled to.
        frame_width: Pixels of the input per frame.

    Returns:
        (width / frame_width,) int32.
    """
    count = width // frame_width
    scale = line_width(size, height=height, max_width=width) / size[1]
    at = np.clip((np.asarray(centers) * scale / frame_width).astype(np.int64), 0, count - 1)
    frames = np.full(count, BLANK, np.int32)
    for neighbor in (at - 1, at + 1):
        frames[neighbor[(neighbor >= 0) & (neighbor < count)]] = _UNLABELED
    frames[at] = ids
    return frames
