"""Levenshtein distance: the fewest insertions, deletions and substitutions that turn one text into another."""

from __future__ import annotations


def edit_distance(first: str, second: str) -> int:
    """Levenshtein distance of two texts, in characters.

    Myers' bit-vector recurrence (Hyyrö 2003): bit i of `rises` (`falls`) says that the distance grows (shrinks) by one
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
        rises_across = rises_across << 1 | 1  # row 0 is the empty prefix: it rises with every column
        falls_across <<= 1
        rises = all_rows & (falls_across | ~(diagonal | rises_across))
        falls = all_rows & rises_across & diagonal
    return distance


def normalized_edit_distance(first: str, second: str) -> float:
    """Edit distance over the longer text's length, 0..1; 0 for two empty texts."""
    longer = max(len(first), len(second))
    return edit_distance(first, second) / longer if longer else 0.0
