"""Which way lines and pages lie: the direction classifier, and what all lines of a page say together."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppocr_jax.inference.backends import Backend, as_probabilities, load_ahead
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.look import elongations, evidence
from ppocr_jax.inference.many import parallel_map
from ppocr_jax.inference.model_folder import ClassifierSpec
from ppocr_jax.inference.options import BATCH_SIZE
from ppocr_jax.preprocess import line_batch, line_windows

_LEAST_PROBABILITY = 1e-6  # of a class in one window: a single certain window must not decide alone
RIGHT_ANGLES = (0, 90, 180, 270)
# Share of the votes that a turn must have before lines follow it against their own direction.
_MAJORITY = 0.75
# A single line knows nothing that its classifier does not; two must both be sure, and agree.
_FEW_LINES, _SURE = 2, 0.9
# A line this sure of itself stays as it is: a stamp upside down on an upright page.
_CERTAIN = 0.995
# A detector that knows only lying text finds a few fragments, each hardly longer than high, on a page on its side.
# Measured there: medians of length / height of 1.3 to 2.9, and an evidence (see `look.evidence`) of 1 to 33; on
# upright receipts, forms and documents medians of 3.4 to 24 and an evidence of 28 to 600.
_LONG, _PLENTY = 3.0, 60.0
# How much more text a turned page must show, and how much it must show at all (in heights of its lines).
_MUCH_MORE, _LEAST_EVIDENCE = 2.0, 5.0


@dataclass(frozen=True)
class Direction:
    """How a line crop lies: `angle` in degrees (0 or 180) and the probability of that class."""

    angle: int
    probability: float


@dataclass(frozen=True)
class TextClassifier:
    """Tells lines that stand on their head. Up to `workers` batches run at a time."""

    backend: Backend
    spec: ClassifierSpec
    workers: int = 1

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int = BATCH_SIZE) -> list[Direction]:
        """Direction of each line crop (h, w, 3) uint8 RGB."""
        parts = [(i, part) for i, crop in enumerate(crops) for part in self._parts(crop)]
        starts = range(0, len(parts), batch_size)
        batches = [[part for _, part in parts[start : start + batch_size]] for start in starts]
        rows = parallel_map(self._run, batches, workers=self.workers)
        seen: list[list[np.ndarray]] = [[] for _ in crops]
        for (i, _), probabilities in zip(parts, itertools.chain.from_iterable(rows), strict=True):
            seen[i].append(probabilities)
        return [self._direction(_joint(rows)) for rows in seen]

    def load_ahead(self) -> None:
        """Begin to load the network, if that is to be done and may be beside other work."""
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
    """Return the probabilities of a line from those of its parts: their geometric mean, scaled to add up to 1."""
    if len(rows) == 1:
        return rows[0]
    means = np.exp(np.log(np.maximum(rows, _LEAST_PROBABILITY)).mean(axis=0))
    return means / means.sum()


def page_rotation(quads: np.ndarray, directions: Sequence[Direction]) -> int | None:
    """Return by how many degrees a page is turned clockwise: 0, 90, 180 or 270; None where its lines do not agree.

    Every line votes for the right angle nearest to the direction in which it is read, with its length as weight, split
    between both ways by the classifier's probability.

    Args:
        quads: (n, 4, 2) of the lines, each from the corner that became its crop's top-left.
        directions: how each crop lies, of which 180 means that it is read from the other end.
    """
    if len(quads) < _FEW_LINES or (len(quads) == _FEW_LINES and min(d.probability for d in directions) < _SURE):
        return None
    along = (quads[:, 1] - quads[:, 0] + quads[:, 2] - quads[:, 3]) / 2
    lengths = np.linalg.norm(along, axis=1)
    nearest = np.round(np.degrees(np.arctan2(along[:, 1], along[:, 0])) / 90).astype(int) % 4
    turned = np.array([d.probability if d.angle == 180 else 1 - d.probability for d in directions])
    votes = np.zeros(4)
    np.add.at(votes, nearest, lengths * (1 - turned))
    np.add.at(votes, (nearest + 2) % 4, lengths * turned)
    best = int(votes.argmax())
    return RIGHT_ANGLES[best] if votes[best] >= _MAJORITY * votes.sum() else None


def crop_angles(
    quads: np.ndarray, directions: Sequence[Direction | None], *, page_known: bool, threshold: float
) -> list[int]:
    """By how many degrees, 0 or 180, each crop has to be turned.

    A line alone turns above `threshold`. On a page whose lines agreed that it stands upright, one that runs along the
    page does so only if it is all but certain, and one that runs against it does unless it is.

    Args:
        quads, directions: see `page_rotation`; a line that was not asked, None, does as its page.
        page_known: whether the lines of the page agreed.
        threshold: probability above which a classifier is believed.
    """
    alone = [d.angle if d and d.probability > threshold else 0 for d in directions]
    if not page_known:
        return alone
    along = quads[:, 1] - quads[:, 0]
    lying = np.abs(along[:, 0]) > np.abs(along[:, 1])
    angles = [0 if rightwards else 180 for rightwards in along[:, 0] > 0]
    sure = [d is not None and d.probability > _CERTAIN for d in directions]
    return [
        own if certain or not lies else page
        for own, page, lies, certain in zip(alone, angles, lying, sure, strict=True)
    ]


def may_lie_sideways(boxes: Sequence[TextBox]) -> bool:
    """Return whether the boxes of a page look like fragments of lines that run across them, or there are hardly any."""
    shown = evidence(boxes)
    return shown < _LEAST_EVIDENCE or (shown < _PLENTY and float(np.median(elongations(boxes))) < _LONG)


def shows_more_text(turned: Sequence[TextBox], upright: Sequence[TextBox]) -> bool:
    """Return whether the boxes found on the turned page are far more like lines than those on the page as it is."""
    return evidence(turned) > max(_MUCH_MORE * evidence(upright), _LEAST_EVIDENCE)
