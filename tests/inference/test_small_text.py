"""Small text on large pages."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ppocr_jax.images import load_image
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.detect_lines import nearer_side, reduction_warning, rows_share
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.page import prepare_image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def lines(height: float, count: int = 9) -> list[TextBox]:
    return [TextBox(np.array([[0, 0], [200, 0], [200, height], [0, height]], np.float32), 0.9) for _ in range(count)]


@pytest.mark.parametrize(
    ("height", "size", "expected"),
    [
        (30, (1920, 1000), None),  # 15 pixels as seen
        (20, (1920, 1000), 1920),  # 10: twice as near
        (24, (3840, 3000), 3200),  # 6 pixels: more than three times as near
        (10, (900, 900), None),  # not reduced
        (8, (20000, 16000), 4472),  # 16 million pixels at most
    ],
)
def test_lines_should_be_about_twenty_pixels_high(height, size, expected):
    assert nearer_side(lines(height), size, 960) == (pytest.approx(expected, abs=2) if expected else None)


def test_an_empty_page_is_looked_at_again_only_if_it_was_much_reduced():
    assert nearer_side([], (3000, 2000), 960) == 2400
    assert nearer_side([], (1500, 1000), 960) is None


def test_a_warning_where_text_stays_small():
    assert "48% of its 1000x2000 pixels" in reduction_warning(lines(20), (2000, 1000), 960)
    assert reduction_warning(lines(60), (2000, 1000), 960) == ""
    assert reduction_warning(lines(5), (500, 500), 960) == ""


@pytest.fixture(scope="module")
def page() -> np.ndarray:
    """A receipt in the corner of a sheet four times as wide."""
    receipt = load_image(EXAMPLES / "receipt.jpg")
    sheet = np.full((3000, 2600, 3), 245, np.uint8)
    sheet[1000 : 1000 + receipt.shape[0], 900 : 900 + receipt.shape[1]] = cv2.GaussianBlur(receipt, (0, 0), 0.5)
    return sheet


def test_small_text_is_found(page):
    found = OCR("en", threads=1)(page)
    assert {"Subtotal", "TOTAL", "CHANGE", "23.39"} <= {line.text for line in found}
    assert found.warnings == ()


def test_boxes_that_hold_rows_of_text_are_told_from_lines():
    sheet = np.full((300, 300, 3), 240, np.uint8)
    for top in range(20, 100, 20):  # four words below each other
        sheet[top : top + 10, 20:90:12] = 20
        sheet[top : top + 10, 24:90:12] = 20
        sheet[top + 4 : top + 6, 20:90] = 20
    sheet[200:230, 20:200:10] = 20  # a line
    sheet[214:216, 20:200] = 20
    blob = TextBox(np.array([[16, 16], [94, 16], [94, 94], [16, 94]], np.float32), 0.9)
    line = TextBox(np.array([[16, 195], [204, 195], [204, 235], [16, 235]], np.float32), 0.9)
    assert rows_share([blob], sheet) == 1
    assert rows_share([line], sheet) == 0
    assert rows_share([line, blob], 255 - sheet) == 0.5
    beyond = TextBox(np.array([[-9, -9], [400, -9], [400, 9], [-9, 9]], np.float32), 0.9)
    assert rows_share([beyond], sheet) == 0


def test_who_sets_the_limit_gets_nearer_looks_too(page):
    found = OCR("en", threads=1, limit_side=640)(page)
    assert {"Subtotal", "TOTAL", "CHANGE", "23.39"} <= {line.text for line in found}


@pytest.mark.parametrize(
    ("name", "ink", "paper"),
    [("DejaVuSans.ttf", 240, 20), ("DejaVuSans.ttf", 10, 250), ("LiberationMono-Regular.ttf", 240, 20)],
)
def test_lists_of_short_words_in_small_letters_are_found(name, ink, paper):
    """In one look they run together into blobs, or columns, as high as large letters."""
    words = ["market", "garden", "bridge", "castle", "yellow", "winter", "signal", "orange", "planet", "forest"]
    sheet = Image.new("L", (1700, 2200), paper)
    font = ImageFont.truetype(name, 14)
    drawn = []
    for column in range(4):
        for row in range(40 + 5 * column):
            word = words[(3 * row + 7 * column + row // 7) % len(words)]
            ImageDraw.Draw(sheet).text((20 + 420 * column, 30 + 19 * row), word, fill=ink, font=font)
            drawn.append(word)
    found = OCR("en", threads=1)(sheet)
    read = Counter(line.text.replace(" ", "") for line in found)
    assert sum((read & Counter(drawn)).values()) > 0.95 * len(drawn)


def test_one_look_misses_small_text_and_says_so(page):
    found = OCR("en", threads=1)(page, limit_side=640, look_again=False)
    assert len(found) < 20
    assert len(found.warnings) == 1
    assert "limit_side" in found.warnings[0]


@pytest.mark.parametrize(
    ("size", "limit_side", "times"), [((24_000, 400), 960, 2), ((3000, 3000), 1, 2), ((1, 2_000_000), 960, 40)]
)
def test_margins_do_not_multiply_an_image(size, limit_side, times):
    """Around a long strip, they would make its text too small to be found."""
    image = np.full((*size, 3), 255, np.uint8)
    prepared, _ = prepare_image(OCR("en", limit_side=limit_side).stages, image)
    assert prepared.size < times * image.size
