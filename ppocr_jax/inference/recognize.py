"""Text recognizer: batches of lines of similar width, windows for long lines, and positions of words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from ppocr_jax.charset import BLANK, Charset
from ppocr_jax.document.page import Char, Quad, Word
from ppocr_jax.geometry import split_quad
from ppocr_jax.inference.backends import Backend, as_probabilities, line_height, load_ahead
from ppocr_jax.inference.beam_search import beam_search
from ppocr_jax.inference.decode import (
    Decoded,
    correct_digits,
    ctc_greedy_decode,
    space_operators,
    strip_spaces,
    texts_beside_leader,
    without_leader,
)
from ppocr_jax.inference.many import parallel_map
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.inference.options import BATCH_SIZE
from ppocr_jax.language_model import LanguageModel
from ppocr_jax.preprocess import crop_batch_width, line_batch, line_width, resize_pad_line

LONGEST = 2560
"""Pixels, at the network's height, up to which a line is recognized in one piece. Longer lines would make batches, and
the memory kept for them, as wide as they are."""
MAX_SCALED_WIDTH = 1 << 16
OVERLAP = 160
"""Least number of pixels that two windows share: a few characters at a height of 32 or 48, and their surroundings."""


@dataclass(frozen=True)
class TextRecognizer:
    """Recognizer of text lines. Up to `workers` batches run in parallel.

    With a model of the language, uncertain lines are decoded by beam search, otherwise greedily.
    """

    backend: Backend
    spec: RecognizerSpec
    charset: Charset
    workers: int = 1
    language: LanguageModel | None = None

    @cached_property
    def height(self) -> int:
        """Height in pixels at which the network reads lines.

        Raises:
            ModelError: If the network accepts none of the heights that it may have.
        """
        return line_height(self.backend, self.spec)

    def load_ahead(self) -> None:
        """Start to load the network in the background, unless it is loaded or there is only one worker."""
        load_ahead(self.backend, self.workers)

    def __call__(self, crops: Sequence[np.ndarray], *, batch_size: int = BATCH_SIZE) -> list[Decoded]:
        """Return the text of each line crop (h, w, 3) uint8 RGB.

        Lines of similar width share a batch, padded to its widest line but at least to the model's least width. Lines
        longer than the network's width, or than `LONGEST` pixels, are recognized in windows. In other lines, text
        beside a long leader is recognized again without it.
        """
        longest = self.spec.width or LONGEST
        widths = [line_width(crop.shape, height=self.height, max_width=MAX_SCALED_WIDTH) for crop in crops]
        long = [i for i, width in enumerate(widths) if width > longest]
        short = [i for i, width in enumerate(widths) if width <= longest]
        texts = {i: self._read_long(crops[i], widths[i], longest, batch_size) for i in long}
        batches = [[short[k] for k in batch] for batch in width_sorted_batches([crops[i] for i in short], batch_size)]
        batches.reverse()  # longest first, so that all workers finish at about the same time
        found = parallel_map(lambda batch: self._read_batch([crops[i] for i in batch]), batches, workers=self.workers)
        for indices, decoded in zip(batches, found, strict=True):
            texts.update(zip(indices, decoded, strict=True))
        for i in short:
            sides = texts_beside_leader(texts[i])
            if sides:
                crop, extent = crops[i], texts[i].extent
                cuts = [tuple(round(at / extent * crop.shape[1]) for at in (side.begin, side.end)) for side in sides]
                alone = self._read_batch([crop[:, a : max(b, a + 1)] for a, b in cuts])
                texts[i] = without_leader(texts[i], sides, alone)
        return [texts[i] for i in range(len(crops))]

    def _run(self, lines: np.ndarray) -> np.ndarray:
        return as_probabilities(self.backend(lines))

    def _read_batch(self, crops: Sequence[np.ndarray]) -> list[Decoded]:
        sizes = [crop.shape[:2] for crop in crops]
        height, least, margin = self.height, self.spec.min_width, self.spec.margin
        width = max(least, crop_batch_width(sizes, height=height) + margin)
        width = self.spec.width or getattr(self.backend, "padded_width", int)(width)
        probabilities = self._run(line_batch(crops, height=height, width=width, normalization=self.spec.normalization))
        frame = width / probabilities.shape[1]
        filled = [line_width(crop.shape, height=height, max_width=width) for crop in crops]
        decoded = [self._decode(line) for line in probabilities]
        return [replace(line, extent=pixels / frame) for line, pixels in zip(decoded, filled, strict=True)]

    def _read_long(self, crop: np.ndarray, length: int, width: int, batch_size: int) -> Decoded:
        starts = window_starts(length, width=width)
        line = resize_pad_line(
            crop, height=self.height, width=max(length, starts[-1] + width), normalization=self.spec.normalization
        )
        windows = [line[:, start : start + width] for start in starts]
        batches = [np.stack(windows[k : k + batch_size]) for k in range(0, len(windows), batch_size)]
        rows = list(itertools.chain.from_iterable(parallel_map(self._run, batches, workers=self.workers)))
        joined = join_windows(rows, starts, width=width)
        return replace(self._decode(joined), extent=length * len(rows[0]) / width)

    def _decode(self, probabilities: np.ndarray) -> Decoded:
        decoded = ctc_greedy_decode(probabilities[None], self.charset)[0]
        if self.language is not None:
            decoded = beam_search(decoded, probabilities, self.charset, self.language)
        return space_operators(strip_spaces(correct_digits(decoded, probabilities, self.charset)))


def width_sorted_batches(crops: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of the crops in batches, sorted by width / height."""
    order = sorted(range(len(crops)), key=lambda i: crops[i].shape[1] / crops[i].shape[0])
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def window_starts(length: int, *, width: int) -> list[int]:
    """Return the starts of windows of `width` pixels that cover `length` pixels.

    Windows are as far apart as the overlap allows, except the last one, which ends with the line. Every start is a
    multiple of 32 pixels, which is a whole number of frames in any recognizer.

    Raises:
        ValueError: If the windows are too narrow for the overlap.
    """
    step = (width - OVERLAP) // 32 * 32
    if step < 32:
        raise ValueError(f"windows of {width} pixels are too narrow to overlap by {OVERLAP}")
    last = max(0, -(-(length - width) // 32) * 32)
    return [*range(0, last, step), last]


def join_windows(probabilities: Sequence[np.ndarray], starts: Sequence[int], *, width: int) -> np.ndarray:
    """Join the probabilities of overlapping windows to those of the whole line, (T, K).

    Two windows are joined at the frame where both give blank the highest probability, nearest to the middle of the
    overlap if equal. CTC starts anew at a blank, so that no character is split or read twice.

    Args:
        probabilities: Probabilities of each window, (T', K).
        starts: Left ends of the windows in pixels.
        width: Width of each window in pixels.
    """
    frame = width / len(probabilities[0])
    firsts = [round(start / frame) for start in starts]
    parts, begin = [], 0
    for k in range(1, len(probabilities)):
        left, right = probabilities[k - 1], probabilities[k]
        shared = firsts[k - 1] + len(left) - firsts[k]
        blank = left[len(left) - shared :, BLANK] * right[:shared, BLANK]
        # Frames near an end of a window lack context on one side. The outer quarters of the overlap are not used.
        inner = np.arange(shared // 4, max(shared - shared // 4, shared // 4 + 1))
        distance = np.abs(inner - shared / 2) / shared
        seam = firsts[k] + int(inner[np.argmax(blank[inner] - 0.01 * distance)])
        parts.append(left[begin - firsts[k - 1] : seam - firsts[k - 1]])
        begin = seam
    parts.append(probabilities[-1][begin - firsts[-1] :])
    return np.concatenate(parts)


def line_words(decoded: Decoded, quad: np.ndarray, *, margins: tuple[float, float] = (0.0, 0.0)) -> tuple[Word, ...]:
    """Return the words of a line with their quads, and the quads of their characters.

    CTC gives the frames at which a character is seen, but not its bounds. A character therefore extends to the middle
    between its frames and those of its neighbors, including spaces. The first and the last character extend as far
    outwards as inwards.

    Args:
        decoded: The text with its frames.
        quad: Corners of the line, (4, 2), clockwise from where the text begins.
        margins: Margins of the crop at the start and the end of the quad, in heights of the quad.
    """
    if not decoded.text:
        return ()
    quads = _quads(split_quad(quad, _within(quad, _cuts(decoded), margins)))
    words: list[Word] = []
    start = 0
    for part in decoded.text.split(" "):
        end = start + len(part)
        if part:
            scores = decoded.char_confidences[start:end]
            chars = tuple(map(Char, part, quads[start:end], scores))
            first, last = quads[start], quads[end - 1]
            words.append(Word(chars, (first[0], last[1], last[2], first[3])))
        start = end + 1
    return tuple(words)


def _cuts(decoded: Decoded) -> np.ndarray:
    """Return the bounds of the characters as ascending fractions of the line, (characters + 1,)."""
    centers = (np.array(decoded.positions) + np.array(decoded.ends)) / 2 / decoded.extent
    between = (centers[1:] + centers[:-1]) / 2
    if len(centers) == 1:
        return np.array([0.0, 1.0])
    first, last = 2 * centers[0] - between[0], 2 * centers[-1] - between[-1]
    return np.clip(np.concatenate([[first], between, [last]]), 0, 1)


def _within(quad: np.ndarray, cuts: np.ndarray, margins: tuple[float, float]) -> np.ndarray:
    """Convert fractions of the crop, which has margins at both ends, to fractions of the quad, 0..1."""
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    ratio = (sides[1] + sides[3]) / max(sides[0] + sides[2], 1e-6)
    before, after = margins[0] * ratio, margins[1] * ratio
    return np.clip(cuts * (1 + before + after) - before, 0, 1)


def _quads(sides: np.ndarray) -> list[Quad]:
    """Return the quads between adjacent `sides` (n + 1, 2, 2), each a point on the upper and one on the lower edge."""
    points = [tuple(map(tuple, side)) for side in sides.tolist()]
    return [(left[0], right[0], right[1], left[1]) for left, right in pairwise(points)]
