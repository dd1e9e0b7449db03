import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.layout import ROW_TOLERANCE, paddleocr_order

CASES = json.loads((Path(__file__).parents[1] / "golden" / "pipeline.json").read_text(encoding="utf-8"))["sort"]


def quads_at(*corners: tuple[float, float]) -> np.ndarray:
    """Quads of 20 x 10 with their top-left corners there."""
    return np.array(corners, np.float32).reshape(-1, 1, 2) + np.array([[0, 0], [20, 0], [20, 10], [0, 10]], np.float32)


@pytest.mark.parametrize("case", CASES, ids=[str(len(case["boxes"])) for case in CASES])
def test_order_equals_the_reference(case):
    quads = np.array(case["boxes"], np.float32).reshape(-1, 4, 2)
    assert quads[paddleocr_order(quads)].tolist() == case["bubble0"]


@given(corners=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), max_size=40))
def test_order_is_a_permutation(corners):
    order = paddleocr_order(quads_at(*corners))
    assert sorted(order.tolist()) == list(range(len(corners)))


@given(
    rows=st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=8, unique=True), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
def test_clear_rows_are_read_from_top_to_bottom_and_left_to_right(rows, seed):
    """Rows 30 pixels apart whose boxes jump up and down by less than half the tolerance."""
    rng = np.random.default_rng(seed)
    corners = [(x, 30 * row + rng.uniform(0, ROW_TOLERANCE / 2)) for row, xs in enumerate(rows) for x in sorted(xs)]
    quads = quads_at(*corners)
    shuffled = rng.permutation(len(corners))
    order = paddleocr_order(quads[shuffled])
    assert shuffled[order].tolist() == list(range(len(corners)))


@given(corners=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 100)), min_size=2, max_size=40))
def test_no_neighbors_are_left_to_swap(corners):
    quads = quads_at(*corners)
    x, y = quads[paddleocr_order(quads), 0].T
    assert not ((np.abs(np.diff(y)) < ROW_TOLERANCE) & (np.diff(x) < 0)).any()


def test_the_tolerance_is_exclusive():
    assert paddleocr_order(quads_at((50, 0), (0, 9.5))).tolist() == [1, 0]
    assert paddleocr_order(quads_at((50, 0), (0, 10))).tolist() == [0, 1]


def test_a_box_moves_to_the_front_of_its_row():
    assert paddleocr_order(quads_at((60, 0), (40, 1), (20, 2))).tolist() == [2, 1, 0]


def test_bad_input_is_refused():
    assert paddleocr_order(np.zeros((0, 4, 2))).tolist() == []
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        paddleocr_order(np.zeros((1, 2)))
