"""Character error rate of whole pages, independent of line order and of whether boxes are words or lines.

Targets and predictions that cover each other are joined into groups. In each group the texts of both sides are joined
row by row and the two strings are compared. Boxes without a counterpart count as deleted or inserted.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from ppocr_jax.metrics.detection import IGNORED_SHARE, Outline, Polygons, intersection_areas, tied, to_sound_polygons
from ppocr_jax.metrics.end_to_end import TextRegionLike
from ppocr_jax.metrics.recognition import edit_distance


@dataclass(frozen=True)
class PageTextCounts:
    """Counts of one image, without spaces: edits, and characters of the targets; `+` adds those of several."""

    edits: int = 0
    characters: int = 0

    def __add__(self, other: PageTextCounts) -> PageTextCounts:
        return PageTextCounts(self.edits + other.edits, self.characters + other.characters)


def page_text_counts(
    ground_truth: Sequence[TextRegionLike],
    predictions: Sequence[tuple[Outline, str]],
    *,
    ignore_case: bool = False,
) -> PageTextCounts:
    """Count the edits between the true and the recognized text of an image, without spaces.

    Texts are compared after Unicode's NFKC (full width to half width). A prediction with more than half of its area
    inside ignored regions is left out.

    Args:
        ground_truth: Labeled regions.
        predictions: (outline, text).
        ignore_case: Compare in lower case.
    """
    truth = to_sound_polygons([region.points for region in ground_truth])
    ignored = np.array([region.ignore for region in ground_truth], bool)
    found = to_sound_polygons([points for points, _ in predictions])
    inside = intersection_areas(found, truth[ignored]).sum(axis=1)
    kept = inside <= IGNORED_SHARE * shapely.area(found)
    targets, found = truth[~ignored], found[kept]
    target_texts = [_comparable(region.text, ignore_case) for region in ground_truth if not region.ignore]
    found_texts = [_comparable(text, ignore_case) for (_, text), keep in zip(predictions, kept, strict=True) if keep]

    ties = tied(targets, found, intersection_areas(targets, found))
    edits = 0
    for rows, columns in _groups(ties):
        edits += edit_distance(_joined_text(targets, target_texts, rows), _joined_text(found, found_texts, columns))
    return PageTextCounts(edits, sum(map(len, target_texts)))


def page_text_score(counts: PageTextCounts) -> dict[str, float]:
    """Return `cer_without_spaces`: edits / target characters; 0 if the targets have no characters."""
    return {"cer_without_spaces": counts.edits / counts.characters if counts.characters else 0.0}


def _comparable(text: str, ignore_case: bool) -> str:
    text = "".join(unicodedata.normalize("NFKC", text).split())
    return text.lower() if ignore_case else text


def _groups(ties: np.ndarray) -> list[tuple[list[int], list[int]]]:
    """Return the connected components of a bipartite graph, (row indices, column indices) each; also single nodes."""
    groups: list[tuple[list[int], list[int]]] = []
    rows_left, columns_left = set(range(ties.shape[0])), set(range(ties.shape[1]))
    while rows_left:
        row = rows_left.pop()
        rows, columns, waiting = [row], [], [row]
        while waiting:
            new_columns = set(np.flatnonzero(ties[waiting.pop()]).tolist()) & columns_left
            columns_left -= new_columns
            columns += new_columns
            new_rows = set(np.flatnonzero(ties[:, sorted(new_columns)].any(axis=1)).tolist()) & rows_left
            rows_left -= new_rows
            rows += new_rows
            waiting += new_rows
        groups.append((rows, columns))
    return [*groups, *(([], [column]) for column in columns_left)]


def _joined_text(polygons: Polygons, texts: Sequence[str], chosen: Sequence[int]) -> str:
    """Return the chosen boxes' texts, rows from top to bottom, each row from left to right."""
    left, top, _, bottom = shapely.bounds(polygons).T
    middle, height = (top + bottom) / 2, bottom - top
    rows: list[list[int]] = []
    for index in sorted(chosen, key=lambda i: (middle[i], i)):
        first = rows[-1][0] if rows else None
        if first is not None and middle[index] - middle[first] < 0.5 * min(height[index], height[first]):
            rows[-1].append(index)
        else:
            rows.append([index])
    return "".join(texts[i] for row in rows for i in sorted(row, key=lambda i: left[i]))
