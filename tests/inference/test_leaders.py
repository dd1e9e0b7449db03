"""Dots that lead from a text to its page number."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ppocr_jax import OCR
from ppocr_jax.inference.decode import Decoded, texts_beside_leader, without_leader


def decoded(text: str, *, confidence: float = 0.9, start: int = 0) -> Decoded:
    """A line of which each character takes two frames and two blanks follow."""
    positions = tuple(start + 4 * i for i in range(len(text)))
    ends = tuple(p + 2 for p in positions)
    extent, spaces = start + 4.0 * len(text), (0.0,) * len(text)
    return Decoded(text, confidence, positions, (confidence,) * len(text), ends, extent, spaces)


def drawn(left: str, leader: str, right: str, *, width: int = 760) -> np.ndarray:
    """A line of a table of contents, (34, width, 3) uint8."""
    font = ImageFont.truetype("DejaVuSerif.ttf", 22)
    image = Image.new("RGB", (width, 34), "white")
    draw = ImageDraw.Draw(image)
    draw.text((4, 4), left, "black", font)
    end = width - 10 - int(font.getlength(right))
    draw.text((end, 4), right, "black", font)
    x = 14 + int(font.getlength(left))
    while x < end - 8:
        draw.text((x, 4), leader, "black", font)
        x += int(font.getlength(leader)) + 7
    return np.asarray(image)


@pytest.fixture(scope="module")
def ocr() -> OCR:
    return OCR("en")


@pytest.mark.parametrize("leader", [".", "-", "_"])
def test_what_a_leader_leads_from_and_to_is_read(ocr: OCR, leader: str):
    pairs = [("Chapter 3", "12"), ("aptitude", "7.15"), ("Caffe latte", "4.50"), ("files for other packages?", "128")]
    for (left, right), line in zip(pairs, ocr.recognize([drawn(a, leader, b) for a, b in pairs]), strict=True):
        assert line.text.startswith(left), line.text
        assert line.text.endswith(right), line.text
        between = line.text[len(left) : -len(right)].strip()
        assert len(between.strip(leader)) <= 1, line.text  # ends may be taken for another sign
        assert len(between) > 10


def test_words_stay_where_they_are(ocr: OCR):
    image = drawn("Chapter 3", ".", "12")
    words = ocr(image, single_line=True).lines[0].words
    ink = np.flatnonzero((image < 128).any(axis=(0, 2)))
    assert words[0].text == "Chapter"
    assert words[-1].text.endswith("12")
    lefts = [word.quad[0][0] for word in words]
    assert lefts == sorted(lefts)
    assert abs(lefts[0] - ink[0]) < 12
    assert abs(words[-1].quad[1][0] - ink[-1]) < 12


def test_short_runs_and_short_shares_are_left_alone():
    assert texts_beside_leader(decoded("and so on...")) == []
    assert texts_beside_leader(decoded("2024-11-29 ------")) == []
    assert texts_beside_leader(decoded("x" * 40 + "." * 10)) == []
    assert texts_beside_leader(decoded("." * 30)) == []
    assert texts_beside_leader(decoded("")) == []


def test_sides_hold_three_characters_of_the_leader():
    line = decoded("Index " + "." * 20 + " 12")
    (first, left, begin, left_end), (right, last, right_begin, end) = texts_beside_leader(line)
    assert (line.text[first:left], line.text[right:last]) == ("Index ", " 12")
    assert begin == 0
    assert end == line.extent
    assert line.ends[left + 2] <= left_end <= line.positions[left + 3]
    assert line.ends[right - 4] <= right_begin <= line.positions[right - 3]


def test_both_sides_are_put_in_where_they_stand():
    line = decoded("lndex" + " ." * 12 + " I2", confidence=0.5)
    sides = texts_beside_leader(line)
    alone = [decoded("Index . . ."), decoded(". . . 12")]
    whole = without_leader(line, sides, alone)
    assert whole.text == "Index" + " ." * 12 + " 12"
    shift = round(sides[1][2])
    assert whole.positions[-2:] == (shift + 24, shift + 28)
    assert whole.positions[:5] == line.positions[:5]
    assert 0.5 < whole.confidence < 0.9


def test_a_side_that_is_not_read_alone_stays():
    line = decoded("Index" + "." * 20)
    assert without_leader(line, texts_beside_leader(line), [decoded("...")]) == line
