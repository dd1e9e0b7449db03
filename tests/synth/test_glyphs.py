import numpy as np
import pytest

from ppocr_jax.synth.glyphs import (
    Lettering,
    advances,
    draw_text,
    enlarge_dots,
    mean_advance,
    measure,
    planned_size,
)
from ppocr_jax.synth.warp import Tilt, place

TEXTS = ["AVAToTyp.", "Total 1.50", "| | |", "fi ffl", "i", "RM 9.00 W,"]


@pytest.mark.parametrize("text", TEXTS)
def test_advances_are_the_lengths_of_prefixes(faces, text):
    for face in faces[:12]:
        font = face.at(30)
        starts, ends = advances(text, Lettering(face, 30))
        np.testing.assert_allclose(ends, [font.getlength(text[: i + 1]) for i in range(len(text))], atol=0.05)
        np.testing.assert_allclose(ends - starts, [font.getlength(c) for c in text], atol=0.05)


def test_tracking_and_wide_spaces_move_what_follows(faces):
    plain, _ = advances("ab cd", Lettering(faces[0], 40))
    tracked, _ = advances("ab cd", Lettering(faces[0], 40, tracking=0.1))
    np.testing.assert_allclose(tracked - plain, 4 * np.arange(5), atol=0.01)
    wide, _ = advances("ab cd", Lettering(faces[0], 40, space_scale=3))
    space = faces[0].at(40).getlength(" ")
    np.testing.assert_allclose(wide - plain, [0, 0, 0, 2 * space, 2 * space], atol=0.01)


@pytest.mark.parametrize(
    "changes", [{}, {"tracking": 0.15}, {"space_scale": 2.5}, {"stroke": 1.0}, {"pixelated": True}]
)
def test_the_box_holds_all_ink_and_centers_are_on_their_bars(faces, changes):
    lettering = Lettering(faces[0], 40, **changes)
    ink = draw_text("l l l l", lettering, margin=12)
    ys, xs = np.nonzero(ink.mask > 60)
    left, top, right, bottom = ink.box
    assert (left, right) == pytest.approx((xs.min(), xs.max() + 1), abs=1.5)
    assert top - 1.5 <= ys.min()
    assert ys.max() <= bottom + 1.5
    np.testing.assert_allclose(bar_middles(ink.mask), ink.centers[::2], atol=2)
    width, height = measure("l l l l", lettering)
    assert height == pytest.approx(bottom - top, abs=1.5)
    # Before drawing, the white beside the outer characters counts too.
    assert right - left - 1 <= width <= right - left + 0.3 * lettering.size


@pytest.mark.parametrize("text", ["Total 12.50", "gypsum", "x", "NO. 1", "a b c"])
@pytest.mark.parametrize("changes", [{}, {"tracking": 0.15}, {"space_scale": 2.5}, {"stroke": 1.5}])
def test_planned_sizes_are_close_to_measured_ones(faces, text, changes):
    for face in faces[::5]:
        lettering = Lettering(face, 30, **changes)
        planned, measured = planned_size(text, lettering), measure(text, lettering)
        assert planned[0] == pytest.approx(measured[0], abs=0.25 * 30)
        assert planned[1] == pytest.approx(measured[1], rel=0.25)


def test_mean_advances_are_those_of_ordinary_text(faces):
    text = "The quick brown fox paid 12.50 at 7 in Kuala Lumpur"
    for face in faces[::3]:
        assert mean_advance(face, 40) == pytest.approx(face.at(40).getlength(text) / len(text), rel=0.15)


def test_ink_beyond_the_planned_height_is_inside_the_box(faces):
    """Accents stand above a capital's height."""
    ink = draw_text("ÊÑ", Lettering(faces[0], 40), margin=12)
    rows = np.flatnonzero((ink.mask > 60).any(axis=1))
    assert ink.box[1] - 1.5 <= rows[0]
    assert rows[0] > 0


def test_uncovered_text_is_refused(faces):
    with pytest.raises(ValueError, match="cannot draw"):
        draw_text("a\U0010fffd", Lettering(faces[0], 20), margin=2)


def test_dots_keep_box_and_centers_on_the_ink(faces):
    ink = draw_text("l l l", Lettering(faces[0], 16, pixelated=True), margin=8)
    for round_dots in (False, True):
        large = enlarge_dots(ink, 5, round_dots=round_dots)
        np.testing.assert_allclose(bar_middles(large.mask), 5 * np.array(bar_middles(ink.mask)) + 2, atol=0.6)
        np.testing.assert_allclose(large.centers, 5 * ink.centers + 2, atol=0.01)


@pytest.mark.parametrize(
    "tilt",
    [
        Tilt(),
        Tilt(stretch=0.7),
        Tilt(angle=0.05),
        Tilt(angle=-0.05, shear=0.25),
        Tilt(perspective=(0.12, -0.1)),
        Tilt(bend=0.12, phase=1.0),
        Tilt(stretch=1.3, angle=0.04, shear=-0.2, perspective=(-0.1, 0.1), bend=-0.1, phase=4.0),
    ],
)
def test_placed_points_lie_on_the_bars_they_belong_to(faces, tilt):
    """Bars far apart, drawn without noise: their columns' intensity peaks must be where the map sends their middles."""
    text = "l    l    l    l    l"
    ink = draw_text(text, Lettering(faces[0], 48), margin=40)
    placement = place(ink, tilt, height=48, fill=0.8, margins=(0.3, 0.3), lift=0.5)
    mask = placement.mask(ink.mask)
    assert mask.shape == placement.size[::-1]
    original = bar_middles(ink.mask)
    middle_y = (ink.box[1] + ink.baseline) / 2
    points = placement.points(np.array([(x, middle_y) for x in original]))
    for x, y in points:
        row = mask[round(y)].astype(float)
        near = slice(max(0, round(x) - 8), round(x) + 9)
        peak = (row[near] * np.arange(near.start, min(near.stop, len(row)))).sum() / row[near].sum()
        assert peak == pytest.approx(x, abs=0.7)


def bar_middles(mask):
    """x of the middle of every run of inked columns."""
    inked = np.concatenate([[False], (mask > 60).any(axis=0), [False]])
    edges = np.flatnonzero(np.diff(inked.astype(int)))
    return [(a + b - 1) / 2 for a, b in zip(edges[::2], edges[1::2], strict=True)]
