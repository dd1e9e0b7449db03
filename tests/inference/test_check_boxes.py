"""Check boxes beside text."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ppocr_jax.inference.check_boxes import CheckBox, erase_boxes, find_check_boxes
from ppocr_jax.inference.ocr import OCR

SENTENCES = ["Newsletter by mail", "Debit card", "Credit card", "Bank transfer", "Other reasons"]
EMPTY, CROSSED, CHECKED, OUTREACHING = range(4)


def mark(draw, box, kind, color):
    left, top, right, bottom = box
    if kind == CROSSED:
        draw.line((left + 4, top + 4, right - 4, bottom - 4), fill=color, width=2)
        draw.line((right - 4, top + 4, left + 4, bottom - 4), fill=color, width=2)
    elif kind == CHECKED:
        draw.line((left + 5, top + 12, left + 10, bottom - 5, right - 4, top + 5), fill=color, width=2)
    elif kind == OUTREACHING:
        draw.line((left + 4, top + 12, left + 10, bottom - 4, right + 5, top - 6), fill=color, width=2)


def form(texts=SENTENCES, kinds=(EMPTY, CHECKED, EMPTY, CROSSED, OUTREACHING), *, font="DejaVuSans.ttf", dark=False):
    """Return a form (H, W, 3) with a box of 25 pixels before each of its texts, the first at (40, 30), one each 60."""
    paper, ink = ((32, 33, 36), (232, 234, 237)) if dark else ((255, 255, 255), (0, 0, 0))
    image = Image.new("RGB", (640, 40 + 60 * len(texts)), paper)
    draw = ImageDraw.Draw(image)
    for row, (text, kind) in enumerate(zip(texts, kinds, strict=True)):
        box = (40, 30 + 60 * row, 64, 54 + 60 * row)
        draw.rectangle(box, outline=ink, width=2)
        mark(draw, box, kind, ink)
        draw.text((82, 29 + 60 * row), text, font=ImageFont.truetype(font, 22), fill=ink)
    return np.array(image)


@pytest.fixture(scope="module")
def ocr() -> OCR:
    return OCR("en", threads=1)


@pytest.mark.parametrize(("font", "dark"), [("DejaVuSans.ttf", False), ("LiberationMono-Regular.ttf", True)])
def test_boxes_are_written_with_their_marks(ocr, font, dark):
    page = ocr(form(font=font, dark=dark))
    assert [line.text for line in page] == [
        "☐ Newsletter by mail",
        "☑ Debit card",
        "☐ Credit card",
        "☑ Bank transfer",
        "☑ Other reasons",
    ]


def test_a_box_is_a_word_at_its_place(ocr):
    for row, line in enumerate(ocr(form())):
        box = np.array(line.words[0].quad)
        assert line.words[0].text in "☐☑"
        np.testing.assert_allclose(box.mean(axis=0), [52, 42 + 60 * row], atol=8)
        assert line.quad[0][0] < 45


def test_boxes_between_and_behind_words(ocr):
    image = Image.new("RGB", (760, 140), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("DejaVuSans.ttf", 24)
    for x, text, kind in [(30, "Single", EMPTY), (200, "Married", CROSSED), (390, "Widowed", EMPTY)]:
        draw.text((x, 50), text, font=font, fill="black")
        left = x + int(draw.textlength(text, font)) + 12
        draw.rectangle((left, 52, left + 24, 76), outline="black", width=2)
        mark(draw, (left, 52, left + 24, 76), kind, "black")
    assert " ".join(line.text for line in ocr(np.array(image))) == "Single ☐ Married ☑ Widowed ☐"


def test_letters_in_boxes_are_text(ocr):
    image = Image.new("RGB", (400, 260), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype("DejaVuSans.ttf", 24)
    for row, letter in enumerate("ABK"):
        draw.rectangle((40, 30 + 70 * row, 74, 64 + 70 * row), outline="black", width=2)
        draw.text((57, 47 + 70 * row), letter, font=font, fill="black", anchor="mm")
        draw.text((95, 33 + 70 * row), "option of this kind", font=font, fill="black")
    text = ocr(np.array(image)).text
    assert "☑" not in text
    assert "☐" not in text


def test_letters_and_cells_are_no_boxes(ocr):
    image = Image.new("RGB", (700, 300), "white")
    draw = ImageDraw.Draw(image)
    for row, (text, font) in enumerate(
        [
            ("BODO 80880 BB8 D0 E8H", "LiberationMono-Bold.ttf"),
            ("O0 DOB BOB 0080 B", "DejaVuSans-Bold.ttf"),
            ("8 B 0 O D", "DejaVuSansMono-Bold.ttf"),
        ]
    ):
        draw.text((30, 20 + 50 * row), text, font=ImageFont.truetype(font, 16 + 6 * row), fill="black")
    draw.text(
        (30, 150),
        "both from the north, near no one",
        font=ImageFont.truetype("LiberationSerif-Regular.ttf", 30),
        fill="black",
    )
    for column in range(8):
        draw.rectangle((30 + 40 * column, 200, 70 + 40 * column, 240), outline="black")
    assert find_check_boxes(np.array(image), np.full(3, 26.0)) == []


def test_frames_are_found_where_they_are():
    found = find_check_boxes(form(), np.full(5, 28.0))
    assert [(box.left, box.bottom) for box in found] == [(40, 55 + 60 * row) for row in (4, 3, 2, 1, 0)]
    assert {box.bottom for box in found if box.ticked} == {115, 235, 295}
    assert CheckBox(0, 0, 10, 12, False).side == 12


def test_erasing_takes_the_box_and_its_marks_alone():
    image = form(["Other reasons"], [OUTREACHING])
    image[42:45, 58:61] = 0  # touches nothing
    after = erase_boxes(image, find_check_boxes(image, np.array([28.0])))
    assert (after[:, :80] == 255).all()
    np.testing.assert_array_equal(after[:, 80:], image[:, 80:])


def test_large_scans_are_reduced_first():
    large = np.kron(form(), np.ones((4, 4, 1), np.uint8))
    found = find_check_boxes(large, np.full(5, 112.0))
    assert sorted(box.ticked for box in found) == [False, False, True, True, True]
    np.testing.assert_allclose([box.left / 4 for box in found], 40, atol=1)


def test_when_boxes_are_looked_for(ocr):
    image = form()
    assert "☐" not in ocr(image, check_boxes=False).text
    assert "☐" not in OCR("en", letters="0123456789", threads=1)(image).text
    assert "☐" not in OCR("ch", threads=1)(image).text
    assert OCR("ch", threads=1, check_boxes=True)(image).text.startswith("☐ Newsletter")
