"""Accuracy, normalized edit similarity and character error rate of recognized lines."""

from __future__ import annotations

from collections.abc import Sequence

from ppocr_jax.metrics.edit_distance import edit_distance, normalized_edit_distance

_EPSILON = 1e-5  # in PaddleOCR's denominators: no lines score 0, and n perfect lines score n / (n + 1e-5)


def recognition_score(
    predictions: Sequence[str],
    targets: Sequence[str],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
    alphanumeric_only: bool = False,
) -> dict[str, float]:
    """Scores of recognized lines (PaddleOCR release/2.6, `RecMetric`).

        accuracy = equal / (n + 1e-5)
        one_minus_ned = 1 - sum(distance / longer length) / (n + 1e-5)
        cer = sum(distance) / sum(target characters)

    PP-OCR's published figures ignore spaces and respect case.

    Args:
        predictions: recognized texts.
        targets: what they should be, in the same order.
        ignore_case: compare in lower case.
        ignore_space: compare without spaces.
        alphanumeric_only: compare letters a-z and digits only, in lower case (the protocol of English benchmarks).

    Returns:
        `accuracy`, `one_minus_ned`, `cer`, `cer_without_spaces` (0 is perfect, above 1 is possible) and `lines` (n).

    Raises:
        ValueError: the two sequences differ in length.
    """
    if len(predictions) != len(targets):
        raise ValueError(f"{len(predictions)} predictions for {len(targets)} targets")

    def comparable(text: str) -> str:
        if alphanumeric_only:
            text = "".join(c for c in text if c.isascii() and c.isalnum())
        if ignore_space:
            text = text.replace(" ", "")
        return text.lower() if ignore_case or alphanumeric_only else text

    pairs = [(comparable(p), comparable(t)) for p, t in zip(predictions, targets, strict=True)]
    n = len(pairs) + _EPSILON
    return {
        "accuracy": sum(p == t for p, t in pairs) / n,
        "one_minus_ned": 1.0 - sum(normalized_edit_distance(p, t) for p, t in pairs) / n,
        "cer": character_error_rate(pairs),
        "cer_without_spaces": character_error_rate([(p.replace(" ", ""), t.replace(" ", "")) for p, t in pairs]),
        "lines": float(len(pairs)),
    }


def character_error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Edits over target characters of (prediction, target) pairs; 0 where the targets hold no characters."""
    characters = sum(len(target) for _, target in pairs)
    return sum(edit_distance(prediction, target) for prediction, target in pairs) / characters if characters else 0.0
