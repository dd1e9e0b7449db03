from pathlib import Path

import cv2
import numpy as np
import pytest

from ppocr_jax.data.targets import detection_targets, offset_distance, shrink_map, threshold_map

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "det_targets.npz")
CASES = range(8)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


@pytest.mark.parametrize("case", CASES)
def test_threshold_map_equals_the_reference(case: int) -> None:
    expected, expected_mask = GOLDEN[f"threshold_map{case}"], GOLDEN[f"threshold_mask{case}"]
    got, mask = threshold_map(GOLDEN[f"polys{case}"], GOLDEN[f"ignore{case}"], expected.shape)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.dtype == np.float32
    assert mask.dtype == np.uint8


@pytest.mark.parametrize("case", CASES)
def test_shrink_map_equals_the_reference(case: int) -> None:
    expected = GOLDEN[f"shrink_map{case}"]
    polygons = GOLDEN[f"polys{case}"]
    got, mask, clipped, ignore = shrink_map(polygons, GOLDEN[f"ignore{case}"], expected.shape)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(mask, GOLDEN[f"shrink_mask{case}"])
    np.testing.assert_array_equal(ignore, GOLDEN[f"ignore_after{case}"])
    np.testing.assert_array_equal(np.reshape(clipped, polygons.shape), GOLDEN[f"polys_after{case}"])
    np.testing.assert_array_equal(polygons, GOLDEN[f"polys{case}"], "the input was changed")  # read anew from the file


@pytest.mark.parametrize("case", CASES)
def test_detection_targets_combine_both_from_the_unclipped_polygons(case: int) -> None:
    shape = GOLDEN[f"shrink_map{case}"].shape
    targets = detection_targets(GOLDEN[f"polys{case}"], GOLDEN[f"ignore{case}"], shape)
    assert set(targets) == {"shrink_map", "shrink_mask", "threshold_map", "threshold_mask"}
    for name, got in targets.items():
        np.testing.assert_allclose(got, GOLDEN[f"{name}{case}"], atol=1e-6)


def test_border_is_highest_and_fades_by_the_offset_distance() -> None:
    polygon = box(40, 40, 120, 72)
    distance = offset_distance(polygon, 0.4)
    assert distance == pytest.approx(80 * 32 * 0.84 / (2 * (80 + 32)))
    border, mask = threshold_map([polygon], [False], (112, 160))
    assert border[40, 80] == pytest.approx(0.7)
    assert border[72 + 4, 80] == pytest.approx(0.3 + 0.4 * (1 - 4 / distance))
    assert border[56, 80] == pytest.approx(0.3)
    assert mask[40 - int(distance) : 72 + int(distance) + 1, 80].all()
    assert mask[:, 80].sum() <= 32 + 2 * distance + 2


@pytest.mark.parametrize("ratio", [0.4, 0.55, 0.8])
def test_text_shrinks_by_the_offset_distance_of_the_given_ratio(ratio: float) -> None:
    targets = detection_targets([box(40, 40, 120, 72)], [False], (112, 160), shrink_ratio=ratio)
    distance = 80 * 32 * (1 - ratio**2) / (2 * (80 + 32))
    ys, xs = np.nonzero(targets["shrink_map"])
    assert (xs.min(), ys.min()) == pytest.approx((40 + distance, 40 + distance), abs=1)
    assert (xs.max(), ys.max()) == pytest.approx((120 - distance, 72 - distance), abs=1)
    assert targets["threshold_mask"][:, 80].sum() == pytest.approx(32 + 2 * distance, abs=2)


def test_repeated_last_vertices_change_nothing() -> None:
    polygon = np.array([(10, 10), (90, 20), (88, 50), (8, 41)], np.float32)
    padded = np.concatenate([polygon, polygon[-1:], polygon[-1:]])
    one, other = (detection_targets([p], [False], (64, 96)) for p in (polygon, padded))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_direction_of_the_polygon_changes_nothing() -> None:
    polygon = np.array([(10, 10), (90, 20), (88, 50), (8, 41)], np.float32)
    one, other = (detection_targets([p], [False], (64, 96)) for p in (polygon, polygon[::-1]))
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6)


def test_ignored_region_masks_text_but_does_not_clear_it() -> None:
    text, mask, _, _ = shrink_map([box(10, 10, 90, 40), box(30, 5, 50, 45)], [False, True], (64, 96))
    assert text[25, 40] == 1
    assert mask[25, 40] == 0
    assert mask[25, 20] == 1


def test_hourglass_splits_and_is_drawn_whole() -> None:
    waist = np.array([(5, 5), (50, 24), (95, 5), (95, 45), (50, 26), (5, 45)], np.float32)
    text, mask, _, ignore = shrink_map([waist], [False], (50, 100))
    assert not ignore[0]
    assert mask.all()
    assert cv2.connectedComponents(text)[0] == 3  # background and the two halves


@pytest.mark.parametrize(
    "polygon",
    [
        box(3, 3, 3.4, 3.4),
        box(5, 5, 50, 5),
        np.full((4, 2), 7.0),
        box(-80, -80, -40, -60),
        box(500, 10, 560, 40),
        np.array([(10, 10), (60, 40), (60, 10), (10, 40)], float),
    ],
    ids=["sub-pixel", "line", "point", "outside", "far right", "bow tie"],
)
def test_degenerate_polygons_leave_finite_maps(polygon: np.ndarray) -> None:
    targets = detection_targets([polygon], [False], (64, 96))
    assert all(np.isfinite(value).all() for value in targets.values())
    assert targets["shrink_map"].sum() == 0
    assert targets["threshold_map"].min() >= np.float32(0.3)
    assert targets["threshold_map"].max() <= np.float32(0.7) + 1e-6


def test_no_regions() -> None:
    targets = detection_targets([], [], (32, 48))
    assert targets["shrink_map"].sum() == 0
    assert targets["shrink_mask"].all()
    assert targets["threshold_mask"].sum() == 0
    np.testing.assert_array_equal(targets["threshold_map"], np.float32(0.3))
