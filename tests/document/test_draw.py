import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ppocr_jax.document.draw import LabelFonts, draw_page
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


def test_no_lines_leave_the_image_and_an_empty_panel(image_rgb):
    drawn = draw_page(image_rgb, Page(300, 120, ()))
    assert np.array_equal(drawn[:, :300], image_rgb)
    assert drawn.shape == (120, 600, 3)
    assert (drawn[:, 300:] == 255).all()


def test_outlines_on_the_image_and_text_in_the_same_place_beside_it(image_rgb):
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


def written(text: str, fonts: LabelFonts, size: int = 24) -> np.ndarray:
    """Ink (40, 400) of a text, 0 or 255, on a baseline in row 30."""
    image = Image.new("RGB", (400, 40), "white")
    fonts.draw(ImageDraw.Draw(image), (4, 30), text, size, (0, 0, 0), anchor="ls")
    return np.asarray(image)[..., 0] < 128


def test_without_system_fonts_the_built_in_one_is_used():
    fonts = LabelFonts(["no-such-font.ttf"])
    assert written("Hello", fonts).sum() > 100
    assert not np.array_equal(written("Hello", fonts), written("Jello", fonts))


def test_each_character_has_a_font_that_has_it():
    """A font is looked for character by character: ideographs beside Latin letters need no font that has both."""
    fonts = LabelFonts()
    if np.array_equal(written("字", fonts), written("U+5B57 ", fonts)):
        pytest.skip("needs a font with ideographs, such as fonts-noto-cjk or fonts-droid-fallback")
    characters = "aé€Ж字体"
    images = [written(c, fonts) for c in characters]
    assert all(image.any() for image in images)
    different = [not np.array_equal(a, b) for i, a in enumerate(images) for b in images[:i]]
    assert all(different), "one of them is the box that stands for what a font lacks"
    together = written(characters, fonts)
    assert together.sum() == pytest.approx(sum(image.sum() for image in images), rel=0.1)


def test_fonts_stand_on_one_baseline():
    """The second font is only there for the sharp; letters of the first stand where they would without it."""
    if not all(map(can_open, ("DejaVuSans.ttf", "LiberationSans-Regular.ttf"))):
        pytest.skip("needs fonts-dejavu-core and fonts-liberation")
    both = LabelFonts(["LiberationSans-Regular.ttf", "DejaVuSans.ttf"])
    alone = written("HH", both)
    assert np.array_equal(np.nonzero(alone.any(axis=1)), np.nonzero(written("H\u2588H", both)[:, :20].any(axis=1)))
    assert both.length("H\u266fH", 24) > both.length("HH", 24)


def can_open(name: str) -> bool:
    try:
        return bool(ImageFont.truetype(name, 10))
    except OSError:
        return False


def test_anchors():
    fonts = LabelFonts()
    image = Image.new("RGB", (200, 60), "white")
    pen = ImageDraw.Draw(image)
    fonts.draw(pen, (100, 30), "xox", 20, (0, 0, 0), anchor="rm")
    rows, columns = np.nonzero(np.asarray(image)[..., 0] < 128)
    assert 90 < columns.max() <= 100
    assert 100 - columns.min() == pytest.approx(fonts.length("xox", 20), abs=4)
    assert 20 < rows.min() < rows.max() < 45


def test_characters_without_a_font_are_spelled_out(image_rgb):
    fonts = LabelFonts()
    for text, spelled in (("\n", "U+000A "), ("\ud800", "U+D800 "), ("a\U0010fffd b", "aU+10FFFD  b")):
        assert np.array_equal(written(text, fonts), written(spelled, fonts))
    assert ink(panel_of(image_rgb, Line(quad(40, 30, 260, 70), "\n\0\ud800", 0.9))).sum() > 200


def test_page_of_another_image(image_rgb):
    with pytest.raises(ValueError, match="the page is of a 100x50 image, not 300x120"):
        draw_page(image_rgb, Page(100, 50, ()))
