import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.geometry import polygon_area, signed_area
from ppocr_jax.inference.db_postprocess import DBOptions, TextBox, boxes_from_map, filter_boxes
from tests.helpers import iou

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((FOLDER / "pipeline.json").read_text(encoding="utf-8"))
ARRAYS = np.load(FOLDER / "pipeline.npz")
CASES = [(case, variant) for case in GOLDEN["db_cases"] for variant in case["results"]]

# names and defaults of the reference's post-processor
NAMES = {
    "thresh": "threshold",
    "box_thresh": "box_threshold",
    "use_dilation": "dilate",
    "use_polygon": "polygons",
}
REFERENCE_DEFAULTS = {"threshold": 0.3, "box_threshold": 0.7, "unclip_ratio": 2.0}


def reference_options(params: dict[str, Any]) -> DBOptions:
    return DBOptions(**REFERENCE_DEFAULTS | {NAMES.get(name, name): value for name, value in params.items()})


def page_with(*shapes: np.ndarray, size: tuple[int, int] = (160, 200), value: float = 0.9) -> np.ndarray:
    page = np.full(size, 0.05, np.float32)
    for shape in shapes:
        cv2.fillPoly(page, [np.asarray(shape, np.int32)], value)
    return page


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


@pytest.mark.parametrize(("case", "variant"), CASES, ids=[f"{case['kind']}-{variant}" for case, variant in CASES])
def test_boxes_equal_the_reference(case, variant):
    expected, size = case["results"][variant], (case["src_h"], case["src_w"])
    options = reference_options(GOLDEN["db_params"][variant])
    boxes = boxes_from_map(ARRAYS[case["map"]], source_size=size, options=options)
    assert [b.points.tolist() for b in boxes] == expected["boxes"]
    np.testing.assert_allclose([b.score for b in boxes], expected["scores"], atol=1e-9)
    if not options.polygons:  # the corners of PaddleOCR; their order differs at 45 degrees
        filtered = [sorted(box.points.tolist()) for box in filter_boxes(boxes, size)]
        assert filtered == [sorted(quad) for quad in expected.get("filtered_26", [])]


@given(
    center=st.tuples(st.floats(80, 120), st.floats(70, 90)),
    width=st.floats(40, 90),
    height=st.floats(10, 30),
    angle=st.floats(-89, 89),
)
@settings(max_examples=50)
def test_unclipping_undoes_the_shrinking_of_a_targets_text(center, width, height, angle):
    """A rectangle w x h found whole grows by w h 1.5 / (2 w + 2 h) on each side."""
    page = page_with(cv2.boxPoints((center, (width, height), angle)))
    (found,) = boxes_from_map(page, source_size=page.shape)
    growth = 1.5 * width * height / (width + height)
    expected = cv2.boxPoints((center, (width + growth, height + growth), angle))
    inside = np.clip(expected, 0, (200, 160))
    assert iou(found.points, inside) > 0.75
    assert found.score > 0.7
    assert signed_area(found.points) > 0


def test_boxes_scale_to_the_image_per_axis():
    page = page_with(box(40, 40, 120, 60))
    (small,) = boxes_from_map(page, source_size=(160, 200))
    (large,) = boxes_from_map(page, source_size=(320, 600))
    np.testing.assert_allclose(large.points, small.points * (3, 2), atol=2)
    assert large.points.dtype == np.float32


def test_points_stay_within_the_image():
    page = page_with(box(0, 0, 199, 20))
    (found,) = boxes_from_map(page, source_size=(160, 200))
    assert found.points.min() == 0
    assert found.points[:, 0].max() == 200  # one past the last pixel; `filter_boxes` brings it to 199
    (filtered,) = filter_boxes([found], (160, 200))
    assert filtered.points[:, 0].max() == 199


@pytest.mark.parametrize("polygons", [False, True])
@pytest.mark.parametrize("value", [0, 1, np.nan], ids=["no text", "all text", "nan"])
def test_uniform_maps(value, polygons):
    page = np.full((64, 96), value, np.float32)
    boxes = boxes_from_map(page, source_size=(64, 96), options=DBOptions(polygons=polygons))
    assert len(boxes) == (value == 1)
    assert filter_boxes([], (64, 96)) == []


def test_a_pixel_at_the_threshold_is_not_text_and_a_box_at_its_threshold_is_kept():
    page = page_with(box(40, 40, 120, 60), value=0.5)
    assert boxes_from_map(page, source_size=page.shape, options=DBOptions(threshold=0.5, box_threshold=0)) == []
    options = DBOptions(threshold=0.25, box_threshold=0.5)
    assert [b.score for b in boxes_from_map(page, source_size=page.shape, options=options)] == [0.5]


def test_thin_and_faint_text_is_dropped():
    thin = page_with(box(40, 40, 120, 41))
    assert boxes_from_map(thin, source_size=thin.shape) == []
    assert len(boxes_from_map(thin, source_size=thin.shape, options=DBOptions(min_side=0.5))) == 1
    faint = page_with(box(40, 40, 120, 60), value=0.5)
    assert boxes_from_map(faint, source_size=faint.shape) == []


def test_candidates_are_counted_before_anything_is_dropped():
    page = page_with(box(20, 20, 80, 40), box(20, 60, 80, 80), box(20, 100, 80, 120))
    everything = boxes_from_map(page, source_size=page.shape)
    first = boxes_from_map(page, source_size=page.shape, options=DBOptions(max_candidates=1))
    assert len(everything) == 3
    assert [b.points.tolist() for b in first] == [everything[0].points.tolist()]


def test_polygons_follow_curved_text_that_a_rectangle_cannot():
    angles = np.linspace(np.pi, 2 * np.pi, 30)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    arch = np.concatenate([arc * 80, arc[::-1] * 60])
    page = page_with(arch + np.array([100, 110]))
    (outline,) = boxes_from_map(page, source_size=page.shape, options=DBOptions(polygons=True))
    assert len(outline.points) > 4
    (quad,) = boxes_from_map(page, source_size=page.shape, options=DBOptions(box_threshold=0.2))
    assert polygon_area(outline.points) < 0.7 * polygon_area(quad.points)
    (clipped,) = filter_boxes([TextBox(outline.points + np.array([40.25, 0]), 0.9)], page.shape)
    assert clipped.points[:, 0].max() == 199
    assert (clipped.points == np.trunc(clipped.points)).all()


def test_filtering_drops_boxes_of_three_pixels():
    lying = [TextBox(box(10, 10, 50, 10 + height), 0.9) for height in (3, 4)]
    standing = [TextBox(box(10, 10, 10 + width, 50), 0.9) for width in (3, 4)]
    kept = filter_boxes([*lying, *standing], (100, 100))
    assert [b.points.tolist() for b in kept] == [box(10, 10, 50, 14).tolist(), box(10, 10, 14, 50).tolist()]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"\(1, 8, 8\)"):
        boxes_from_map(np.zeros((1, 8, 8), np.float32), source_size=(8, 8))


@pytest.mark.parametrize(
    "option",
    [
        {"threshold": 1.5},
        {"box_threshold": -0.1},
        {"unclip_ratio": 0},
        {"max_candidates": 0},
        {"score_mode": "best"},
        {"min_side": 0},
        {"threshold": float("nan")},
        {"unclip_ratio": float("inf")},
        {"min_side": float("inf")},
    ],
    ids=str,
)
def test_bad_options_are_refused_by_name(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        DBOptions(**option)


def blob(angle: float, size: tuple[float, float]) -> np.ndarray:
    """A map in which an ellipse of a width and height, turned, is text."""
    page = np.zeros((96, 96), np.float32)
    cv2.ellipse(page, ((48.0, 48.0), size, angle), 0.9, -1)
    return page


def angle_of(points: np.ndarray) -> float:
    """Degrees, 0..45, by which a rectangle stands on its corner."""
    x, y = points[1] - points[0]
    return abs((np.degrees(np.arctan2(y, x)) + 45) % 90 - 45)


def test_a_short_blob_lies_upright_and_one_that_runs_aslant_does_not():
    steps = np.zeros((96, 96), np.float32)  # a word of two digits: its blob goes up in steps
    for i in range(6):
        steps[40 - i : 52 - i, 30 + 3 * i : 34 + 3 * i] = 0.9
    (corner,) = boxes_from_map(steps, source_size=steps.shape)
    (upright,) = boxes_from_map(steps, source_size=steps.shape, straighten=True)
    assert angle_of(corner.points) > 10
    assert angle_of(upright.points) == 0
    for page in (blob(30, (60, 14)), blob(30, (34, 16))):
        (same,) = boxes_from_map(page, source_size=page.shape)
        (kept,) = boxes_from_map(page, source_size=page.shape, straighten=True)
        assert angle_of(kept.points) == angle_of(same.points) > 20
