"""Where words and characters stand: by hand, by properties, and on a drawn page that is read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import load_charset
from ppocr_jax.document.page import Page
from ppocr_jax.geometry import perspective_crop, split_quad
from ppocr_jax.inference.decode import Decoded, ctc_greedy_decode
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.recognize import line_words

EN = load_charset("en")
BOX = np.array([(100, 50), (200, 50), (200, 70), (100, 70)], np.float32)


def decode(runs: list[tuple[str, int]]) -> Decoded:
    """Decoded frames: each character, or "" for the blank, for some frames."""
    ids = [i for text, count in runs for i in [EN.encode(text)[0] if text else 0] * count]
    probabilities = np.eye(EN.num_classes, dtype=np.float32)[ids]
    return ctc_greedy_decode(probabilities[None], EN)[0]


def test_characters_reach_to_the_middle_between_their_frames():
    line = decode([("", 1), ("a", 2), ("", 3), ("b", 2), ("", 1), (" ", 1), ("", 2), ("c", 4), ("", 4)])
    assert (line.positions, line.ends, line.extent) == ((1, 6, 9, 12), (3, 8, 10, 16), 20)
    ab, c = line_words(line, BOX)  # centers at frames 2, 7, 9.5, 14 of 20: 5 pixels a frame
    assert (ab.text, c.text) == ("ab", "c")
    assert ab.quad == pytest.approx(np.array([(100, 50), (141.25, 50), (141.25, 70), (100, 70)]), abs=1e-4)
    assert ab.chars[0].quad[1] == pytest.approx((122.5, 50), abs=1e-4)
    assert c.quad[0] == pytest.approx((158.75, 50), abs=1e-4)
    assert c.quad[2] == pytest.approx((181.25, 70), abs=1e-4)


def test_padding_does_not_count():
    line = decode([("", 2), ("a", 1), ("", 2), ("b", 1), ("", 14)])
    padded = Decoded(line.text, line.confidence, line.positions, line.char_confidences, line.ends, extent=10.0)
    (half,), (whole,) = (line_words(decoded, BOX) for decoded in (line, padded))
    assert (whole.quad[1][0] - 100) == pytest.approx(2 * (half.quad[1][0] - 100), abs=1e-4)


def test_one_character_is_the_line_and_no_text_has_no_words():
    assert line_words(decode([("", 3), ("x", 1), ("", 1)]), BOX)[0].quad == pytest.approx(BOX, abs=1e-4)
    assert line_words(decode([("", 5)]), BOX) == ()


def test_words_end_with_their_line_though_more_of_it_was_read():
    line = decode([("a", 2), ("", 4), (" ", 1), ("", 3), ("b", 2)])
    first, last = line_words(line, BOX, margins=(0.3, 0.6))
    assert first.quad[0] == pytest.approx((100, 50), abs=1e-4)
    assert last.quad[1] == pytest.approx((200, 50), abs=1e-4)


@given(st.text(st.sampled_from("ab 1"), min_size=1, max_size=20), st.integers(0, 2**32 - 1))
def test_words_are_the_text_and_follow_each_other(text, seed):
    rng = np.random.default_rng(seed)
    runs = [run for c in text for run in (("", int(rng.integers(1, 3))), (c, int(rng.integers(1, 3))))]
    line = decode(runs)
    words = line_words(line, BOX)
    assert line.text == text
    assert [word.text for word in words] == text.split()
    bounds = [x for word in words for x in (word.quad[0][0], word.quad[1][0])]
    assert bounds == sorted(bounds)
    for word in words:
        edges = [x for char in word.chars for x in (char.quad[0][0], char.quad[1][0])]
        assert edges == sorted(edges)
        assert edges[1:-1:2] == edges[2::2]
        assert word.confidence == pytest.approx(1)


def test_cuts_lie_where_the_crop_shows_them():
    """A mark painted on the page at a cut appears in the flattened crop at that fraction of its width."""
    quad = np.array([(60, 40), (340, 90), (330, 150), (50, 120)], np.float32)
    for cut in (0.1, 0.37, 0.8):
        (top, bottom) = split_quad(quad, np.array([cut]))[0]
        x, y = (top + bottom) / 2
        page = np.zeros((200, 400, 3), np.uint8)
        page[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2] = 255
        crop = perspective_crop(page, quad)[..., 0].astype(float)
        seen = (crop.sum(axis=0) * np.arange(crop.shape[1])).sum() / crop.sum()
        assert seen / crop.shape[1] == pytest.approx(cut, abs=0.01)


def test_words_of_a_drawn_page_stand_where_they_were_drawn():
    from PIL import Image, ImageDraw, ImageFont

    words = ("TOTAL", "AMOUNT", "1250.00")
    font = ImageFont.load_default(size=40)
    image = Image.new("RGB", (900, 200), "white")
    draw, x, drawn = ImageDraw.Draw(image), 80.0, []
    for word in words:
        draw.text((x, 70), word, "black", font)
        drawn.append((x, x + font.getlength(word)))
        x += font.getlength(word + " ")
    page = OCR("en", threads=1)(np.asarray(image))
    assert [word.text for word in page.words] == list(words)
    for word, (left, right) in zip(page.words, drawn, strict=True):
        xs = [x for x, _ in word.quad]
        assert min(xs) == pytest.approx(left, abs=16)  # less than a letter
        assert max(xs) == pytest.approx(right, abs=16)
    assert Page.from_dict(page.to_dict(words=True)).words[0].text == "TOTAL"
    assert "words" not in page.to_dict()["lines"][0]
