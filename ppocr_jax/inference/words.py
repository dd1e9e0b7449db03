"""Where the words and characters of a line stand: from the recognizer's frames to quads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ppocr_jax.document.page import Char, Quad, Word
from ppocr_jax.geometry import split_quad
from ppocr_jax.inference.ctc_decode import Decoded


def line_words(decoded: Decoded, quad: np.ndarray) -> tuple[Word, ...]:
    """The words of a line with a quad each, and of each of their characters.

    CTC says at which frames a character was seen, not where it begins and ends. A character therefore reaches to the
    middle between its frames and those of its neighbors, spaces being neighbors too; the first and the last one reach
    as far outwards as inwards.

    Args:
        decoded: the text with its frames.
        quad: (4, 2) corners of the line, clockwise from where reading starts.
    """
    if not decoded.text:
        return ()
    quads = _quads(split_quad(quad, _cuts(decoded)))
    words: list[Word] = []
    start = 0
    for part in decoded.text.split(" "):
        end = start + len(part)
        if part:
            scores = decoded.char_confidences[start:end]
            chars = tuple(map(Char, part, quads[start:end], scores))
            words.append(Word(chars, _around(quads[start], quads[end - 1])))
        start = end + 1
    return tuple(words)


def _cuts(decoded: Decoded) -> np.ndarray:
    """(characters + 1,) bounds of the characters as fractions of the line, rising."""
    centers = (np.array(decoded.positions) + np.array(decoded.ends)) / 2 / decoded.extent
    between = (centers[1:] + centers[:-1]) / 2
    if len(centers) == 1:
        return np.array([0.0, 1.0])
    first, last = 2 * centers[0] - between[0], 2 * centers[-1] - between[-1]
    return np.clip(np.concatenate([[first], between, [last]]), 0, 1)


def _quads(sides: np.ndarray) -> list[Quad]:
    """Quads between neighboring `sides` (n + 1, 2, 2), each a point on the upper and one on the lower edge."""
    points = [tuple(map(tuple, side)) for side in sides.tolist()]
    return [(left[0], right[0], right[1], left[1]) for left, right in pairwise(points)]


def _around(first: Quad, last: Quad) -> Quad:
    return first[0], last[1], last[2], first[3]
