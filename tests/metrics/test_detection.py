"""Detection metrics against the reference's counts, hand-made pages and brute force."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.metrics.detection import (
    DetectionCounts,
    area_counts,
    detection_counts,
    detection_score,
    iou_matrix,
    to_polygons,
    to_sound_polygons,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8"))["detection"]


@dataclass(frozen=True)
class Region:
    points: list
    ignore: bool = False


def box(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


@pytest.mark.parametrize("case", GOLDEN)
def test_counts_and_scores_equal_the_reference(case):
    total = DetectionCounts()
    for truth, found, expected in zip(case["gt"], case["pred"], case["per_image"], strict=True):
        regions = [Region(region["points"], region["ignore"]) for region in truth]
        counts = detection_counts(regions, [box["points"] for box in found])
        assert (counts.targets, counts.detections) == (expected["gtCare"], expected["detCare"])
        assert counts.recalled == counts.precise == expected["detMatched"]
        total += counts
    assert detection_score(total) == pytest.approx(case["total"], abs=1e-12)


def test_threshold_is_exclusive():
    """A detection of exactly half the box has IoU 0.5: no match; a little more is one."""
    truth = [Region(box(0, 0, 100, 20))]
    assert detection_counts(truth, [box(0, 0, 50, 20)]).recalled == 0
    assert detection_counts(truth, [box(0, 0, 51, 20)]).recalled == 1


def test_pairs_are_made_in_index_order_not_by_best_iou():
    """The first target takes the only box that would fit the second, better one: 1 match where 2 are possible."""
    truth = [Region(box(0, 0, 100, 20)), Region(box(10, 0, 100, 20))]
    found = [box(10, 0, 100, 20), box(-30, 0, 100, 20)]
    assert detection_counts(truth, found).recalled == 1
    assert detection_counts(truth[::-1], found).recalled == 2


def test_nothing_to_find_and_nothing_found_score_zero_without_error():
    assert detection_counts([], []) == DetectionCounts()
    assert area_counts([], []) == DetectionCounts()
    assert detection_score(DetectionCounts()) == {"precision": 0.0, "recall": 0.0, "hmean": 0.0}
    assert detection_counts([Region(box(0, 0, 9, 9))], []) == DetectionCounts(0, 1, 0, 0)
    assert area_counts([], [box(0, 0, 9, 9)]) == DetectionCounts(0, 0, 0, 1)


@pytest.mark.parametrize("count", [detection_counts, area_counts])
def test_detection_in_an_ignored_region_is_no_false_alarm(count):
    truth = [Region(box(0, 0, 100, 20), ignore=True), Region(box(0, 40, 100, 20))]
    inside, half_out, target = box(10, 0, 50, 20), box(50, 0, 100, 20), box(0, 40, 100, 20)
    assert count(truth, [inside, target]) == DetectionCounts(1, 1, 1, 1)
    assert count(truth, [half_out, target]).detections == 2  # exactly half inside: counts


def test_words_for_a_line_and_a_line_for_words_cost_nothing_by_area():
    line, words = box(0, 0, 100, 20), [box(0, 0, 48, 20), box(52, 0, 48, 20)]
    assert area_counts([Region(line)], words) == DetectionCounts(1, 1, 2, 2)
    assert area_counts([Region(word) for word in words], [line]) == DetectionCounts(2, 2, 1, 1)
    assert detection_counts([Region(line)], words).recalled == 0


def test_area_thresholds():
    line = [Region(box(0, 0, 100, 20))]
    assert area_counts(line, [box(0, 0, 81, 20)]).recalled == 1
    assert area_counts(line, [box(0, 0, 79, 20)]).recalled == 0
    assert area_counts(line, [box(0, 0, 100, 49)]).precise == 1
    assert area_counts(line, [box(0, 0, 100, 51)]).precise == 0


def test_crossing_outline_is_left_out_or_taken_as_its_hull():
    bow_tie = [[0, 0], [10, 10], [10, 0], [0, 10]]
    assert detection_counts([Region(bow_tie)], [box(0, 0, 10, 10)]) == DetectionCounts(0, 0, 0, 1)
    assert area_counts([Region(bow_tie)], [box(0, 0, 10, 10)]) == DetectionCounts(1, 1, 1, 1)
    assert to_sound_polygons([bow_tie])[0].area == pytest.approx(100)


def test_fewer_than_three_corners_are_refused():
    with pytest.raises(ValueError, match="at least three"):
        detection_counts([Region([[0, 0], [1, 1]])], [])


def test_iou_of_rectangles_equals_the_closed_form():
    rng = np.random.default_rng(0)
    corner, size = rng.uniform(0, 60, (2, 30, 2)), rng.uniform(1, 40, (2, 30, 2))
    low, high = corner, corner + size
    shared = np.clip(
        np.minimum(high[0][:, None], high[1][None]) - np.maximum(low[0][:, None], low[1][None]), 0, None
    ).prod(-1)
    expected = shared / (size[0].prod(-1)[:, None] + size[1].prod(-1)[None] - shared)
    outlines = [[box(*c, *s) for c, s in zip(corner[k], size[k], strict=True)] for k in range(2)]
    np.testing.assert_allclose(iou_matrix(to_polygons(outlines[0]), to_polygons(outlines[1])), expected, atol=1e-12)
