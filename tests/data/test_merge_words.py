import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.data.labels import Region
from ppocr_jax.data.merge_words import merge_words_into_lines


def word(text: str, left: float, top: float, *, width: float = 40, height: float = 20, ignore: bool = False) -> Region:
    right, bottom = left + width, top + height
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return Region(points, text, ignore)


def turned(regions: list[Region], degrees: float) -> list[Region]:
    angle = np.deg2rad(degrees)
    matrix = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))], np.float32)
    return [Region(region.points @ matrix + (500, 500), region.text, region.ignore) for region in regions]


PAGE = [
    word("to", 60, 10),
    word("How", 10, 12),
    word("merge", 110, 9, height=24),
    word("Total", 300, 10),  # another column
    word("next", 10, 40),
    word("line", 58, 41),
    word("BIG", 105, 20, width=90, height=60),  # beside both lines
]


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, 265])
def test_words_of_one_row_become_a_line_in_any_direction(degrees: float) -> None:
    lines = merge_words_into_lines(turned(PAGE, degrees))
    assert [line.text for line in lines] == ["How to merge", "Total", "next line", "BIG"]
    expected = np.array([(10, 9), (150, 9), (150, 33), (10, 33)], np.float32)
    (expected_line,) = turned([Region(expected, "", False)], degrees)
    np.testing.assert_allclose(lines[0].points, expected_line.points, atol=3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_the_words_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [PAGE[i] for i in rng.permutation(len(PAGE))]
    lines = merge_words_into_lines(turned(shuffled, rng.uniform(0, 360)))
    assert sorted(line.text for line in lines) == ["BIG", "How to merge", "Total", "next line"]


def test_line_covers_its_words() -> None:
    rng = np.random.default_rng(0)
    words = [word("a", 45.0 * i, 20 + float(rng.uniform(-3, 3)), height=float(rng.uniform(16, 24))) for i in range(6)]
    (line,) = merge_words_into_lines(words)
    corners = np.concatenate([region.points for region in words])
    edges = np.roll(line.points, -1, axis=0) - line.points
    offsets = corners[:, None] - line.points[None]
    inward = edges[None, :, 0] * offsets[..., 1] - edges[None, :, 1] * offsets[..., 0]
    assert (inward >= -1e-1).all()


def test_ignored_words_join_ignored_words_only() -> None:
    words = [word("a", 0, 0), word("###", 50, 0, ignore=True), word("###", 100, 0, ignore=True), word("b", 150, 0)]
    lines = merge_words_into_lines(words)
    assert [(line.text, line.ignore) for line in lines] == [("a", False), ("###", True), ("b", False)]
    assert lines[1].points[:, 0].max() == pytest.approx(140)


def test_unknown_word_makes_the_line_unknown() -> None:
    (line,) = merge_words_into_lines([word("a", 0, 0), word("", 50, 0)])
    assert line.text == ""
    assert not line.ignore


def test_other_polygons_and_single_words_stay() -> None:
    curved = Region(np.array([(0, 0), (20, 5), (40, 0), (40, 20), (0, 20)], np.float32), "curved")
    single = word("b", 45, 0)
    assert merge_words_into_lines([curved, single]) == (curved, single)
    assert merge_words_into_lines([]) == ()
