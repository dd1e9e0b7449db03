"""Reading order of whole pages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.layout import layout_order


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def turned(quads: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return quads @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


RECEIPT = np.stack(
    [quad(60, 0, 300, 20)]
    + [
        q
        for i in range(8)
        for q in (quad(0, 40 + 30 * i, 150 + 9 * i, 60 + 30 * i), quad(400, 39 + 30 * i, 450, 61 + 30 * i))
    ]
)
LETTER = np.stack(
    [quad(100, 0, 700, 30)]
    + [quad(0, 60 + 25 * i, 380 - 30 * (i == 4), 80 + 25 * i) for i in range(5)]
    + [quad(420, 62 + 25 * i, 800, 82 + 25 * i) for i in range(5)]
    + [quad(0, 220, 790, 240)]
    + [quad(0, 260 + 25 * i, 380, 280 + 25 * i) for i in range(3)]
    + [quad(420, 260 + 25 * i, 800 - 100 * (i == 2), 280 + 25 * i) for i in range(3)]
)
NEWSPAPER = np.stack(
    [quad(100, 0, 1100, 30)]
    + [quad(0, 62 + 25 * i, 380 - 40 * (i % 2), 82 + 25 * i) for i in range(12)]
    + [quad(420 * c, 60 + 25 * i, 420 * c + 380, 80 + 25 * i) for c in (1, 2) for i in range(4)]
    + [quad(420, 180, 1200, 200)]  # a headline above two of the three columns
    + [quad(420 * c, 220 + 25 * i, 420 * c + 370, 240 + 25 * i) for c in (1, 2) for i in range(6 - c)]
)


@pytest.mark.parametrize("degrees", [-90, -60, -45, -8, -3, 0, 3, 8, 45, 60, 135, 180])
@pytest.mark.parametrize("page", [RECEIPT, LETTER, NEWSPAPER], ids=["rows of cells", "columns", "three columns"])
def test_rows_and_columns_however_skewed(page: np.ndarray, degrees: float):
    shuffled = np.random.default_rng(0).permutation(len(page))
    order = layout_order(turned(page, degrees)[shuffled])
    assert shuffled[order].tolist() == list(range(len(page)))


def test_vertical_lines_from_right_to_left():
    columns = np.stack([quad(300 - 40 * i, 0, 320 - 40 * i, 400 - 20 * i) for i in range(6)])
    assert layout_order(columns[::-1]).tolist() == [5, 4, 3, 2, 1, 0]


def test_high_and_low_letters_share_a_row():
    page = np.stack([quad(0, 10, 100, 22), quad(120, 0, 200, 34), quad(220, 12, 300, 26), quad(0, 40, 100, 52)])
    assert layout_order(page).tolist() == [0, 1, 2, 3]


def test_no_lines():
    assert layout_order(np.zeros((0, 4, 2))).tolist() == []


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(n, 4, 2\)"):
        layout_order(np.zeros((2, 4)))


corners = st.tuples(st.floats(0, 1000), st.floats(0, 1000), st.floats(1, 500), st.floats(1, 50))


# Boxes that begin or lie at the same place may come in either order.
places = tuple(lambda c, i=i, part=part: round(c[i] + part * c[i + 2], 3) for i in (0, 1) for part in (0, 0.5, 1))


@given(st.lists(corners, min_size=1, max_size=30, unique_by=places), st.randoms(use_true_random=False))
def test_a_permutation_that_does_not_depend_on_the_order_of_the_boxes(boxes, random):
    quads = np.stack([quad(x, y, x + w, y + h) for x, y, w, h in boxes])
    order = layout_order(quads)
    assert sorted(order.tolist()) == list(range(len(quads)))
    shuffled = random.sample(range(len(quads)), len(quads))
    again = layout_order(quads[shuffled])
    np.testing.assert_array_equal(quads[order], quads[shuffled][again])
