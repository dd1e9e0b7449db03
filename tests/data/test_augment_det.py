from collections.abc import Callable

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.data.augment_det import (
    View,
    clipped_polygons,
    random_flip,
    random_rotation,
    random_scale,
    random_text_crop,
    random_window,
    render,
    visible_polygons,
)
from ppocr_jax.geometry import polygon_area

HEIGHT, WIDTH, SIZE = 150, 220, 160
TEXT = [
    np.array([(20.0, 15), (90, 25), (87, 45), (17, 35)]),
    np.array([(120.0, 20), (200, 20), (200, 42), (120, 42)]),
    np.array([(40.0, 100), (190, 90), (192, 120), (42, 130)]),
]
SEEDS = st.integers(0, 2**32 - 1)


def filled(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Image with white polygons, drawn 8 times as large and averaged: exact coverage, points at pixel corners."""
    big = np.zeros((height * 8, width * 8), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(big, [np.round(polygon * 8 - 0.5).astype(np.int32)], 255)
    return np.repeat(cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA)[..., None], 3, axis=2)


IMAGE = filled(TEXT, HEIGHT, WIDTH)


def base() -> View:
    return View.of(IMAGE)


def page_view(rng: np.random.Generator) -> View:
    view = random_rotation(rng, random_flip(rng, base()))
    return random_window(rng, random_scale(rng, view, factors=(0.7, 1.4)), TEXT, size=SIZE)


def reference_view(rng: np.random.Generator) -> View:
    view = random_rotation(rng, random_flip(rng, base()))
    return random_text_crop(rng, random_scale(rng, view), TEXT, size=SIZE)


VIEWS: dict[str, Callable[[np.random.Generator], View]] = {
    "flip": lambda rng: random_flip(rng, base(), probability=1.0),
    "rotation": lambda rng: random_rotation(rng, base()),
    "enlarged": lambda rng: random_scale(rng, base(), factors=(1.2, 2.0)),
    "shrunk": lambda rng: random_scale(rng, base(), factors=(0.5, 0.9)),
    "window": lambda rng: random_window(rng, base(), TEXT, size=SIZE),
    "text crop": lambda rng: random_text_crop(rng, base(), TEXT, size=SIZE),
    "page": page_view,
    "reference": reference_view,
}


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_polygons_stay_on_their_text(name: str, seed: int) -> None:
    view = VIEWS[name](np.random.default_rng(seed))
    size = max(view.height, view.width)
    got = render(IMAGE, view, size)[..., 0].astype(float)
    canvas = [v @ np.eye(2) for v in (view.points(polygon) for polygon in TEXT)]
    expected = filled(canvas, size, size)[..., 0].astype(float)
    expected[view.height :] = expected[:, view.width :] = 0
    inside = _source_is_visible(view, size)
    difference = np.abs(got - expected) * inside
    # Only the outlines may differ, by resampling: a shift of all by half a pixel would differ by about 0.5 on each
    # pixel of the outline.
    outline = sum(shapely.Polygon(p).intersection(shapely.box(0, 0, view.width, view.height)).length for p in canvas)
    scale = np.sqrt(abs(np.linalg.det(view.matrix)))
    assert difference.sum() / 255 <= 0.25 * max(scale, 1) * outline + 8
    assert not got[view.height :].any()
    assert not got[:, view.width :].any()


@pytest.mark.parametrize("name", VIEWS)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_clipped_polygons_cover_their_text(name: str, seed: int) -> None:
    """Each region alone: its moved and cut polygon against the white that the image then shows."""
    view = VIEWS[name](np.random.default_rng(seed))
    size = max(view.height, view.width)
    for polygon in TEXT:
        shown = render(filled([polygon], HEIGHT, WIDTH), view, size)[..., 0] > 127
        parts, _ = clipped_polygons(view, [polygon], [False])
        drawn = filled(parts, size, size)[..., 0] > 127
        # Where the image was rotated out of its canvas, the polygon still covers the black beside it.
        drawn &= cv2.dilate(_source_is_visible(view, size).astype(np.uint8), np.ones((3, 3))) > 0
        common, union = (shown & drawn).sum(), (shown | drawn).sum()
        # An edge may be off by a third of a source pixel, which matters where a sliver of a region was enlarged.
        outline = sum(shapely.Polygon(part).length for part in parts)
        assert common > 0.95 * union - 0.3 * np.sqrt(abs(np.linalg.det(view.matrix))) * outline - 10


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_rotation_is_about_the_center_by_ten_degrees_at_most(seed: int) -> None:
    view = random_rotation(np.random.default_rng(seed), base())
    assert (view.height, view.width) == (HEIGHT, WIDTH)
    np.testing.assert_allclose(view.points(np.array([WIDTH / 2, HEIGHT / 2])), (WIDTH / 2, HEIGHT / 2))
    (cos, minus_sin), (sin, _) = view.matrix[:2, :2]
    assert cos**2 + sin**2 == pytest.approx(1)
    assert minus_sin == -sin
    assert abs(np.rad2deg(np.arcsin(sin))) <= 10


def test_rotations_go_both_ways_and_scales_fill_their_range() -> None:
    rng = np.random.default_rng(0)
    sines = [random_rotation(rng, base()).matrix[1, 0] for _ in range(200)]
    assert min(sines) < -0.16
    assert max(sines) > 0.16
    views = [random_scale(rng, base()) for _ in range(200)]
    factors = [view.width / WIDTH for view in views]
    assert 0.49 < min(factors) < 0.6
    assert 2.8 < max(factors) < 3.01
    assert all(abs(view.height / HEIGHT - view.width / WIDTH) < 0.01 for view in views)


def _source_is_visible(view: View, size: int) -> np.ndarray:
    """Pixels whose surroundings come from the image, not from the black around it."""
    white = np.full_like(IMAGE, 255)
    return cv2.erode(render(white, view, size)[..., 0], np.ones((3, 3)), borderValue=255) == 255


def test_flip_and_whole_pixels_are_exact() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    flipped = render(image, random_flip(rng, View.of(image), probability=1.0), 64)
    np.testing.assert_array_equal(flipped[:40, :50], image[:, ::-1])
    window = random_window(rng, View.of(image), [], size=24)
    left, top = (-window.matrix[:2, 2]).astype(int)
    np.testing.assert_array_equal(render(image, window, 24), image[top : top + 24, left : left + 24])


def test_scale_equals_opencv_resize() -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 2)
    for factor, interpolation in ((1.5, cv2.INTER_CUBIC), (0.75, cv2.INTER_LINEAR)):
        view = random_scale(np.random.default_rng(0), View.of(image), factors=(factor, factor))
        expected = cv2.resize(image, (view.width, view.height), interpolation=interpolation)
        got = render(image, view, max(view.width, view.height))[: view.height, : view.width]
        inner = (slice(3, -3), slice(3, -3))  # resize repeats the border, the warp has black around the image
        np.testing.assert_allclose(got[inner].astype(int), expected[inner].astype(int), atol=4)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_text_crop_cuts_no_text(seed: int) -> None:
    view = random_text_crop(np.random.default_rng(seed), base(), TEXT, size=SIZE)
    scale = view.matrix[0, 0]
    assert max(view.height, view.width) in (SIZE, SIZE - 1)
    left, top = -view.matrix[:2, 2] / scale
    crop = shapely.box(left, top, left + view.width / scale, top + view.height / scale)
    shares = [crop.intersection(shapely.Polygon(p)).area / polygon_area(p) for p in TEXT]
    assert all(share < 0.05 or share > 0.95 for share in shares)
    assert any(share > 0.95 for share in shares)


def test_text_crop_takes_everything_where_it_must() -> None:
    rng = np.random.default_rng(0)
    whole = np.array([(0.0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)])
    for polygons in ([], [whole]):
        view = random_text_crop(rng, base(), polygons, size=SIZE)
        assert (view.height, view.width) == (int(HEIGHT * SIZE / WIDTH), SIZE)


def test_text_crop_varies() -> None:
    rng = np.random.default_rng(0)
    scales = [random_text_crop(rng, base(), TEXT[:2], size=SIZE).matrix[0, 0] for _ in range(40)]
    assert len(set(scales)) > 10
    assert min(scales) >= SIZE / WIDTH
    assert max(scales) > 1.3


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=st.sampled_from([32, 64, 160, 200, 320]))
def test_window_keeps_scale_lies_inside_and_shows_text(seed: int, size: int) -> None:
    view = random_window(np.random.default_rng(seed), base(), TEXT, size=size)
    np.testing.assert_array_equal(view.matrix[:2, :2], np.eye(2))
    left, top = -view.matrix[:2, 2]
    assert left == int(left)
    assert 0 <= left <= WIDTH - view.width
    assert 0 <= top <= HEIGHT - view.height
    assert (view.height, view.width) == (min(size, HEIGHT), min(size, WIDTH))
    centers = [view.points(polygon).mean(axis=0) for polygon in TEXT]
    assert any((c >= 0).all() and (c <= (view.width, view.height)).all() for c in centers)


def test_windows_reach_every_corner() -> None:
    rng = np.random.default_rng(0)
    corners = {tuple(random_window(rng, base(), [], size=140).matrix[:2, 2]) for _ in range(3000)}
    assert {(0.0, 0.0), (-80.0, -10.0)} <= corners


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_clipping_equals_shapely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
    polygon = rng.uniform(-40, 140, 2) + np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(10, 90)
    view = View(np.eye(3), 80, 100)
    kept, _ = clipped_polygons(view, [polygon], [False])
    expected = shapely.Polygon(polygon).intersection(shapely.box(0, 0, 100, 80)).area
    assert sum(polygon_area(p) for p in kept) == pytest.approx(expected, abs=1e-6)
    for part in kept:
        assert (part >= -1e-9).all()
        assert (part <= (100 + 1e-9, 80 + 1e-9)).all()


def test_clipped_slivers_are_ignored_and_ends_of_lines_are_not() -> None:
    view = View(np.eye(3), 100, 100)
    lengthwise = np.array([(10.0, -10), (90, -10), (90, 10), (10, 10)])  # half of the letters' height is left
    end = np.array([(80.0, 40), (300, 40), (300, 55), (80, 55)])
    stroke = np.array([(96.0, 70), (300, 70), (300, 85), (96, 85)])
    outside = np.array([(120.0, 70), (300, 70), (300, 85), (120, 85)])
    whole_but_ignored = np.array([(10.0, 70), (50, 70), (50, 85), (10, 85)])
    polygons = [lengthwise, end, stroke, outside, whole_but_ignored]
    kept, ignore = clipped_polygons(view, polygons, [False, False, False, False, True])
    assert ignore == [True, False, True, True]
    np.testing.assert_allclose(kept[1].max(axis=0), (100, 55))


def test_clipping_keeps_the_slope_of_a_line() -> None:
    line = np.array([(-100.0, 0), (100, 40), (100, 60), (-100, 20)])
    (part,), _ = clipped_polygons(View(np.eye(3), 100, 100), [line], [False])
    on_line = shapely.Polygon(line).buffer(1e-6)
    assert on_line.contains(shapely.Polygon(part))


def test_visible_polygons_are_whole() -> None:
    polygons = [np.array([(90.0, 10), (130, 10), (130, 30), (90, 30)]), np.array([(101.0, 1), (120, 1), (120, 9)])]
    kept, ignore = visible_polygons(View(np.eye(3), 100, 100), polygons, [True, False])
    assert ignore == [True]
    np.testing.assert_array_equal(kept[0], polygons[0])
