"""End-to-end metrics against the reference's printed figures and hand-made pages."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ppocr_jax.metrics.end_to_end import EndToEndCounts, end_to_end_counts, end_to_end_score
from ppocr_jax.metrics.page_text import PageTextCounts, page_text_counts, page_text_score

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8"))["end_to_end"]


@dataclass(frozen=True)
class Region:
    points: list
    text: str
    ignore: bool = False


def box(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


@pytest.mark.parametrize("setting", ["keep_space", "ignore_space"])
@pytest.mark.parametrize("case", GOLDEN)
def test_figures_equal_the_reference(case, setting):
    total = EndToEndCounts()
    for image in case["images"]:
        # The reference's converter turns ideographic spaces into plain ones before its metric sees the label.
        regions = [
            Region(r["points"], r["transcription"].replace("\u3000", " "), r["transcription"] == "###")
            for r in image["gt"]
        ]
        lines = [(line["points"], line["transcription"]) for line in image["pred"] if line["score"] >= 0.5]
        total += end_to_end_counts(regions, lines, ignore_space=setting == "ignore_space")
    score = end_to_end_score(total)
    assert [
        f"hit, dt_count, gt_count {total.hits} {total.detections} {total.targets}",
        f"character_acc: {score['character_accuracy']:.2%}",
        f"avg_edit_dist_field: {score['edits_per_line']:.2f}",
        f"avg_edit_dist_img: {score['edits_per_image']:.2f}",
        f"precision: {score['precision']:.2%}",
        f"recall: {score['recall']:.2%}",
        f"fmeasure: {score['hmean']:.2%}",
    ] == case["result"][setting]


def test_best_overlap_wins_and_half_overlap_is_enough():
    region = [Region(box(0, 0, 100, 20), "ab")]
    counts = end_to_end_counts(region, [(box(0, 0, 80, 20), "xy"), (box(0, 0, 95, 20), "ab")])
    assert (counts.hits, counts.detections, counts.targets) == (1, 2, 1)
    assert end_to_end_counts(region, [(box(0, 0, 50, 20), "ab")]).hits == 1
    assert end_to_end_counts(region, [(box(0, 0, 49, 20), "ab")]).hits == 0


def test_full_width_case_and_spaces():
    region, line = [Region(box(0, 0, 100, 20), "ＡＢ：c d")], [(box(0, 0, 100, 20), "ab:cd")]
    assert end_to_end_counts(region, line).hits == 0
    assert end_to_end_counts(region, line, ignore_case=True).hits == 0
    assert end_to_end_counts(region, line, ignore_case=True, ignore_space=True).hits == 1


def test_ignored_region_counts_for_nothing():
    ignored = [Region(box(0, 0, 100, 20), "###", ignore=True)]
    assert end_to_end_counts(ignored, [(box(0, 0, 90, 20), "junk")]) == EndToEndCounts(images=1)


def test_no_image_scores_zero():
    assert end_to_end_score(EndToEndCounts())["hmean"] == 0


@pytest.mark.parametrize("split_side", ["labels", "predictions"])
def test_page_text_forgives_splitting(split_side):
    line, words = [(box(0, 0, 100, 20), "Hello World")], [(box(52, 0, 48, 20), "World"), (box(0, 0, 48, 20), "Hello")]
    truth, found = (words, line) if split_side == "labels" else (line, words)
    counts = page_text_counts([Region(*item) for item in truth], found)
    assert counts == PageTextCounts(0, 10)
    assert end_to_end_counts([Region(*item) for item in truth], found).hits == 0


def test_page_text_reads_rows_of_a_group_in_order():
    truth = [Region(box(0, 0, 100, 20), "one"), Region(box(0, 25, 100, 20), "two")]
    assert page_text_counts(truth, [(box(0, 0, 100, 45), "one two")]).edits == 0


def test_page_text_counts_misses_false_alarms_and_errors():
    truth = [Region(box(0, 0, 100, 20), "Ａbc"), Region(box(0, 40, 100, 20), "missed")]
    found = [(box(0, 0, 100, 20), "aXc"), (box(0, 200, 100, 20), "alarm")]
    assert page_text_counts(truth, found) == PageTextCounts(2 + 6 + 5, 9)
    assert page_text_counts(truth, found, ignore_case=True).edits == 1 + 6 + 5
    assert page_text_score(PageTextCounts(3, 12)) == {"cer_without_spaces": 0.25}
    assert page_text_score(PageTextCounts(5, 0)) == {"cer_without_spaces": 0.0}


def test_page_text_leaves_out_what_lies_in_ignored_regions():
    truth = [Region(box(0, 0, 100, 20), "###", ignore=True), Region(box(0, 40, 100, 20), "ab")]
    assert page_text_counts(truth, [(box(0, 0, 90, 20), "junk"), (box(0, 40, 100, 20), "ab")]) == PageTextCounts(0, 2)
