"""From the recognizer's probabilities per frame to text: greedy CTC decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ppocr_jax.charset import BLANK, Charset


@dataclass(frozen=True)
class Decoded:
    """The text of one line.

    Attributes:
        text: its characters.
        confidence: mean of `char_confidences`; 0 where there is no text.
        positions: the frame, 0..T-1, at which each character begins.
        char_confidences: probability of each character at that frame, 0..1.
        ends: the frame after each character's last one.
        extent: frames that the line's picture fills, the others being padding; all T, unless the caller knows better.
    """

    text: str
    confidence: float
    positions: tuple[int, ...]
    char_confidences: tuple[float, ...]
    ends: tuple[int, ...] = ()
    extent: float = 0.0


def ctc_greedy_decode(probabilities: np.ndarray, charset: Charset) -> list[Decoded]:
    """Decode a batch: the likeliest class of every frame, runs of one class merged, blanks left out.

    Args:
        probabilities: softmax output (N, T, K), class 0 the blank.
        charset: the K - 1 characters.

    Raises:
        ValueError: not three axes, or K is not the charset's number of classes.
    """
    if probabilities.ndim != 3:
        raise ValueError(f"probabilities must be (lines, frames, classes), got shape {probabilities.shape}")
    if probabilities.shape[2] != charset.num_classes:
        raise ValueError(
            f"the recognizer gives {probabilities.shape[2]} classes, the charset has {charset.num_classes} "
            "(characters and the blank); use the charset the model was trained with"
        )
    ids = probabilities.argmax(axis=2)
    kept = ids != BLANK
    kept[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    best = np.take_along_axis(probabilities, ids[..., None], axis=2)[..., 0]
    return [_line(ids[i], best[i], np.flatnonzero(kept[i]), charset) for i in range(len(ids))]


def _line(ids: np.ndarray, best: np.ndarray, frames: np.ndarray, charset: Charset) -> Decoded:
    confidences = best[frames]
    changes = np.append(np.flatnonzero(ids[1:] != ids[:-1]) + 1, len(ids))
    ends = changes[np.searchsorted(changes, frames, side="right")]
    return Decoded(
        charset.decode(ids[frames].tolist()),
        float(confidences.mean()) if len(frames) else 0.0,
        tuple(frames.tolist()),
        tuple(confidences.tolist()),
        tuple(ends.tolist()),
        float(len(ids)),
    )
