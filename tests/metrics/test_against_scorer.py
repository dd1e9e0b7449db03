"""Agreement with an independent scorer, written without this package and without Shapely; its answers are in golden/.

Where the two definitions differ by design, the pages are made so that the difference is nil or exactly known:

- pairs: ours go by index (detection) or falling IoU (end to end), the scorer's by falling IoU. Where the boxes of each
  side are disjoint, a box has at most one partner with IoU over 0.5, and the order cannot matter.
- a prediction in an ignored region: end to end, ours is left out when its IoU is at least 0.5, the scorer's when more
  than half of it lies inside, so small pieces inside an ignored region count as false alarms in ours alone.
- the scorer rounds to four digits.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.metrics.detection import DetectionCounts, area_counts, detection_counts, detection_score
from ppocr_jax.metrics.end_to_end import EndToEndCounts, end_to_end_counts, end_to_end_score
from ppocr_jax.metrics.page_text import PageTextCounts, page_text_counts, page_text_score

GOLDEN = Path(__file__).parents[1] / "golden" / "scorer.json"

WORDS = ["Total", "12.50", "ＮＯ：8", "中文", "Invoice", "a", "x y", "RM 3"]
# Name of a set of twelve pages -> first seed, how far corners move (pixels), small pieces in ignored regions.
SETS = {
    "apart": (0, 4, True),
    "overlapping": (0, 45, True),
    "texts": (100, 4, False),
    "characters, apart": (200, 4, True),
    "characters, overlapping": (200, 45, True),
    "pieces": (300, 4, True),
}
NAMES = {"precision": "p", "recall": "r", "hmean": "h"}


@dataclass(frozen=True)
class Region:
    points: list
    text: str
    ignore: bool


@pytest.fixture(scope="module")
def answers() -> dict:
    """What the scorer says of each set of pages."""
    return json.loads(GOLDEN.read_text())


def quad(rng, box, jitter):
    left, top, right, bottom = box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)
    return (corners + [[rng.uniform(-jitter, jitter) for _ in range(2)] for _ in range(4)]).tolist()


def made_up_page(seed, *, jitter, pieces):
    """Labels in rows, and predictions: found, split in two, misread, missed and false ones.

    Returns labels, (outline, text) predictions, and how many predictions are small pieces inside an ignored region.
    """
    rng = random.Random(seed)
    labels, predictions, small = [], [], 0
    for row in range(12):
        for column in range(3):
            left, top, right, bottom = box = column * 200 + 20, row * 60 + 20, column * 200 + 180, row * 60 + 50
            kind = rng.choice(["found", "found", "found", "split", "misread", "missed", "false", "ignored", "pieces"])
            text = rng.choice(WORDS)
            if kind == "pieces" and not pieces:
                continue
            if kind != "false":
                ignored = kind in ("ignored", "pieces")
                labels.append(Region(quad(rng, box, jitter), "###" if ignored else text, ignored))
            if kind in ("found", "misread", "ignored", "false"):
                read = text if kind == "found" else rng.choice(WORDS)
                predictions.append((quad(rng, box, jitter), read))
            elif kind == "split":
                middle = rng.uniform(left + 40, right - 40)
                predictions.append((quad(rng, (left, top, middle - 10, bottom), jitter), text[:1]))
                predictions.append((quad(rng, (middle + 10, top, right, bottom), jitter), text[1:]))
            elif kind == "pieces":
                small += 1
                predictions.append((quad(rng, (left + 10, top + 8, left + 50, bottom - 8), 1), "junk"))
    rng.shuffle(predictions)
    return labels, predictions, small


def pages_of(name):
    first, jitter, pieces = SETS[name]
    return [made_up_page(first + k, jitter=jitter, pieces=pieces) for k in range(12)]


def our_detection(count, pages):
    return sum((count(labels, [p for p, _ in predictions]) for labels, predictions, _ in pages), DetectionCounts())


def our_end_to_end(pages, **options):
    return sum((end_to_end_counts(labels, found, **options) for labels, found, _ in pages), EndToEndCounts())


def assert_same(ours, theirs):
    assert {theirs_name: ours[name] for name, theirs_name in NAMES.items()} == pytest.approx(theirs, abs=5.1e-5)


def test_detection_one_to_one_and_by_area(answers):
    pages = pages_of("apart")
    theirs = answers["apart"]
    assert 0.3 < theirs["det"]["h"] < 0.95
    assert_same(detection_score(our_detection(detection_counts, pages)), theirs["det"])
    assert_same(detection_score(our_detection(area_counts, pages)), theirs["det_area"])


def test_by_area_where_boxes_overlap(answers):
    pages = pages_of("overlapping")
    theirs = answers["overlapping"]
    assert 0.1 < theirs["det_area"]["h"] < 0.95
    assert_same(detection_score(our_detection(area_counts, pages)), theirs["det_area"])


@pytest.mark.parametrize("case", ["cs", "ci"])
def test_end_to_end(answers, case):
    pages = pages_of("texts")
    theirs = answers["texts"]
    assert 0.2 < theirs["e2e"]["cs_keep"]["h"] < 0.9
    for ignore_space, setting in ((False, "keep"), (True, "nosp")):
        counts = our_end_to_end(pages, ignore_case=case == "ci", ignore_space=ignore_space)
        assert_same(end_to_end_score(counts), theirs["e2e"][f"{case}_{setting}"])


@pytest.mark.parametrize("case", ["cs", "ci"])
@pytest.mark.parametrize("name", ["characters, apart", "characters, overlapping"])
def test_character_error_rate(answers, case, name):
    pages = pages_of(name)
    theirs = answers[name]["cer"][case]
    counts = [page_text_counts(labels, found, ignore_case=case == "ci") for labels, found, _ in pages]
    assert 0.05 < theirs < 1.5
    assert page_text_score(sum(counts, PageTextCounts()))["cer_without_spaces"] == pytest.approx(theirs, abs=5.1e-5)


def test_small_pieces_in_ignored_regions_are_the_only_difference_end_to_end(answers):
    pages = pages_of("pieces")
    theirs = answers["pieces"]["e2e"]["cs_keep"]
    ours = our_end_to_end(pages)
    small = sum(small for *_, small in pages)
    assert small > 0
    assert ours.hits / ours.targets == pytest.approx(theirs["r"], abs=5.1e-5)
    assert ours.hits / (ours.detections - small) == pytest.approx(theirs["p"], abs=5.1e-5)
