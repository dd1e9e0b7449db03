import numpy as np
import pytest

from ppocr_jax.charset import load_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts, is_wide
from ppocr_jax.synth.glyphs import (
    Lettering,
    advances,
    can_be_column,
    draw_column,
    draw_segments,
    draw_text,
    enlarge_dots,
    mean_advance,
    measure,
    planned_size,
    wide_share,
)
from ppocr_jax.synth.line import LineGenerator
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
    assert mask.shape == placement.size
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


FOLDERS = ["/usr/share/fonts/truetype/wqy", "/usr/share/fonts/truetype/arphic"]
COLUMN_TEXTS = (
    "图书馆藏有珍本古籍",
    "今日营业到十点",
    "北京大学中文系的新生",
    "清明时节雨纷纷，路上行人欲断魂。",
    "入口在左边",
    "注意安全",
)


@pytest.fixture(scope="module")
def wide_faces():
    """Faces with ideographs."""
    for folders in (FOLDERS, None):
        try:
            return [f for f in find_fonts(folders) if f.covers("的图馆")] or pytest.skip("no font with ideographs")
        except NoFontsError:
            continue
    pytest.skip("no font with ideographs on this machine")


def lines(wide_faces, vertical):
    corpus = Corpus(entries=COLUMN_TEXTS)
    return LineGenerator(charset=load_charset("ch"), fonts=wide_faces, corpus=corpus, vertical=vertical)


def test_scripts_are_told_apart():
    assert [is_wide(c) for c in "的あ가，（Ａ"] == [True] * 6
    assert [is_wide(c) for c in "aÉ1,(ｱ €"] == [False] * 8
    assert wide_share("北京 A1") == 0.5
    assert wide_share(" ") == 0
    assert can_be_column("北京")
    assert not can_be_column("北")
    assert not can_be_column("Beijing 北京")


@pytest.mark.parametrize("size", [20, 40])
def test_planned_sizes_of_ideographs_are_those_drawn(wide_faces, size):
    for face in wide_faces[:6]:
        lettering = Lettering(face, size)
        planned, measured = planned_size("图书馆藏 A 12", lettering), measure("图书馆藏 A 12", lettering)
        np.testing.assert_allclose(planned, measured, rtol=0.2)
        assert mean_advance(face, size, "图书馆") == pytest.approx(size, rel=0.1)
        assert mean_advance(face, size) < 0.75 * size
        # A dash alone has the height of an ideograph's line.
        _, top, _, bottom = draw_text("一", lettering, margin=10).box
        assert bottom - top > 0.75 * size


def test_columns_are_upright_characters_turned_together(wide_faces):
    """Turned back, every cell looks like the character drawn alone, at the center reported for it."""
    for face in wide_faces[:4]:
        text, size, margin = "图馆十 1", 40, 10
        ink = draw_column(text, Lettering(face, size), margin=margin)
        upright = np.rot90(ink.mask, -1)
        assert (np.diff(ink.centers) > 0.4 * size).all()
        middle = upright.shape[1] // 2
        for character, y in zip(text, ink.centers, strict=True):
            cell = upright[int(y) - 19 : int(y) + 20, middle - 19 : middle + 20].astype(float)
            alone = draw_text(character, Lettering(face, size), margin=margin).mask if character != " " else None
            if alone is None:
                assert not cell[10:-10].any()
                continue
            assert correlation(crop(cell), crop(alone.astype(float))) > 0.75


def crop(mask):
    """The inked part of a mask, in a fixed size."""
    import cv2

    ys, xs = np.nonzero(mask > 60)
    return cv2.resize(mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1], (24, 24))


def correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_the_box_of_a_column_holds_its_ink(wide_faces):
    for face in wide_faces[:4]:
        ink = draw_column("一丨图（馆）。", Lettering(face, 32), margin=12)
        ys, xs = np.nonzero(ink.mask > 60)
        left, top, right, bottom = ink.box
        assert left <= xs.min() + 1
        assert xs.max() <= right + 1
        assert top <= ys.min() + 1
        assert ys.max() <= bottom + 1
        assert bottom - top > 0.8 * 32
        assert left <= ink.centers[0]
        assert ink.centers[-1] <= right + 16


def test_brackets_lie_and_stops_stand_in_the_corner(wide_faces):
    """In a column a bracket is wider than high, and a full stop is at the upper right of its cell."""
    ink = draw_column("图（。", Lettering(wide_faces[0], 40), margin=10)
    upright = np.rot90(ink.mask, -1)
    middle, (_, bracket_y, stop_y) = upright.shape[1] / 2, ink.centers
    ys, xs = np.nonzero(upright[int(bracket_y) - 20 : int(bracket_y) + 20] > 60)
    assert np.ptp(xs) > 2 * np.ptp(ys)
    ys, xs = np.nonzero(upright[int(stop_y) - 20 :] > 60)
    assert xs.mean() > middle
    assert ys.mean() < 20


def test_columns_occur_as_often_as_asked_for_and_are_long(wide_faces):
    """They are told by the images: without columns the same index is another image."""
    plain, columns = lines(wide_faces, 0.0), lines(wide_faces, 1.0)
    count = 0
    for index in range(60):
        a, b = plain.with_ink(4, index)[0], columns.with_ink(4, index)[0]
        assert a.text == b.text
        height, width = b.image_rgb.shape[:2]
        assert (np.diff(b.char_centers) > -0.5).all()
        changed = a.image_rgb.shape != b.image_rgb.shape or not np.array_equal(a.image_rgb, b.image_rgb)
        if changed:
            count += 1
            assert width >= 1.5 * height
            assert can_be_column(b.text)
    assert count > 10


@pytest.mark.parametrize("aspect", [(1.5, 3), (5, 8)])
def test_aspects_of_ideographs_are_mostly_respected(wide_faces, aspect):
    generator = lines(wide_faces, 0.3)
    shapes = [generator(2, i, aspect=aspect).image_rgb.shape for i in range(40)]
    inside = [aspect[0] - 0.05 <= width / height <= aspect[1] + 0.05 for height, width, _ in shapes]
    assert np.mean(inside) > 0.8


def test_a_wrong_share_is_refused(wide_faces):
    with pytest.raises(ValueError, match="vertical"):
        lines(wide_faces, 1.5)


def test_displays_show_their_digits():
    """Every digit lights other segments: no two are drawn alike, and "8" is all of them."""
    drawn = {c: draw_segments(c, 40, thickness=0.14, ghost=0, margin=4) for c in "0123456789-"}
    masks = {c: ink.mask > 128 for c, ink in drawn.items()}
    assert all((masks[a] != masks[b]).any() for a in masks for b in masks if a < b)
    assert all((masks["8"] | masks[c] == masks["8"]).all() for c in masks)
    ghosts = draw_segments("1", 40, thickness=0.14, ghost=30, margin=4).mask
    assert (ghosts[masks["8"]] > 12).all()
    assert {30, 255} <= set(np.unique(ghosts).tolist())


def test_display_centers_lie_on_their_characters():
    ink = draw_segments("8:8.8", 40, thickness=0.14, ghost=0, margin=4)
    assert (np.diff(ink.centers) > 0).all()
    assert all(ink.mask[:, int(x) - 3 : int(x) + 4].any() for x in ink.centers)
    left, top, right, bottom = (int(v) for v in ink.box)
    assert not ink.mask[:, :left].any()
    assert not ink.mask[:, right + 1 :].any()
    assert bottom - top == 40
    with pytest.raises(ValueError, match="seven segments"):
        draw_segments("8a", 40, thickness=0.14, ghost=0, margin=4)
