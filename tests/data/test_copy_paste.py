"""CopyPaste: pasted regions lie where their polygons say, on free ground, as many as the paper's rule allows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppocr_jax.data import copy_paste as module
from ppocr_jax.data.copy_paste import can_donate, copy_paste, rotate_expanded
from ppocr_jax.data.labels import Region

SEEDS = st.integers(0, 2**32 - 1)
HEIGHT, WIDTH = 240, 320
GRAY = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)


def quad(left: float, top: float, width: float, height: float, degrees: float = 0.0) -> np.ndarray:
    """A rectangle turned about its top left corner."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)])
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return (corners @ [(cos, sin), (-sin, cos)] + (left, top)).astype(np.float32)


def region(points: np.ndarray, text: str = "text", ignore: bool = False) -> Region:
    return Region(points, text, ignore)


def grid(count: int, *, ignored: int = 0) -> tuple[np.ndarray, list[Region]]:
    """A donor whose region number i, 24 x 8 pixels, is filled with the gray level 250 - i and called by its number."""
    donor = np.zeros((20 * (count // 5 + 1), 150, 3), np.uint8)
    regions = []
    for i in range(count):
        left, top = 30 * (i % 5) + 2, 20 * (i // 5) + 5
        donor[top : top + 8, left : left + 24] = 250 - i % 200
        regions.append(region(quad(left, top, 24, 8), str(i), i < ignored))
    return donor, regions


def coverage(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Share of each pixel that lies in the polygon, drawn 8 times as large; points at pixel corners."""
    big = np.zeros((height * 8, width * 8), np.uint8)
    cv2.fillPoly(big, [np.round(polygon * 8 - 0.5).astype(np.int32)], 255)
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA) / 255


def soft_iou(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.minimum(a, b).sum() / np.maximum(a, b).sum())


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, degrees=st.floats(-180, 180), width=st.integers(9, 90), height=st.integers(8, 40))
def test_polygons_lie_on_what_was_pasted(seed: int, degrees: float, width: int, height: int) -> None:
    """A white quad, in any position in the donor, becomes a white quad in the image under the new polygon."""
    source = quad(150, 150, width, height, degrees)
    donor = np.repeat((coverage(source, 300, 300) * 255).astype(np.uint8)[..., None], 3, axis=2)
    # The crop's edge pixels mix white and black, as the white ends there: judge with the surroundings white too.
    donor = cv2.dilate(donor, np.ones((9, 9)))
    own = region(quad(20, 20, 60, 25))
    out, regions = copy_paste(np.random.default_rng(seed), GRAY, [own], donor, [region(source, "new")])
    np.testing.assert_array_equal(GRAY, 100, "the input was changed")
    if len(regions) == 1:  # no place found
        np.testing.assert_array_equal(out, GRAY)
        return
    assert [r.text for r in regions] == ["text", "new"]
    got = (out[..., 0].astype(float) - 100) / 155
    assert soft_iou(got, coverage(regions[1].points, HEIGHT, WIDTH)) > 0.9
    sides = np.linalg.norm(regions[1].points - np.roll(regions[1].points, -1, axis=0), axis=1)
    assert sides[0] > sides[1] / 1.5  # lines that run downwards were turned
    np.testing.assert_allclose(sorted(sides[:2]), sorted((width, height)), atol=1.01)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, count=st.integers(1, 60), own=st.integers(0, 6))
def test_boxes_do_not_touch_and_old_text_stays(seed: int, count: int, own: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    before = image.copy()
    old = [region(quad(rng.uniform(0, 250), rng.uniform(0, 200), 60, 25), ignore=i == 0) for i in range(own)]
    donor, donor_regions = grid(count)
    out, regions = copy_paste(rng, image, old, donor, donor_regions)
    assert [r.text for r in regions[:own]] == [r.text for r in old]
    assert [r.ignore for r in regions[:own]] == [r.ignore for r in old]
    boxes = [(*r.points.min(axis=0), *r.points.max(axis=0)) for r in regions]
    for i in range(own, len(boxes)):
        for j in range(i):
            a, b = boxes[i], boxes[j]
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    changed = (out != before).any(axis=2)
    new = np.zeros((HEIGHT, WIDTH), np.uint8)
    for pasted in regions[own:]:
        cv2.fillPoly(new, [np.round(pasted.points).astype(np.int32)], 1)
        assert (pasted.points >= 0).all()
        assert (pasted.points <= (WIDTH, HEIGHT)).all()
        x, y = pasted.points.mean(axis=0).astype(int)
        assert out[y, x, 0] == 250 - int(pasted.text)  # the text belongs to the image
    assert not changed[cv2.dilate(new, np.ones((5, 5))) == 0].any()
    np.testing.assert_array_equal(image, before, "the input was changed")


# 0.2 of the donor's regions, truncated, at least 1, at most 30; the ignored ones count but are not pasted.
@pytest.mark.parametrize(
    ("count", "ignored", "expected"),
    [(1, 0, 1), (9, 0, 1), (10, 0, 2), (14, 0, 2), (15, 0, 3), (149, 0, 29), (200, 0, 30), (20, 18, 2), (25, 20, 5)],
)
def test_how_many_are_pasted(count: int, ignored: int, expected: int) -> None:
    donor, regions = grid(count, ignored=ignored)
    wide = np.full((1500, 1500, 3), 100, np.uint8)
    _, out = copy_paste(np.random.default_rng(0), wide, [], donor, regions)
    assert len(out) == expected
    texts = {int(r.text) for r in out}
    assert len(texts) == expected
    assert min(texts) >= ignored
    assert not any(r.ignore for r in out)


def test_every_legible_region_and_every_angle_is_drawn() -> None:
    donor, regions = grid(8, ignored=2)
    texts, angles = set(), set()
    for seed in range(150):
        _, out = copy_paste(np.random.default_rng(seed), GRAY, [], donor, regions)
        texts.add(out[0].text)
        top = out[0].points[1] - out[0].points[0]
        angles.add(round(float(np.rad2deg(np.arctan2(-top[1], top[0]))) % 360, 2))
    assert texts == {"2", "3", "4", "5", "6", "7"}
    assert all(angle == pytest.approx(round(angle), abs=0.02) for angle in angles)
    assert len(angles) > 100
    assert {int(angle // 90) for angle in angles} == {0, 1, 2, 3}


def test_nothing_is_pasted_where_everything_is_taken_or_too_small() -> None:
    donor, regions = grid(10)
    full = [region(quad(0, 0, WIDTH, HEIGHT))]
    out, left = copy_paste(np.random.default_rng(0), GRAY, full, donor, regions)
    np.testing.assert_array_equal(out, GRAY)
    assert len(left) == 1
    small = GRAY[:6, :20]
    out, left = copy_paste(np.random.default_rng(0), small, [], donor, regions)
    np.testing.assert_array_equal(out, small)
    assert left == []


def test_fifty_places_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        tries = 0

        def integers(self, low, high):
            self.tries += 1
            return np.zeros(2, int)

    rng = Counting()
    taken = [region(quad(0, 0, 40, 40))]
    assert module._free_place(rng, (HEIGHT, WIDTH), (8, 24), quad(0, 0, 24, 8), taken) is None
    assert rng.tries == 50


def test_touching_boxes_count_as_taken() -> None:
    def place(gap: float) -> np.ndarray | None:
        taken = [region(quad(24 + gap, 0, 40, 8))]
        return module._free_place(np.random.default_rng(0), (8, 24), (8, 24), quad(0, 0, 24, 8), taken)

    assert place(0) is None
    np.testing.assert_array_equal(place(0.5), (0, 0))


def test_regions_are_clipped_to_the_image() -> None:
    donor, regions = grid(1)
    outside = region(quad(-10, 220, 60, 50), "old", ignore=True)
    _, (clipped, _) = copy_paste(np.random.default_rng(0), GRAY, [outside], donor, regions)
    np.testing.assert_array_equal(clipped.points, [(0, 220), (50, 220), (50, HEIGHT), (0, HEIGHT)])
    assert (clipped.text, clipped.ignore) == ("old", True)


def test_thin_regions_are_left_out() -> None:
    donor, _ = grid(1)
    out, regions = copy_paste(np.random.default_rng(0), GRAY, [], donor, [region(quad(2, 2, 20, 0.4))])
    np.testing.assert_array_equal(out, GRAY)
    assert regions == []


def test_donors_are_checked() -> None:
    donor, (first, *_) = grid(1)
    polygon = region(np.float32([(0, 0), (9, 0), (9, 9), (4, 12), (0, 9)]))
    ignored = region(first.points, ignore=True)
    assert can_donate([first, ignored])
    for regions in ([], [ignored], [first, polygon]):
        assert not can_donate(regions)
        with pytest.raises(ValueError, match="donor"):
            copy_paste(np.random.default_rng(0), GRAY, [], donor, regions)


@pytest.mark.parametrize("turns", range(4))
def test_right_angles_are_exact(turns: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    out, opacity, corners = rotate_expanded(image, 90 * turns)
    np.testing.assert_array_equal(out, np.rot90(image, turns))
    np.testing.assert_array_equal(opacity, 1)
    assert set(map(tuple, np.round(corners))) == {(0, 0), (out.shape[1], 0), out.shape[1::-1], (0, out.shape[0])}


@settings(max_examples=25, deadline=None)
@given(degrees=st.integers(0, 359), height=st.integers(5, 40), width=st.integers(5, 90))
def test_rotation_equals_pillows(degrees: int, height: int, width: int) -> None:
    """Where both have the image, it is the same up to the fraction of a pixel by which the canvases differ."""
    ramp = np.stack(np.meshgrid(np.arange(width) * 2, np.arange(height) * 2), axis=-1)
    image = np.concatenate([ramp, np.zeros((height, width, 1), int)], axis=2).astype(np.uint8)
    out, opacity, _ = rotate_expanded(image, degrees)
    rotated = Image.fromarray(image).convert("RGBA").rotate(degrees, Image.Resampling.BILINEAR, expand=True)
    expected = np.array(rotated).astype(int)
    assert np.abs(np.subtract(out.shape[:2], expected.shape[:2])).max() <= 2
    rows, columns = np.minimum(out.shape[:2], expected.shape[:2])
    both = (opacity[:rows, :columns] > 0.99) & (expected[:rows, :columns, 3] > 250)
    assert both.sum() > 0.4 * (opacity > 0.99).sum() - 4
    difference = out[:rows, :columns].astype(int) - expected[:rows, :columns, :3]
    assert np.abs(difference[both]).max(initial=0) <= 6
    assert opacity.sum() == pytest.approx(height * width, rel=0.03)
