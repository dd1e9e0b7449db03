"""Spaces that a recognizer leaves out, put back where it saw a little of one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import Charset
from ppocr_jax.inference.decode import Decoded, ctc_greedy_decode, put_spaces
from ppocr_jax.inference.recognize import line_words

CHARSET = Charset((*"abcdefgh0123456789.,:-X你好世界", " "))


def read(text: str, *, seen: float = 0.2, charset: Charset = CHARSET) -> Decoded:
    """What a recognizer says that sees `text` and, of each space "_", only a share."""
    rows, classes = [], charset.num_classes
    for c in text:
        row = np.full(classes, 0.0)
        row[0 if c == "_" else charset.ids[c]] = 1.0
        if c == "_":
            row[0], row[classes - 1] = 1 - seen, seen
        blank = np.zeros(classes)
        blank[0] = 1.0
        rows += [row, blank]
    return ctc_greedy_decode(np.array(rows, np.float32).reshape(1, -1, classes), charset)[0]


@pytest.mark.parametrize("text", ["abc_def_gh", "ab_12", "a_b", "1_2_3", "X:_12", "1._ab", "-_ab"])
def test_spaces_of_which_some_was_seen_are_put(text):
    assert read(text).text == text.replace("_", "")
    assert put_spaces(read(text)).text == text.replace("_", " ")


@pytest.mark.parametrize("text", ["abc_def", "ab_12", "a_b"])
def test_what_is_hardly_seen_is_none(text):
    assert put_spaces(read(text, seen=0.01)) == read(text, seen=0.01)


@pytest.mark.parametrize("text", ["", "a", "abc", "ab cd ef"])
def test_what_lacks_nothing_stays_the_same_object(text):
    line = read(text)
    assert put_spaces(line) is line


@pytest.mark.parametrize(
    ("less", "more"),
    [("12_ab", "ab_cd"), ("ab_cd", "ab_:"), ("ab_:", "12_.5"), ("ab_:", "12._5"), ("ab_cd", "ab cdefgh_abcdefgh")],
)
def test_more_is_asked_in_words_and_numbers_and_where_spaces_were_written(less, more):
    def asked(text: str) -> float:
        steps = np.arange(0.005, 0.5, 0.005)
        return float(next(seen for seen in steps if len(put_spaces(read(text, seen=seen)).text) > len(read(text).text)))

    assert asked(less) < asked(more) < 0.5


def test_nothing_is_put_beside_ideographs():
    assert put_spaces(read("你好_世界_abc_def_好", seen=0.4)).text == "你好世界abc def好"


def test_a_charset_without_a_space_gets_none():
    line = read("abcabc", charset=Charset(tuple("abc")))
    assert line.spaces == (0.0,) * 6
    assert put_spaces(line) == line


def test_all_classes_that_are_a_space_count():
    probabilities = np.zeros((1, 3, 5), np.float32)  # a, a little of two spaces, b
    probabilities[0, [0, 2], [1, 2]] = 1.0
    probabilities[0, 1] = [0.6, 0, 0, 0.2, 0.2]
    (line,) = ctc_greedy_decode(probabilities, Charset(("a", "b", " ", " ")))
    assert line.spaces == pytest.approx((0.4, 0.0))


def test_the_expectation_reaches_from_each_character_to_the_next():
    probabilities = np.zeros((1, 6, 4), np.float32)
    likeliest = [1, 1, 0, 0, 2, 0]  # a a - - b -
    probabilities[0, range(6), likeliest] = 0.9
    probabilities[0, :, 3] = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06]
    (line,) = ctc_greedy_decode(probabilities, Charset(("a", "b", " ")))
    assert line.text == "ab"
    assert line.spaces == pytest.approx((0.15, 0.0))


def test_words_stand_where_their_letters_do():
    line = put_spaces(replace(read("abcd___efgh"), extent=22.0))
    quad = np.array([[0, 0], [220, 0], [220, 20], [0, 20]], np.float32)
    first, second = line_words(line, quad)
    assert (first.text, second.text) == ("abcd", "efgh")
    assert 70 < first.quad[1][0] < second.quad[0][0] < 145


@given(st.text("abcd X0123.,", max_size=20), st.lists(st.floats(0.0, 1.0), min_size=20, max_size=20))
def test_only_spaces_are_added(text, spaces):
    line = read(text)
    line = replace(line, spaces=tuple(spaces[: len(line.text)]))
    put = put_spaces(line)
    assert put.text.replace(" ", "") == line.text.replace(" ", "")
    assert len(put.text) == len(put.positions) == len(put.ends) == len(put.char_confidences)
    assert list(put.positions) == sorted(put.positions)
    assert put.confidence == line.confidence
    assert "  " not in put.text or "  " in line.text
    assert put_spaces(put) == put
