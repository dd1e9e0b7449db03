import numpy as np
import pytest

from ppocr_jax.charset import load_charset
from ppocr_jax.synth.column import can_be_column, draw_column
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts
from ppocr_jax.synth.glyph_metrics import is_wide, wide_share
from ppocr_jax.synth.glyphs import Lettering, draw_text, mean_advance, measure, planned_size
from ppocr_jax.synth.text_line import LineGenerator

FOLDERS = ["/usr/share/fonts/truetype/wqy", "/usr/share/fonts/truetype/arphic"]
TEXTS = (
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
    corpus = Corpus(entries=TEXTS)
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
    """They are told by the pictures: without columns the same index is another picture."""
    plain, columns = lines(wide_faces, 0.0), lines(wide_faces, 1.0)
    count = 0
    for index in range(60):
        a, b = plain.drawn(4, index)[0], columns.drawn(4, index)[0]
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
