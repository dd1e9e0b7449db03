"""Outlines that are sound and such as are not, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.data.outline_check import outline_problems

SIZE = (100, 200)  # height, width
SOUND = [[10, 10], [90, 12], [88, 30], [9, 28]]


@pytest.mark.parametrize(
    ("points", "kinds"),
    [
        (SOUND, []),
        (SOUND[::-1], ["counter-clockwise"]),
        ([SOUND[0], SOUND[2], SOUND[1], SOUND[3]], ["self-intersecting"]),
        ([[10, 10], [90, 30], [90, 10], [10, 30]], ["self-intersecting"]),  # a bow tie, whose signed area is 0
        ([[10, 10], [90, 10], [90, 10], [10, 10]], ["degenerate"]),
        ([[10, 10], [90, 90], [50, 50], [20, 20]], ["degenerate"]),
        ([[10, 10], [90, 10], [90, 10.9], [10, 10.9]], ["degenerate"]),  # 72 square pixels, but no pixel high
        ([[10, 10], [90, 10], [90, 11], [10, 11]], []),
        ([[10, 10], [90, 10], [10, 30], [10, 30]], []),  # a triangle
        (SOUND[1:] + SOUND[:1], ["turned"]),
        (SOUND[2:] + SOUND[:2], ["turned"]),
        (SOUND[3:] + SOUND[:3], ["turned"]),
        ([[10, 10], [30, 10], [30, 90], [10, 90]], []),  # a column of text
        ([[10, 10], [60, 50], [50, 60], [0, 20]], []),  # 39 degrees off the horizontal
        ([[20, 0], [60, 50], [50, 58], [10, 8]], ["turned"]),  # 51 degrees
        ([[0, 0], [200, 0], [200, 100], [0, 100]], []),  # the whole picture
        ([[-1, 50], [201, 50], [201, 101], [-1, 101]], []),  # rounding
        ([[-2, 50], [50, 50], [50, 60], [-2, 60]], ["partly-outside"]),
        ([[150, 50], [202, 50], [202, 60], [150, 60]], ["partly-outside"]),
        ([[50, 90], [80, 90], [80, 102], [50, 102]], ["partly-outside"]),
        ([[200, 50], [220, 50], [220, 60], [200, 60]], ["outside"]),
        ([[-30, -30], [-10, -30], [-10, 0], [-30, 0]], ["outside"]),
        ([[250, 60], [220, 60], [220, 50], [250, 50]], ["turned", "outside"]),
        ([[10, 10], [50, 5], [90, 10], [90, 30], [50, 25], [10, 30]], []),
        ([[10, 30], [50, 25], [90, 30], [90, 10], [50, 5], [10, 10]], ["counter-clockwise"]),
        ([[10, 10], [90, 30], [50, 5], [90, 10], [10, 30]], ["self-intersecting"]),
    ],
)
def test_outlines(points: list[list[float]], kinds: list[str]) -> None:
    assert outline_problems(np.array(points, np.float32), SIZE) == kinds


def test_places_are_not_judged_without_a_picture() -> None:
    assert outline_problems(np.array(SOUND, np.float32) + 1000, None) == []


@given(
    st.floats(-44, 44),
    st.floats(20, 60),
    st.floats(5, 15),
    st.integers(0, 3),
    st.booleans(),
)
def test_rotated_rectangles(angle: float, width: float, height: float, start: int, mirrored: bool) -> None:
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    radians = np.deg2rad(angle)
    turn = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    quad = np.roll(corners @ turn + [100, 50], -start, axis=0)
    expected = ["counter-clockwise"] if mirrored else ["turned"] if start else []
    assert outline_problems((quad[::-1] if mirrored else quad).astype(np.float32), SIZE) == expected
