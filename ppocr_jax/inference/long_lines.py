"""Lines wider than the recognizer takes at once: read through windows, joined at the frames both see as blank."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.charset import BLANK

OVERLAP = 160
"""Pixels two windows share at least: a few characters at a height of 32 or 48, and what they need around them."""


def window_starts(length: int, *, width: int, overlap: int = OVERLAP) -> list[int]:
    """Where windows of `width` pixels begin that cover `length` pixels.

    All but the last are as far apart as their overlap allows; the last one ends with the line. Every start is a
    multiple of 32 pixels, of which any recognizer makes a whole number of frames.

    Raises:
        ValueError: windows that narrow cannot overlap so far.
    """
    step = (width - overlap) // 32 * 32
    if step < 32:
        raise ValueError(f"windows of {width} pixels are too narrow to overlap by {overlap}")
    last = max(0, -(-(length - width) // 32) * 32)
    return [*range(0, last, step), last]


def join_windows(probabilities: Sequence[np.ndarray], starts: Sequence[int], *, width: int) -> np.ndarray:
    """Probabilities (T, K) of a whole line from those of its windows.

    Between two windows the seam is where both are surest that no character is seen: there CTC starts anew, so that none
    is split or read twice. Among equals it is the frame nearest to the middle of what they share.

    Args:
        probabilities: (T', K) of each window.
        starts: their left ends, pixels.
        width: of each window, pixels.
    """
    frame = width / len(probabilities[0])
    firsts = [round(start / frame) for start in starts]
    parts, begin = [], 0
    for k in range(1, len(probabilities)):
        left, right = probabilities[k - 1], probabilities[k]
        shared = firsts[k - 1] + len(left) - firsts[k]
        blank = left[len(left) - shared :, BLANK] * right[:shared, BLANK]
        # Frames near an end of a window lack their surroundings on one side: the quarters at both ends do not count.
        inner = np.arange(shared // 4, max(shared - shared // 4, shared // 4 + 1))
        distance = np.abs(inner - shared / 2) / shared
        seam = firsts[k] + int(inner[np.argmax(blank[inner] - 0.01 * distance)])
        parts.append(left[begin - firsts[k - 1] : seam - firsts[k - 1]])
        begin = seam
    parts.append(probabilities[-1][begin - firsts[-1] :])
    return np.concatenate(parts)
