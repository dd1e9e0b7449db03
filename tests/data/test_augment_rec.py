"""Changes of line images and their recipes: which happen, how often, in which order, and what they do to points."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.data import augment_rec
from ppocr_jax.data.augment_rec import CHANGES, RECIPES, LineAugmentation

SEEDS = st.integers(0, 2**32 - 1)
NOWHERE = np.empty(0)
GEOMETRIC = ("distort", "stretch", "perspective", "tia", "bounded_tia", "width", "jitter")
LINE = np.random.default_rng(0).integers(0, 256, (32, 200, 3), np.uint8)


def changed(name: str, image: np.ndarray, seed: int = 0) -> np.ndarray:
    return CHANGES[name](np.random.default_rng(seed), image, NOWHERE)[0]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (11, 9), (20, 20), (48, 5), (32, 320), (230, 260)])
def test_any_line_stays_a_line(name: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    before = image.copy()
    for seed in range(3):
        out = changed(name, image, seed)
        assert out.dtype == np.uint8
        assert out.ndim == 3
        assert out.shape[2] == 3
        assert min(out.shape) >= 1
        assert abs(out.shape[1] - size[1]) <= (0.2 * size[1] + 1 if name == "width" else 0)
    np.testing.assert_array_equal(image, before, "the input was changed")


@pytest.mark.parametrize("name", GEOMETRIC)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_centers_follow_the_pixels(name: str, seed: int) -> None:
    """Discs halfway up the line, in turn red, green and blue, lie where the centers say after the change."""
    height = 320 if name == "jitter" else 40  # jitter leaves smaller images alone
    centers = np.arange(30.0, 400, 40)
    image = np.zeros((height, 400, 3), np.uint8)
    for i, x in enumerate(centers):
        cv2.circle(image, (int(x), (height - 1) // 2), 3, (255 * np.eye(3)[i % 3]).tolist(), -1)
    out, moved = CHANGES[name](np.random.default_rng(seed), image, centers)
    errors = []
    for i, x in enumerate(moved):
        low, high = int(x) - 12, int(x) + 13
        mass = out[:, max(0, low) : high, i % 3].sum(axis=0, dtype=float)
        if mass.sum() > 255 * 15 and low >= 0 and high <= out.shape[1]:  # neither cut nor lost
            errors.append(abs(np.average(np.arange(low, high), weights=mass) - x))
    assert len(errors) >= 3
    assert np.median(errors) < 0.4
    assert max(errors) < 1.5


def test_jitter_equals_a_slow_loop_and_moves_points_by_its_length() -> None:
    image = np.random.default_rng(0).integers(0, 256, (450, 500, 3), np.uint8)
    lengths = set()
    for seed in range(12):
        steps = int(np.random.default_rng(seed).random() * 450 * 0.01)
        expected = image.copy()
        for i in range(steps):
            for row in range(i, 450):
                expected[row, i:] = image[row - i, : 500 - i]
        out, centers = CHANGES["jitter"](np.random.default_rng(seed), image, np.array([10.0, 300]))
        np.testing.assert_array_equal(out, expected)
        length = max(steps - 1, 0)
        np.testing.assert_array_equal(centers, np.array([10, 300]) + length)
        np.testing.assert_array_equal(out[225, 300 + length], image[225 - length, 300])
        lengths.add(length)
    assert lengths == {0, 1, 2, 3}


def test_crop_takes_one_to_eight_rows_from_one_side() -> None:
    seen = set()
    for seed in range(150):
        out = changed("crop", LINE, seed)
        rows = 32 - len(out)
        top = np.array_equal(out, LINE[rows:])
        assert top or np.array_equal(out, LINE[:-rows])
        seen.add((rows, top))
    assert seen == {(rows, top) for rows in range(1, 9) for top in (True, False)}
    assert changed("crop", LINE[:19]).shape == (19, 200, 3)


def test_blur_is_five_wide_with_deviation_one() -> None:
    image = np.zeros((21, 21, 3), np.uint8)
    image[10, 10] = 255
    weights = np.exp(-0.5 * np.arange(-2, 3) ** 2.0)
    weights /= weights.sum()
    expected = np.zeros((21, 21))
    expected[8:13, 8:13] = 255 * np.outer(weights, weights)
    np.testing.assert_allclose(changed("blur", image)[..., 0], expected, atol=1)
    np.testing.assert_array_equal(changed("blur", image[5:15]), image[5:15])


@pytest.mark.parametrize("name", ["hsv", "noise"])
def test_changes_that_the_paper_makes_hardly_visible(name: str) -> None:
    gray = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(24, axis=0)
    differences = [changed(name, gray, seed).astype(int) - gray for seed in range(8)]
    assert max(np.abs(d).max() for d in differences) == 1
    assert 0.05 < np.mean([d != 0 for d in differences]) < 0.95


def test_inversion() -> None:
    np.testing.assert_array_equal(changed("invert", LINE), 255 - LINE)


def test_colors_turn_the_hue_and_keep_gray_gray() -> None:
    red = np.full((24, 50, 3), (200, 40, 40), np.uint8)
    strongest = {int(changed("colors", red, seed)[0, 0].argmax()) for seed in range(40)}
    assert strongest == {0, 1, 2}
    gray = changed("colors", np.full((24, 50, 3), 90, np.uint8))
    assert (gray == gray[0, 0, 0]).all()


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collects the names of changes, which are not carried out."""
    names: list[str] = []

    def stub(name: str):
        return lambda rng, image_rgb, centers: (names.append(name) or image_rgb, centers)

    monkeypatch.setattr(augment_rec, "CHANGES", {name: stub(name) for name in CHANGES})
    return names


def histories(happened: list[str], augmentation: LineAugmentation, runs: int = 800) -> list[list[str]]:
    rng, out = np.random.default_rng(0), []
    for _ in range(runs):
        happened.clear()
        augmentation(rng, LINE)
        out.append(list(happened))
    return out


ORDERS = {
    "paper": ["tia", "crop", "blur", "hsv", "jitter", "noise", "invert"],
    "bda": ["crop", "blur", "hsv", "jitter", "noise", "invert"],
    "paper-2.4": ["distort", "stretch", "perspective", "crop", "blur", "hsv", "jitter", "noise", "invert"],
    "mild": ["width", "contrast", "soft_blur", "resample", "grain", "invert"],
}


@pytest.mark.parametrize("recipe", ORDERS)
def test_order_and_frequency_of_the_changes(recipe: str, happened: list[str]) -> None:
    runs = histories(happened, LineAugmentation(recipe=recipe))
    order = ORDERS[recipe]
    for run in runs:
        assert run == [name for name in order if name in run]
    own = {("paper-2.4", "jitter"): 1.0, ("mild", "invert"): 0.05}
    for name in order:
        frequency = np.mean([name in run for run in runs])
        assert frequency == pytest.approx(own.get((recipe, name), 0.4), abs=0.06), name
    both = np.mean([order[0] in run and order[1] in run for run in runs])
    assert both == pytest.approx(0.16, abs=0.05)  # coins are independent


def test_tia_is_its_three_movements_in_order() -> None:
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    out, centers = CHANGES["tia"](rng, LINE, np.array([50.0]))
    line = LINE, np.array([50.0])
    for name in ("distort", "stretch", "perspective"):
        line = CHANGES[name](again, *line)
    np.testing.assert_array_equal(out, line[0])
    np.testing.assert_array_equal(centers, line[1])
    low = LINE[:15]  # too low for the first two
    np.testing.assert_array_equal(changed("tia", low, 7), changed("perspective", low, 7))
    np.testing.assert_array_equal(changed("distort", low, 7), low)


def test_strong_never_blurs_twice_nor_changes_tones_twice(happened: list[str]) -> None:
    runs = histories(happened, LineAugmentation(0.9, recipe="strong"))
    for alternatives in (("blur", "motion_blur", "low_resolution"), ("tone", "contrast", "colors", "shadow")):
        counts = np.array([[name in run for name in alternatives] for run in runs])
        assert counts.sum(axis=1).max() == 1
        np.testing.assert_allclose(counts.mean(axis=0), 0.9 / len(alternatives), atol=0.06)
    assert {"bounded_tia", "trim", "grain", "jpeg", "invert"} <= {name for run in runs for name in run}


def test_none_changes_nothing() -> None:
    assert LineAugmentation(1.0, recipe="none")(np.random.default_rng(0), LINE) is LINE


def test_probabilities_of_zero_and_one(happened: list[str]) -> None:
    assert histories(happened, LineAugmentation(0, recipe="paper"), 50) == [[]] * 50
    assert histories(happened, LineAugmentation(1, recipe="paper"), 5) == [ORDERS["paper"]] * 5


@pytest.mark.parametrize("recipe", RECIPES)
def test_with_points_draws_the_same_image(recipe: str) -> None:
    augmentation = pickle.loads(pickle.dumps(LineAugmentation(0.7, recipe=recipe)))
    centers = np.array([3.0, 60, 197])
    moved = []
    for seed in range(15):
        out = augmentation(np.random.default_rng(seed), LINE)
        again, points = augmentation.with_points(np.random.default_rng(seed), LINE, centers)
        np.testing.assert_array_equal(out, again)
        assert points.shape == (3,)
        assert (points >= 0).all()
        assert (points <= out.shape[1] - 1).all()
        assert (np.diff(points) > 0).all()
        moved.append(not np.allclose(points, centers))
    assert any(moved) == (recipe not in ("none", "bda"))


def test_points_stay_inside_the_image() -> None:
    _, points = LineAugmentation(recipe="none").with_points(np.random.default_rng(0), LINE, np.array([-3.0, 5, 999]))
    assert points.tolist() == [0, 5, LINE.shape[1] - 1]


def test_unknown_recipes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'papr'.*paper"):
        LineAugmentation(recipe="papr")
