"""RandAugment: strengths by hand, against Pillow, and points that follow."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ppocr_jax.data import rand_augment
from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.rand_augment import OPERATIONS, Chain, RandAugment

SEEDS = st.integers(0, 2**32 - 1)
NOWHERE = np.empty((0, 2))
LINE = np.random.default_rng(0).integers(0, 256, (48, 192, 3), np.uint8)
RAMP = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(4, axis=0)
GEOMETRIC = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")


def changed(name: str, image: np.ndarray, seed: int = 0, magnitude: int = 5) -> np.ndarray:
    return OPERATIONS[name](np.random.default_rng(seed), image, NOWHERE, magnitude)[0]


def test_the_paper_has_fourteen_operations() -> None:
    assert len(OPERATIONS) == 14


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("size", [(1, 1), (5, 90), (48, 192)])
def test_size_and_input_stay(name: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    before = image.copy()
    for magnitude in (1, 5, 10):
        out = changed(name, image, magnitude=magnitude)
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)


def test_levels_by_hand() -> None:
    np.testing.assert_array_equal(changed("invert", LINE), 255 - LINE)
    np.testing.assert_array_equal(changed("solarize", RAMP), np.where(RAMP < 128, RAMP, 255 - RAMP))
    np.testing.assert_array_equal(changed("posterize", RAMP), RAMP // 64 * 64)
    narrow = (RAMP // 2 + 40).astype(np.uint8)
    stretched = changed("autocontrast", narrow)
    assert (stretched.min(), stretched.max()) == (0, 255)
    np.testing.assert_array_equal(changed("equalize", narrow), np.array(ImageOps.equalize(Image.fromarray(narrow))))


def test_enhancers_go_either_way_by_nine_tenths_of_half() -> None:
    brightness = {int(changed("brightness", np.full((9, 9, 3), 100, np.uint8), seed)[0, 0, 0]) for seed in range(12)}
    assert brightness == {55, 145}
    two = np.full((8, 8, 3), 80, np.uint8)
    two[:4] = 120
    contrast = {tuple(changed("contrast", two, seed)[[0, 7], 0, 0].tolist()) for seed in range(12)}
    assert contrast == {(111, 89), (129, 71)}
    red = np.full((9, 9, 3), (200, 100, 100), np.uint8)
    spread = {int(np.ptp(changed("color", red, seed)[0, 0].astype(int))) for seed in range(12)}
    assert spread == {55, 145}
    np.testing.assert_array_equal(changed("color", two), two)  # gray has no color to change
    edges = [np.abs(np.diff(changed("sharpness", LINE, seed).astype(int), axis=1)).mean() for seed in range(12)]
    before = np.abs(np.diff(LINE.astype(int), axis=1)).mean()
    assert {edge > before for edge in edges} == {True, False}


def test_translations_fill_with_gray() -> None:
    image = np.full((40, 331, 3), 9, np.uint8)
    image[:, 150:160] = 250
    places = set()
    for seed in range(12):
        out = changed("translate_x", image, seed, magnitude=10)[20, :, 0].astype(int)
        left = int(np.flatnonzero(out == 250)[0]) if (out == 250).any() else None
        places.add(left)
        assert (out == 128).sum() == 150
    assert places == {0, 300}
    flat = np.full((331, 8, 3), 9, np.uint8)
    rows = {tuple(np.flatnonzero(changed("translate_y", flat, seed, 10)[:, 4, 0] == 128)[[0, -1]]) for seed in range(9)}
    assert rows == {(0, 149), (181, 330)}


def test_rotation_equals_pillows() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8), (0, 0), 3)
    expected = Image.fromarray(image).rotate(15, resample=Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))
    for seed in range(5):  # always the same way
        np.testing.assert_allclose(changed("rotate", image, seed).astype(int), np.array(expected).astype(int), atol=1)


@pytest.mark.parametrize("name", GEOMETRIC)
@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_points_follow_the_pixels(name: str, seed: int) -> None:
    points = np.array([(x, y) for x in range(20, 190, 30) for y in (12, 24, 36)], np.float64)
    image = np.zeros((48, 192, 3), np.uint8)
    for x, y in points.astype(int):
        cv2.circle(image, (int(x), int(y)), 2, (255, 255, 255), -1)
    out, moved = OPERATIONS[name](np.random.default_rng(seed), image, points, 5)
    white = np.where(out > 140, out, 0)[..., 0].astype(float)  # the gray around the image does not count
    found = 0
    for x, y in moved:
        if 5 < x < 186 and 5 < y < 42:
            left, top = int(x) - 4, int(y) - 4
            mass = white[top : top + 10, left : left + 10]
            centroid = np.array(((mass.sum(0) @ np.arange(10)), (mass.sum(1) @ np.arange(10)))) / mass.sum()
            np.testing.assert_allclose(centroid, (x - left, y - top), atol=0.7)
            found += 1
    assert found >= 6


def test_characters_that_leave_the_image_are_nan() -> None:
    centers = np.linspace(5, 186, 40)
    augmentation = RandAugment(probability=1.0, count=1, operations=("translate_x",))
    shift = 192 * 150 / 331 / 2
    for seed in range(4):
        out, moved = augmentation.with_points(np.random.default_rng(seed), LINE, centers)
        sign = 1 if np.isnan(moved[-1]) else -1
        expected = centers + sign * shift
        inside = (expected >= 0) & (expected <= 191)
        np.testing.assert_array_equal(np.isfinite(moved), inside)
        np.testing.assert_allclose(moved[inside], expected[inside])
        np.testing.assert_array_equal(out, augmentation(np.random.default_rng(seed), LINE))


def test_operations_are_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []

    def stub(name: str):
        return lambda rng, image, points, magnitude: (names.append(name) or image, points)

    monkeypatch.setattr(rand_augment, "OPERATIONS", {name: stub(name) for name in OPERATIONS})
    rng, runs, repeats = np.random.default_rng(0), [], 0
    for _ in range(3000):
        names.clear()
        RandAugment()(rng, LINE)
        runs.append(list(names))
        repeats += len(names) == 2 and names[0] == names[1]
    assert {len(run) for run in runs} == {0, 2}
    assert np.mean([bool(run) for run in runs]) == pytest.approx(0.5, abs=0.03)
    counts = Counter(name for run in runs for name in run)
    assert set(counts) == set(OPERATIONS)
    np.testing.assert_allclose([count / 3000 for count in counts.values()], 1 / 14, atol=0.02)
    assert repeats > 50


@pytest.mark.parametrize("options", [{"magnitude": 0}, {"magnitude": 11}, {"operations": ()}])
def test_bad_options(options: dict) -> None:
    with pytest.raises(ValueError, match=r"magnitude|operations"):
        RandAugment(**options)
    with pytest.raises(ValueError, match="'twist'"):
        RandAugment(operations=("twist", "invert"))


def test_chain_is_one_after_the_other() -> None:
    bda, rand = LineAugmentation(0.8, recipe="paper"), RandAugment(probability=1.0)
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    centers = np.array([20.0, 100, 170])
    out, moved = Chain((bda, rand)).with_points(rng, LINE, centers)
    expected = rand.with_points(again, *bda.with_points(again, LINE, centers))
    np.testing.assert_array_equal(out, expected[0])
    np.testing.assert_array_equal(moved, expected[1])
    np.testing.assert_array_equal(Chain((bda, rand))(np.random.default_rng(3), LINE), out)
