"""The TIA warp: equal to the reference and to a least-squares solver, and points that follow their pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.data import tia
from ppocr_jax.data.tia import Warp

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "tia.npz")
SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(20, 64), st.integers(20, 700))
# The reference truncates gray levels, OpenCV rounds them. Before version 5 it also rounded positions to 1/32 pixel, and
# the image is noise.
GRAY_LEVELS = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 12

MOVEMENTS = {
    "distort": tia.distort,
    "bounded distort": lambda rng, size: tia.distort(rng, size, limit=0.2),
    "stretch": tia.stretch,
    "perspective": tia.perspective,
}


@pytest.mark.parametrize("case", range(3))
def test_warped_image_equals_the_reference(case: int) -> None:
    image = GOLDEN["image"]
    warp = Warp.between(GOLDEN[f"start{case}"], GOLDEN[f"end{case}"], image.shape[:2])
    difference = warp.image(image).astype(int) - GOLDEN[f"warped{case}"]
    assert difference.max() <= GRAY_LEVELS
    assert difference.min() >= 1 - GRAY_LEVELS
    assert difference.mean() == pytest.approx(0.5, abs=0.02)  # half a level is what truncation loses


def best_similarity(point: np.ndarray, anchors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Where the weighted least-squares similarity takes `point`, from a linear system in (a, b, x, y)."""
    weights = 1 / np.sqrt(((anchors - point) ** 2).sum(axis=1))
    rows, values = [], []
    for (x, y), target, weight in zip(anchors, targets, weights, strict=True):
        rows += [weight * np.array((x, -y, 1, 0)), weight * np.array((y, x, 0, 1))]
        values += [weight * target[0], weight * target[1]]
    a, b, shift_x, shift_y = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    x, y = point
    return np.array((a * x - b * y + shift_x, b * x + a * y + shift_y))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, count=st.integers(2, 9))
def test_the_grid_holds_least_squares_similarities(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    start, end = rng.uniform(0, 300, (2, count, 2))
    warp = Warp.between(start, end, (130, 270))
    for row in (0, 100):
        for column in (0, 100, 200):
            expected = best_similarity(np.array((column, row)), end, start)
            np.testing.assert_allclose((warp.x[row, column], warp.y[row, column]), expected, atol=1e-2, rtol=1e-4)


def test_between_the_grid_it_is_bilinear() -> None:
    start, end = np.random.default_rng(0).uniform(0, 200, (2, 5, 2))
    x = Warp.between(start, end, (201, 201)).x
    shift = x - np.arange(201)
    corners = shift[[0, 0, 100, 100], [0, 100, 0, 100]]
    assert shift[25, 50] == pytest.approx(np.dot(corners, (0.375, 0.375, 0.125, 0.125)), abs=1e-3)


def test_a_control_point_on_the_grid_is_met_exactly() -> None:
    start = np.array([(7.0, 3), (60, 9), (150, 40), (90, 70)])
    end = np.array([(0.0, 0), (100, 0), (160, 50), (100, 100)])  # the last one too, which the reference leaves out
    warp = Warp.between(start, end, (120, 180))
    for index in (0, 1, 3):
        column, row = end[index].astype(int)
        np.testing.assert_allclose((warp.x[row, column], warp.y[row, column]), start[index], atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(size=st.tuples(st.integers(1, 310), st.integers(1, 310)))
def test_points_that_stay_keep_the_image(size: tuple[int, int]) -> None:
    height, width = size
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    corners = np.array([(0.0, 0), (width, 0), (width, height), (0, height)])
    warp = Warp.between(corners, corners, size)
    np.testing.assert_array_equal(warp.image(image), image)
    np.testing.assert_allclose(warp.columns(np.arange(width)), np.arange(width), atol=1e-3)


def test_bad_control_points() -> None:
    points = np.zeros((3, 2))
    with pytest.raises(ValueError, match="control points"):
        Warp.between(points[:1], points[:1], (9, 9))
    with pytest.raises(ValueError, match="3 and 2"):
        Warp.between(points, points[:2], (9, 9))


@pytest.mark.parametrize("name", MOVEMENTS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_columns_follow_the_pixels(name: str, seed: int) -> None:
    """Discs halfway up the line, in turn red, green and blue, lie where `columns` says after the warp."""
    size, xs = (40, 400), np.arange(30, 400, 40)
    image = np.zeros((*size, 3), np.uint8)
    for i, x in enumerate(xs):
        cv2.circle(image, (int(x), 19), 3, (255 * np.eye(3)[i % 3]).tolist(), -1)
    warp = MOVEMENTS[name](np.random.default_rng(seed), size)
    out, errors = warp.image(image), []
    for i, x in enumerate(warp.columns(xs)):
        low, high = int(x) - 12, int(x) + 13
        mass = out[:, max(0, low) : high, i % 3].sum(axis=0, dtype=float)
        if mass.sum() > 255 * 15 and low >= 0 and high <= size[1]:  # neither cut nor lost
            errors.append(abs(np.average(np.arange(low, high), weights=mass) - x))
    assert len(errors) >= 5
    assert np.median(errors) < 0.3
    assert max(errors) < 1.5


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_columns_keep_their_order_and_stay_inside(seed: int, size: tuple[int, int]) -> None:
    for movement in MOVEMENTS.values():
        moved = movement(np.random.default_rng(seed), size).columns(np.linspace(-5, size[1] + 5, 30))
        assert (np.diff(moved) >= 0).all()
        assert moved[0] >= 0
        assert moved[-1] <= size[1] - 1


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Collects the control points of the warps that a test draws."""
    points: list[tuple[np.ndarray, np.ndarray]] = []
    monkeypatch.setattr(Warp, "between", lambda start, end, size: points.append((start, end)))
    return points


CORNERS = np.array([(0, 0), (320, 0), (320, 32), (0, 32)])
INWARDS = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])


def test_distort_moves_by_up_to_a_third_of_a_part(drawn) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        tia.distort(rng, (32, 320), segments=4)
    starts, ends = (np.array(points) for points in zip(*drawn, strict=True))
    np.testing.assert_array_equal(starts[0, :4], CORNERS)
    np.testing.assert_array_equal(starts[0, 4:], [(x, y) for x in (80, 160, 240) for y in (0, 32)])
    inwards = (ends - starts)[:, :4] * INWARDS
    assert set(np.unique(inwards)) == set(range(26))  # 320 // 4 // 3 = 26
    anyhow = (ends - starts)[:, 4:]
    assert set(np.unique(anyhow)) == {i - 13 for i in range(26)}


def test_stretch_moves_cuts_sideways_and_together(drawn) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        tia.stretch(rng, (32, 320), segments=5)
    starts, ends = (np.array(points) for points in zip(*drawn, strict=True))
    shifts = ends - starts
    np.testing.assert_array_equal(starts[0, 4:], [(x, y) for x in (64, 128, 192, 256) for y in (0, 32)])
    assert not shifts[:, :4].any()
    assert not shifts[..., 1].any()
    np.testing.assert_array_equal(shifts[:, 4::2], shifts[:, 5::2])
    assert set(np.unique(shifts[:, 4:, 0])) == {i - 25.5 for i in range(51)}  # 4 * 64 // 5 = 51


def test_perspective_moves_corners_up_and_down(drawn) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        tia.perspective(rng, (32, 320))
    starts, ends = (np.array(points) for points in zip(*drawn, strict=True))
    np.testing.assert_array_equal(starts[0], CORNERS)
    inwards = (ends - starts) * INWARDS
    assert not inwards[..., 0].any()
    assert set(np.unique(inwards[..., 1])) == set(range(16))


def test_the_number_of_parts_is_three_to_six(drawn) -> None:
    rng = np.random.default_rng(0)
    for movement in (tia.distort, tia.stretch):
        drawn.clear()
        for _ in range(60):
            movement(rng, (32, 320))
        assert {(len(start) - 4) // 2 + 1 for start, _ in drawn} == {3, 4, 5, 6}


def test_a_limit_keeps_long_lines_in_the_image() -> None:
    """Rows from a tenth to nine tenths of the height should be left in every column."""
    size, rng = (32, 320), np.random.default_rng(0)
    lost = {
        limit: max(
            max(27.9 - w.y.max(axis=0).min(), w.y.min(axis=0).max() - 3.1)
            for w in (tia.distort(rng, size, limit=limit) for _ in range(100))
        )
        for limit in (None, 0.2)
    }
    assert lost[0.2] < 2
    assert lost[None] > 12
