import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from ppocr_jax import geometry

GOLDEN = Path(__file__).parent / "golden"
CASES = json.loads((GOLDEN / "pipeline.json").read_text(encoding="utf-8"))["crops"]
ARRAYS = np.load(GOLDEN / "pipeline.npz")

RECTANGLE = np.array([[0, 0], [30, 0], [30, 10], [0, 10]], np.float32)  # clockwise from top-left
BOW_TIE = RECTANGLE[[0, 2, 1, 3]]


@st.composite
def turned_boxes(draw: st.DrawFn, least: float = 8) -> np.ndarray:
    """A rectangle (4, 2) of any size, place and angle."""
    width, height = draw(st.floats(least, 200)), draw(st.floats(least, 200))
    angle = draw(st.floats(-math.pi, math.pi))
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    center = draw(st.tuples(st.floats(-100, 500), st.floats(-100, 500)))
    return (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (width, height) / 2) @ turn + center


def by_sum(box: np.ndarray) -> np.ndarray:
    """The corners in the order of PaddleOCR 2.6: top-left has the least x + y, top-right the smaller y - x."""
    first, *middle, last = box[np.argsort(box.sum(axis=1), kind="stable")]
    right, left = sorted(middle, key=lambda corner: corner[1] - corner[0])
    return np.array([first, right, last, left])


@pytest.mark.parametrize("order", [geometry.order_corners_by_x, geometry.order_corners_clockwise])
@given(box=turned_boxes(), shuffled=st.permutations(range(4)))
def test_ordering_gives_the_same_corners_clockwise_whatever_their_order(order, box, shuffled):
    assume(len(np.unique(box[:, 0])) == 4)  # equal coordinates are ties that the input order decides
    assume(len(np.unique(box.sum(axis=1))) == 4)
    ordered = order(box[shuffled])
    np.testing.assert_array_equal(ordered, order(box))
    assert {tuple(p) for p in ordered} == {tuple(p) for p in box}
    assert geometry.signed_area(ordered) == pytest.approx(geometry.polygon_area(box))


@pytest.mark.parametrize("order", [geometry.order_corners_by_x, geometry.order_corners_clockwise])
def test_ordering_a_batch_equals_ordering_its_boxes(order):
    boxes = np.random.default_rng(0).uniform(0, 100, (50, 4, 2)).astype(np.float32)
    ordered = order(boxes)
    assert ordered.dtype == np.float32
    np.testing.assert_array_equal(ordered, [order(box) for box in boxes])
    assert order(boxes[:0]).shape == (0, 4, 2)


@given(box=turned_boxes())
def test_clockwise_is_by_sum_where_that_tells_corners_apart(box):
    assume(len(np.unique(box.sum(axis=1).round(3))) == 4)
    np.testing.assert_array_equal(geometry.order_corners_clockwise(box), by_sum(box))


@pytest.mark.parametrize("order", [geometry.order_corners_by_x, geometry.order_corners_clockwise])
@pytest.mark.parametrize("shuffled", list(itertools.permutations(range(4))))
def test_edges_do_not_cross_at_45_degrees(order, shuffled):
    box = np.array([[10, 60], [60, 10], [70, 20], [20, 70]], np.float32)  # two least sums, two greatest
    assert geometry.signed_area(order(box[list(shuffled)])) == geometry.polygon_area(box)


def test_the_two_rules_differ_where_a_steep_box_leans_right():
    diamond = np.array(
        [[20, 0], [24, 4], [4, 30], [0, 26]], np.float32
    )  # a line that runs from top right to bottom left
    np.testing.assert_array_equal(geometry.order_corners_by_x(diamond), [[0, 26], [20, 0], [24, 4], [4, 30]])
    np.testing.assert_array_equal(geometry.order_corners_clockwise(diamond), [[20, 0], [24, 4], [4, 30], [0, 26]])


def test_a_quad_turned_by_180_degrees_starts_at_its_third_corner():
    np.testing.assert_array_equal(geometry.rotate_quad_180(RECTANGLE), [[30, 10], [0, 10], [0, 0], [30, 0]])


def test_area_is_signed_by_direction():
    assert geometry.signed_area(RECTANGLE) == 300
    assert geometry.signed_area(RECTANGLE[::-1]) == -300
    assert geometry.polygon_area(RECTANGLE[::-1]) == 300


@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=3, max_size=12))
def test_area_and_perimeter_equal_shapelys(points):
    polygon = shapely.Polygon(points)
    assert geometry.polygon_area(np.array(points)) == pytest.approx(polygon.area, abs=1e-6)
    assert geometry.polygon_perimeter(np.array(points)) == pytest.approx(polygon.length, abs=1e-6)


def test_bounding_box_is_left_top_right_bottom():
    assert geometry.bounding_box(np.array([[3, 9], [-1, 4], [2, 12]])) == (-1, 4, 3, 12)


@given(box=turned_boxes(least=20), distance=st.floats(3, 40))
def test_growing_a_box_gives_its_rounded_outline(box, distance):
    """Area of a convex shape grown by d: A + P d + pi d^2; whole-number vertices cost up to a pixel all around."""
    (grown,) = geometry.offset_polygon(box, distance)
    truncated = np.trunc(box)
    perimeter = geometry.polygon_perimeter(truncated)
    expected = geometry.polygon_area(truncated) + perimeter * distance + math.pi * distance**2
    assert grown.dtype == np.int32
    assert geometry.polygon_area(grown) > geometry.polygon_area(truncated)
    assert geometry.polygon_area(grown) == pytest.approx(expected, abs=perimeter + 8 * distance)


@given(box=turned_boxes(least=20), share=st.floats(0.15, 0.4))
def test_shrinking_a_box_stays_inside_it(box, share):
    distance = share * geometry.min_area_quad(box.astype(np.float32))[1]
    (shrunk,) = geometry.offset_polygon(box, -distance)
    assert geometry.polygon_area(shrunk) < geometry.polygon_area(box)
    assert shapely.Polygon(np.trunc(box)).buffer(1).covers(shapely.Polygon(shrunk))


def test_direction_does_not_decide_between_growing_and_shrinking():
    (clockwise,), (counter,) = geometry.offset_polygon(RECTANGLE, 4), geometry.offset_polygon(RECTANGLE[::-1], 4)
    assert geometry.polygon_area(clockwise) == geometry.polygon_area(counter) > 300


def test_vertices_are_truncated_before_growing():
    (from_fractions,), (from_integers,) = (geometry.offset_polygon(RECTANGLE + shift, 4) for shift in (0.9, 0))
    np.testing.assert_array_equal(from_fractions, from_integers)


def test_offset_that_leaves_nothing_or_splits():
    assert geometry.offset_polygon(RECTANGLE, -6) == []
    assert geometry.offset_polygon(np.full((4, 2), 0.3), 5) == []
    dumbbell = np.array([[0, 0], [20, 0], [20, 9], [40, 9], [40, 0], [60, 0], [60, 20], [40, 20], [40, 11], [20, 11]])
    dumbbell = np.concatenate([dumbbell, [[20, 20], [0, 20]]])
    assert len(geometry.offset_polygon(dumbbell, -3)) == 2


@given(box=turned_boxes())
def test_min_area_quad_recovers_a_rectangle(box):
    sides = np.linalg.norm(box - np.roll(box, 1, axis=0), axis=1)
    quad, short_side = geometry.min_area_quad(box.astype(np.float32))
    assert short_side == pytest.approx(sides.min(), rel=1e-2, abs=0.1)
    distances = np.linalg.norm(quad[:, None] - box[None], axis=2)
    assert distances.min(axis=1).max() < 0.5 + 0.01 * sides.max()


def test_min_area_quads_of_several_and_of_no_polygons():
    triangle = np.array([[0, 0], [8, 0], [0, 4]], np.int32)
    quads, short_sides = geometry.min_area_quads([RECTANGLE, triangle])
    np.testing.assert_allclose(quads, [RECTANGLE, [[0, 0], [8, 0], [8, 4], [0, 4]]], atol=1e-4)
    np.testing.assert_allclose(short_sides, [10, 4], rtol=1e-5)
    quads, short_sides = geometry.min_area_quads([])
    assert quads.shape == (0, 4, 2)
    assert short_sides.shape == (0,)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["out"])
def test_crops_equal_the_reference(case):
    """OpenCV 4 rounds sampling positions to 1/32 pixel, OpenCV 5 does not: tilted crops of noise differ a little."""
    crop = geometry.perspective_crop(ARRAYS["crop_img"], np.array(case["points"]))
    expected = ARRAYS[case["out"]]
    assert list(crop.shape) == case["shape"]
    difference = np.abs(crop.astype(int) - expected)
    points = np.array(case["points"])
    upright = {tuple(edge == 0) for edge in points - np.roll(points, 1, axis=0)} == {(True, False), (False, True)}
    assert difference.max() <= (0 if upright else 6)
    assert difference.mean() < 0.5


def test_a_crop_runs_along_the_quad_from_its_first_corner():
    image = np.zeros((60, 60, 3), np.uint8)
    image[10:20, 10:25], image[10:20, 25:40] = (255, 0, 0), (0, 0, 255)
    quad = np.array([[10, 10], [40, 10], [40, 20], [10, 20]])
    crop = geometry.perspective_crop(image, quad)
    assert crop.shape == (10, 30, 3)
    np.testing.assert_array_equal(crop[5, [2, 27]], [(255, 0, 0), (0, 0, 255)])
    turned = geometry.perspective_crop(image, geometry.rotate_quad_180(quad))
    np.testing.assert_array_equal(turned[5, [2, 27]], [(0, 0, 255), (255, 0, 0)])


def test_a_tall_crop_is_turned_counter_clockwise():
    image = np.zeros((60, 30, 3), np.uint8)
    image[30:] = 255  # dark top, light bottom
    crop = geometry.perspective_crop(image, np.array([[5, 10], [15, 10], [15, 50], [5, 50]]))
    assert crop.shape == (10, 40, 3)
    assert crop[:, :15].max() == 0  # the top has become the left
    assert crop[:, 25:].min() == 255


GROWTH = geometry.CropGrowth(left=0.1, above=0.2, right=0.3, below=0.4)


def test_a_quad_grows_by_parts_of_its_lines_height():
    grown = geometry.grow_quad(RECTANGLE, GROWTH)  # 30 x 10
    np.testing.assert_allclose(grown, [[-1, -2], [33, -2], [33, 14], [-1, 14]], atol=1e-5)


def test_a_column_grows_as_its_crop_is_turned():
    """The crop of a grown column is the crop of a grown line: its beginning, the top, is the crop's left side."""
    column = np.array([[0, 0], [10, 0], [10, 30], [0, 30]], np.float32)
    grown = geometry.grow_quad(column, GROWTH)
    np.testing.assert_allclose(grown, [[-4, -1], [12, -1], [12, 33], [-4, 33]], atol=1e-5)
    image = np.zeros((60, 40, 3), np.uint8)
    image[10:40, 10:20] = 255
    crop = geometry.perspective_crop(image, geometry.grow_quad(column + 10, GROWTH))
    ys, xs = np.nonzero(crop[..., 0] > 128)
    height, width = crop.shape[:2]
    assert (xs.min(), width - 1 - xs.max()) == (1, 3)
    assert (ys.min(), height - 1 - ys.max()) == (2, 4)


@given(turned_boxes(), st.floats(-math.pi, math.pi))
def test_growing_turns_with_the_quad(quad, angle):
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    assume(abs(sides[1] / sides[0] - 1.5) > 1e-3)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    np.testing.assert_allclose(
        geometry.grow_quad(quad @ turn, GROWTH), geometry.grow_quad(quad, GROWTH) @ turn, atol=1e-2
    )


@pytest.mark.parametrize(
    "quad",
    [
        np.zeros((4, 2)),
        [[0, 0], [9, 0], [9, 0.4], [0, 0.4]],
        BOW_TIE,
        [[0, 0], [math.nan, 0], [9, 9], [0, 9]],
        np.eye(2),
    ],
    ids=["point", "thin", "bow tie", "nan", "two points"],
)
def test_a_degenerate_quad_is_refused(quad):
    with pytest.raises(ValueError, match="quad"):
        geometry.perspective_crop(np.zeros((20, 40, 3), np.uint8), np.array(quad))


def test_valid_polygons_do_not_cross_themselves():
    assert geometry.is_valid_polygon(RECTANGLE)
    assert not geometry.is_valid_polygon(BOW_TIE)
    assert not geometry.is_valid_polygon(RECTANGLE[:2])
    assert not geometry.is_valid_polygon(np.array([[0, 0], [5, 5], [9, 9]]))
    assert not geometry.is_valid_polygon(np.array([[0, 0], [5, math.inf], [9, 0]]))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=3, max_size=12))
def test_convex_hull_equals_shapelys(points):
    hull = geometry.convex_hull(np.array(points))
    assume(len(hull) >= 3)
    assert geometry.polygon_area(hull) == pytest.approx(shapely.MultiPoint(points).convex_hull.area)
