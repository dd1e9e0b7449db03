import cv2
import numpy as np
import pytest

from ppocr_jax.document import label_fonts
from ppocr_jax.document.draw import draw_page
from ppocr_jax.document.label_fonts import drawable, font_for
from ppocr_jax.document.page import Line, Page


def quad(left: float, top: float, right: float, bottom: float):
    return ((left, top), (right, top), (right, bottom), (left, bottom))


@pytest.fixture
def image_rgb() -> np.ndarray:
    return np.full((120, 300, 3), 200, np.uint8)


def panel_of(image_rgb: np.ndarray, *lines: Line) -> np.ndarray:
    height, width = image_rgb.shape[:2]
    return draw_page(image_rgb, Page(width, height, lines))[:, width:]


def ink(panel: np.ndarray) -> np.ndarray:
    """Black text pixels; outlines are colored and never dark in all channels."""
    return panel.max(axis=2) < 100


def test_no_lines_leave_the_picture_and_an_empty_panel(image_rgb):
    drawn = draw_page(image_rgb, Page(300, 120, ()))
    assert np.array_equal(drawn[:, :300], image_rgb)
    assert drawn.shape == (120, 600, 3)
    assert (drawn[:, 300:] == 255).all()


def test_outlines_on_the_picture_and_text_in_the_same_place_beside_it(image_rgb):
    before = image_rgb.copy()
    line = Line(quad(40, 30, 260, 70), "Hello World", 0.9)
    drawn = draw_page(image_rgb, Page(300, 120, (line,)))
    assert np.array_equal(image_rgb, before), "the input stays as it is"
    changed = (drawn[:, :300] != image_rgb).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert abs(rows.min() - 30) <= 2
    assert abs(rows.max() - 70) <= 2
    assert abs(columns.min() - 40) <= 2
    assert abs(columns.max() - 260) <= 2
    rows, columns = np.nonzero(ink(drawn[:, 300:]))
    assert len(rows) > 200
    assert 30 <= rows.min() < rows.max() <= 70
    assert 40 <= columns.min() < columns.max() <= 260
    assert rows.max() - rows.min() > 20, "the text fills its box"


def test_long_text_shrinks_into_its_box(image_rgb):
    def extent(text: str) -> tuple[int, int]:
        rows, columns = np.nonzero(ink(panel_of(image_rgb, Line(quad(20, 30, 120, 70), text, 0.9))))
        return int(np.ptp(rows)), int(columns.max())

    short_height, _ = extent("al")
    long_height, right = extent("a long line of text")
    assert long_height < 0.7 * short_height
    assert 100 < right <= 120, "shrunk, but not more than needed"


def test_overlapping_lines_stay_visible(image_rgb):
    below, above = Line(quad(20, 10, 280, 60), "Lower", 0.9), Line(quad(20, 58, 280, 100), "Upper", 0.9)
    big = Line(quad(0, 0, 299, 119), "", 0.9)
    alone = ink(panel_of(image_rgb, below)).sum()
    assert ink(panel_of(image_rgb, below, above, big)).sum() > 1.5 * alone


def test_text_follows_the_quad(image_rgb):
    upright = quad(60, 40, 240, 80)
    turned = (*upright[2:], *upright[:2])
    straight = ink(panel_of(image_rgb, Line(upright, "Flag", 0.9)))
    upside_down = ink(panel_of(image_rgb, Line(turned, "Flag", 0.9, angle=180)))
    window = (slice(40, 81), slice(60, 241))
    same = cv2.matchTemplate(
        np.float32(straight[window]), np.float32(upside_down[window][::-1, ::-1][2:-2, 2:-2]), cv2.TM_CCOEFF_NORMED
    )
    assert same.max() > 0.8


def test_neighbors_have_different_colors(image_rgb):
    lines = [Line(quad(10, 5 + 22 * i, 200, 22 + 22 * i), "", 0.9) for i in range(5)]
    panel = panel_of(image_rgb, *lines)
    colors = [panel[13 + 22 * i, 10].astype(int) for i in range(5)]
    assert min(np.abs(a - b).max() for i, a in enumerate(colors) for b in colors[:i]) > 60


@pytest.mark.parametrize(
    "corners", [quad(-20, -20, 20, 20), quad(290, 110, 320, 140), quad(400, 400, 420, 410), quad(5, 5, 5, 5)]
)
def test_quads_beyond_the_border_and_points(image_rgb, corners):
    assert panel_of(image_rgb, Line(corners, "x", 0.9)).shape == (120, 300, 3)


def test_without_system_fonts_the_built_in_one_is_used(image_rgb, monkeypatch):
    monkeypatch.setattr(label_fonts, "FONTS", ("no-such-font.ttf",))
    label_fonts._face.cache_clear()
    try:
        assert ink(panel_of(image_rgb, Line(quad(40, 30, 260, 70), "Hello", 0.9))).sum() > 100
    finally:
        label_fonts._face.cache_clear()


def test_each_text_has_a_font_that_has_its_characters():
    """Different characters look different: none is the box that stands for what a font lacks."""
    if "U+" in drawable("字体"):
        pytest.skip("needs a font with ideographs, such as fonts-noto-cjk or fonts-wqy-zenhei")
    for text in ("aé€Ж", "字体", "aé字"):
        font = font_for(text, 24)
        assert drawable(text) == text
        assert len({bytes(font.getmask(c)) for c in text}) == len(text)


def test_characters_without_a_font_are_spelled_out(image_rgb):
    assert drawable("a\n\ud800\U0010fffd b") == "aU+000A U+D800 U+10FFFD  b"
    spelled = ink(panel_of(image_rgb, Line(quad(40, 30, 260, 70), "\n\0\ud800", 0.9)))
    assert spelled.sum() > 200


def test_page_of_another_picture(image_rgb):
    with pytest.raises(ValueError, match="the page is of a 100x50 picture, not 300x120"):
        draw_page(image_rgb, Page(100, 50, ()))
