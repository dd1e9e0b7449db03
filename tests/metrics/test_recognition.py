"""Recognition metrics against the reference's figures and a plain edit-distance table."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.metrics.recognition import (
    character_error_rate,
    edit_distance,
    normalized_edit_distance,
    recognition_score,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8"))["recognition"]
OPTIONS = {
    "out": {"ignore_space": True},
    "out_keep_space": {"ignore_space": False},
    "out_filter": {"ignore_space": True, "alphanumeric_only": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_scores_equal_the_reference(name):
    score = recognition_score(GOLDEN["pred"], GOLDEN["gt"], **OPTIONS[name])
    assert score["accuracy"] == pytest.approx(GOLDEN[name]["acc"], abs=1e-12)
    assert score["one_minus_ned"] == pytest.approx(GOLDEN[name]["norm_edit_dis"], abs=1e-12)


def plain_edit_distance(first, second):
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        next_row = [i]
        for j, b in enumerate(second, 1):
            next_row.append(min(next_row[-1] + 1, row[j] + 1, row[j - 1] + (a != b)))
        row = next_row
    return row[-1]


few_letters = st.text("ab中😀", max_size=80)


@given(few_letters, few_letters)
def test_edit_distance_equals_the_plain_table(first, second):
    assert edit_distance(first, second) == plain_edit_distance(first, second)


def test_edit_distance_by_hand():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert normalized_edit_distance("", "") == 0
    assert normalized_edit_distance("ab", "abcd") == 0.5


def test_character_error_rate_with_and_without_spaces():
    score = recognition_score(["ab cd", "x"], ["abcd", "xyz w"])
    assert score["cer"] == pytest.approx((1 + 4) / 9)
    assert score["cer_without_spaces"] == pytest.approx((0 + 3) / 8)
    assert score["lines"] == 2
    assert character_error_rate([("abc", "")]) == 0


def test_case():
    assert recognition_score(["Total"], ["TOTAL"])["cer"] == pytest.approx(0.8)
    assert recognition_score(["Total"], ["TOTAL"], ignore_case=True)["cer"] == 0


def test_no_lines_score_no_accuracy():
    assert recognition_score([], [])["accuracy"] == 0


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 predictions for 1 targets"):
        recognition_score(["a", "b"], ["a"])
