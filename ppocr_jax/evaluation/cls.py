"""A direction classifier on lines whose direction is known: accuracy, also of each direction alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.data.direction import has_direction
from ppocr_jax.evaluation.rec import LINES_AT_ONCE
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts, split_fonts
from ppocr_jax.synth.line import LineGenerator, LineSample

ANGLES = (0, 180)

HELD_OUT_FONTS = ("B612", "Cabin", "Courier Prime", "Karla", "Vollkorn")
"""Families for evaluation alone, to be given to `find_fonts(exclude=...)` when training."""
HELD_OUT_SEED = 900_001  # a series of lines that no training run's seed starts by chance

DirectionSample = tuple[np.ndarray, int]
"""A picture of one line, `image_rgb` (H, W, 3) uint8, and the angle it is turned by, 0 or 180 degrees."""


class DirectionLike(Protocol):
    """What a classifier must return for each line."""

    @property
    def angle(self) -> int:
        """0 or 180, degrees."""
        ...


Classify = Callable[[Sequence[np.ndarray]], Sequence[DirectionLike]]
"""Pictures of lines, `image_rgb` (H, W, 3) uint8 each -> directions, in the same order."""


def evaluate_direction(classify: Classify, samples: Iterable[DirectionSample]) -> dict[str, float]:
    """Run a classifier over lines and score its directions; see `score_directions`."""
    return score_directions(*classify_lines(classify, samples))


def classify_lines(classify: Classify, samples: Iterable[DirectionSample]) -> tuple[list[int], list[int]]:
    """The angle found for each line, and the true one, in degrees."""
    found: list[int] = []
    targets: list[int] = []
    samples = iter(samples)
    while chunk := list(islice(samples, LINES_AT_ONCE)):
        found += [direction.angle for direction in classify([image for image, _ in chunk])]
        targets += [angle for _, angle in chunk]
    return found, targets


def score_directions(found: Sequence[int], targets: Sequence[int]) -> dict[str, float]:
    """Scores of angles in degrees, before any threshold on the classifier's probability.

    Returns:
        `accuracy`; `accuracy_0` and `accuracy_180`, over the lines that stand so; 0 where there are none; `lines`.
    """
    right = [a == b for a, b in zip(found, targets, strict=True)]
    score = {"accuracy": _mean(right)}
    for angle in ANGLES:
        score[f"accuracy_{angle}"] = _mean([r for r, target in zip(right, targets, strict=True) if target == angle])
    return {**score, "lines": float(len(right))}


def turn_every_second(images: Iterable[np.ndarray]) -> Iterator[DirectionSample]:
    """Upright lines as samples: the first, third, ... as they are, the others turned by 180 degrees."""
    for index, image_rgb in enumerate(images):
        turned = index % 2 == 1
        yield (np.ascontiguousarray(np.rot90(image_rgb, 2)), 180) if turned else (image_rgb, 0)


def held_out_lines(
    count: int,
    *,
    charset: Charset,
    corpus: Corpus,
    fonts: Sequence[str | Path] | None = None,
    directed: bool = True,
) -> Iterator[LineSample]:
    """Yield drawn upright lines, the same at each call, from a seed and in fonts that training does not use.

    Args:
        count: number of lines.
        charset: the characters that may occur.
        corpus: the texts.
        fonts: font files' folders, all of which are used; default: the `HELD_OUT_FONTS` among the system's.
        directed: pass over lines without a direction ("0.00", "HIS", "96", see `has_direction`).

    Raises:
        NoFontsError: no such font.
    """
    faces = find_fonts(fonts)
    if fonts is None:
        _, faces = split_fonts(faces, HELD_OUT_FONTS)
    if not faces:
        raise NoFontsError(f"none of the fonts held out for evaluation is installed: {', '.join(HELD_OUT_FONTS)}")
    draw = LineGenerator(charset=charset, fonts=faces, corpus=corpus)
    lines = (draw(HELD_OUT_SEED, index) for index in itertools.count())
    return islice((line for line in lines if not directed or has_direction(line.text)), count)


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0
