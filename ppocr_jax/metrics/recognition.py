"""Accuracy, normalized edit similarity and character error rate of recognized lines; edit distance of two texts."""

from __future__ import annotations

from collections.abc import Sequence

_EPSILON = 1e-5  # added to denominators as in PaddleOCR: n perfect lines score n / (n + 1e-5), no lines 0


def recognition_score(
    predictions: Sequence[str],
    targets: Sequence[str],
    *,
    ignore_case: bool = False,
    ignore_space: bool = False,
    alphanumeric_only: bool = False,
) -> dict[str, float]:
    """Return scores of recognized lines (PaddleOCR release/2.6, `RecMetric`).

        accuracy = equal / (n + 1e-5)
        one_minus_ned = 1 - sum(distance / longer length) / (n + 1e-5)
        cer = sum(distance) / sum(target characters)

    PP-OCR's published figures ignore spaces and respect case.

    Args:
        predictions: Recognized texts.
        targets: True texts, in the same order.
        ignore_case: Compare in lower case.
        ignore_space: Compare without spaces.
        alphanumeric_only: Compare only letters a-z and digits, in lower case (the protocol of English benchmarks).

    Returns:
        `accuracy`, `one_minus_ned`, `cer`, `cer_without_spaces` (0 is perfect, above 1 is possible) and `lines` (n).

    Raises:
        ValueError: If the two sequences differ in length.
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
    """Return edits / target characters of (prediction, target) pairs; 0 if the targets have no characters."""
    characters = sum(len(target) for _, target in pairs)
    return sum(edit_distance(prediction, target) for prediction, target in pairs) / characters if characters else 0.0


def edit_distance(first: str, second: str) -> int:
    """Return the Levenshtein distance of two texts: the minimum number of insertions, deletions and substitutions.

    Myers' bit-vector recurrence (Hyyrö 2003): bit i of `rises` (`falls`) means that the distance grows (shrinks) by one
    from row i to row i + 1 of the current column, so a column costs a few operations on one Python integer.
    """
    if not first or not second:
        return len(first) + len(second)
    positions: dict[str, int] = {}
    for row, character in enumerate(first):
        positions[character] = positions.get(character, 0) | 1 << row
    all_rows = (1 << len(first)) - 1
    last_row = 1 << (len(first) - 1)

    rises, falls, distance = all_rows, 0, len(first)
    for character in second:
        equal = positions.get(character, 0)
        diagonal = (((equal & rises) + rises) ^ rises) | equal | falls
        rises_across = falls | (all_rows & ~(diagonal | rises))
        falls_across = rises & diagonal
        if rises_across & last_row:
            distance += 1
        elif falls_across & last_row:
            distance -= 1
        rises_across = rises_across << 1 | 1  # row 0 is the empty prefix, whose distance grows by one per column
        falls_across <<= 1
        rises = all_rows & (falls_across | ~(diagonal | rises_across))
        falls = all_rows & rises_across & diagonal
    return distance


def normalized_edit_distance(first: str, second: str) -> float:
    """Return the edit distance divided by the longer text's length, 0..1; 0 for two empty texts."""
    longer = max(len(first), len(second))
    return edit_distance(first, second) / longer if longer else 0.0
