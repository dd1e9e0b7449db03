"""Direction classifier for lines, and the rotation of a page from its lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.inference.backends import Backend, as_probabilities, load_ahead
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.detect_lines import elongations, evidence
from ppocr_jax.inference.many import parallel_map
from ppocr_jax.inference.model_folder import ClassifierSpec
from ppocr_jax.inference.options import BATCH_SIZE
from ppocr_jax.preprocess import line_batch, line_windows

_LEAST_PROBABILITY = 1e-6  # of a class in one window: one certain window must not decide alone
RIGHT_ANGLES = (0, 90, 180, 270)
# Share of the votes that a rotation needs before lines follow it against their own direction.
_MAJORITY = 0.75
# A single line adds nothing to its classifier's prediction. Two lines must agree, both with this probability.
_FEW_LINES, _SURE = 2, 0.9
# A line with this probability keeps its own direction, such as an upside-down stamp on an upright page.
_CERTAIN = 0.995
# On a page rotated by 90 degrees, a detector trained on horizontal text finds a few fragments, hardly longer than high.
# Measured there: median aspect ratios of 1.3 to 2.9, and an evidence (`detect_lines.evidence`) of 1 to 33. On upright
# receipts, forms and documents: median aspect ratios of 3.4 to 24, and an evidence of 28 to 600.
_LONG, _PLENTY = 3.0, 60.0
# Evidence that a rotated page needs: relative to the page as it is, and in total.
_MUCH_MORE, _LEAST_EVIDENCE = 2.0, 5.0


@dataclass(frozen=True)
class Direction:
    """Direction of a line crop: `angle` in degrees (0 or 180), and the probability of that class."""

    angle: int
    probability: float


@dataclass(frozen=True)
class TextClassifier:
    """Classifier of line directions, upright or upside down. Up to `workers` batches run in parallel."""

    backend: Backend
    spec: ClassifierSpec
    workers: int = 1

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int = BATCH_SIZE) -> list[Direction]:
        """Return the direction of each line crop (h, w, 3) uint8 RGB."""
        parts = [(i, part) for i, crop in enumerate(crops) for part in self._parts(crop)]
        starts = range(0, len(parts), batch_size)
        batches = [[part for _, part in parts[start : start + batch_size]] for start in starts]
        rows = parallel_map(self._run, batches, workers=self.workers)
        seen: list[list[np.ndarray]] = [[] for _ in crops]
        for (i, _), probabilities in zip(parts, itertools.chain.from_iterable(rows), strict=True):
            seen[i].append(probabilities)
        return [self._direction(_joint(rows)) for rows in seen]

    def load_ahead(self) -> None:
        """Start to load the network in the background, unless it is loaded or there is only one worker."""
        load_ahead(self.backend, self.workers)

    def _run(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        spec = self.spec
        lines = line_batch(parts, height=spec.height, width=spec.width, normalization=spec.normalization)
        return as_probabilities(self.backend(lines))

    def _parts(self, crop: np.ndarray) -> list[np.ndarray]:
        if self.spec.long_lines == "squeeze":
            return [crop]
        windows = line_windows(crop.shape, height=self.spec.height, width=self.spec.width)
        return [crop[:, start:end] for start, end in windows]

    def _direction(self, probabilities: np.ndarray) -> Direction:
        best = int(probabilities.argmax())
        return Direction(int(self.spec.labels[best]), float(probabilities[best]))


def _joint(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the probabilities of a line from those of its parts: the normalized geometric mean."""
    if len(rows) == 1:
        return rows[0]
    means = np.exp(np.log(np.maximum(rows, _LEAST_PROBABILITY)).mean(axis=0))
    return means / means.sum()


def page_rotation(quads: np.ndarray, directions: Sequence[Direction]) -> int | None:
    """Return the clockwise rotation of a page, 0, 90, 180 or 270 degrees, or None if its lines do not agree.

    Every line votes for the multiple of 90 degrees nearest to its reading direction. Its weight is its length, divided
    between both directions by the classifier's probability.

    Args:
        quads: Quads of the lines, (n, 4, 2), each starting at the corner that became its crop's top-left.
        directions: Direction of each crop. 180 means that the text begins at the other end.
    """
    if len(quads) < _FEW_LINES or (len(quads) == _FEW_LINES and min(d.probability for d in directions) < _SURE):
        return None
    along = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    lengths = np.linalg.norm(along, axis=1)
    nearest = np.round(np.degrees(np.arctan2(along[:, 1], along[:, 0])) / 90).astype(int) % 4
    rotated = np.array([d.probability if d.angle == 180 else 1 - d.probability for d in directions])
    votes = np.zeros(4)
    np.add.at(votes, nearest, lengths * (1 - rotated))
    np.add.at(votes, (nearest + 2) % 4, lengths * rotated)
    best = int(votes.argmax())
    return RIGHT_ANGLES[best] if votes[best] >= _MAJORITY * votes.sum() else None


def crop_angles(
    quads: np.ndarray, directions: Sequence[Direction | None], *, page_known: bool, threshold: float
) -> list[int]:
    """Return the angle in degrees, 0 or 180, by which to rotate each crop.

    Without a page direction, a line is rotated if its probability exceeds `threshold`. On an upright page, a horizontal
    line follows the page, unless its own direction is nearly certain. A vertical line is treated as if without a page.

    Args:
        quads, directions: See `page_rotation`. A line that was not classified (None) follows its page.
        page_known: Whether the lines of the page agreed on its rotation.
        threshold: Probability above which a predicted direction is used.
    """
    alone = [d.angle if d and d.probability > threshold else 0 for d in directions]
    if not page_known:
        return alone
    along = quads[:, 1] - quads[:, 0]
    horizontal = np.abs(along[:, 0]) > np.abs(along[:, 1])
    angles = [0 if rightwards else 180 for rightwards in along[:, 0] > 0]
    sure = [d is not None and d.probability > _CERTAIN for d in directions]
    return [
        own if certain or not is_horizontal else page
        for own, page, is_horizontal, certain in zip(alone, angles, horizontal, sure, strict=True)
    ]


def may_be_sideways(boxes: Sequence[TextBox]) -> bool:
    """Return whether the boxes of a page look like fragments of rotated lines, or there are hardly any."""
    shown = evidence(boxes)
    return shown < _LEAST_EVIDENCE or (shown < _PLENTY and float(np.median(elongations(boxes))) < _LONG)


def shows_more_text(rotated: Sequence[TextBox], upright: Sequence[TextBox]) -> bool:
    """Return whether the boxes found on the rotated page show much more text than those on the page as it is."""
    return evidence(rotated) > max(_MUCH_MORE * evidence(upright), _LEAST_EVIDENCE)
