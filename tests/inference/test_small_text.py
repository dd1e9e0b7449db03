"""Small text on large pages."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from ppocr_jax.images import load_image
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.look import nearer_side, reduction_warning
from ppocr_jax.inference.ocr import OCR

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


def test_who_sets_the_limit_gets_nearer_looks_too(page):
    found = OCR("en", threads=1, limit_side=640)(page)
    assert {"Subtotal", "TOTAL", "CHANGE", "23.39"} <= {line.text for line in found}


def test_one_look_misses_small_text_and_says_so(page):
    found = OCR("en", threads=1)(page, limit_side=640, look_again=False)
    assert len(found) < 20
    assert len(found.warnings) == 1
    assert "limit_side" in found.warnings[0]
