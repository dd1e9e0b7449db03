"""Spaces that a recognizer leaves out, put back by the places of its characters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.recognize import Decoded, line_words, put_spaces


def line(text: str, *, space: float = 0.9, pitch: int = 10) -> Decoded:
    """What a recognizer says that sees `text` and leaves out its spaces; letters are as wide as one another."""
    letters, places, x = [], [], 0.0
    for c in text:
        if c != " ":
            letters.append(c)
            places.append(round(x))
        x += pitch * (space if c == " " else 1.0)
    count, ends = len(letters), tuple(place + 4 for place in places)
    return Decoded("".join(letters), 0.9, tuple(places), (0.9,) * count, ends, extent=x + pitch)


@pytest.mark.parametrize("text", ["the quack poem", "No 2468 Zoo", "abc def ghe", "Sub Code 77", "one day, two"])
def test_gaps_become_spaces(text):
    assert put_spaces(line(text)).text == text


@pytest.mark.parametrize("text", ["unbroken", "2024-05-06", "12.50", "abc", "a b", "", "你好世界你好"])
def test_what_has_no_gaps_or_too_few_letters_stays(text):
    read = line(text, space=0.0)
    assert put_spaces(read) == read


def test_nothing_is_put_beside_ideographs():
    assert put_spaces(line("你好 世界 abcdef 文字", space=2.0)).text == "你好世界abcdef文字"


def test_a_decimal_point_needs_more_room():
    assert put_spaces(line("xyzabc 12. 50", space=0.9)).text == "xyzabc 12.50"
    assert put_spaces(line("xyzabc 12. 50", space=1.8)).text == "xyzabc 12. 50"


def test_spaces_that_were_read_say_how_wide_others_are():
    for space, put in ((0.9, "abcd ef gh ij"), (1.6, "abcd ef gh ij")):
        read = with_spaces("abcd ef", line("abcd ef gh ij", space=space))
        assert put_spaces(read).text == put
    spread = with_spaces("xyz xyz", line("xyz xyz", space=3.0))
    positions = (*spread.positions[:5], spread.positions[5] + 9, spread.positions[6] + 9)  # a wide letter
    assert put_spaces(replace(spread, positions=positions, ends=tuple(p + 4 for p in positions))).text == "xyz xyz"


def with_spaces(beginning: str, read: Decoded) -> Decoded:
    """The same line where the spaces of its beginning were seen."""
    letters, places = list(read.text), list(read.positions)
    for i, c in enumerate(beginning):
        if c == " ":
            letters.insert(i, " ")
            places.insert(i, (places[i - 1] + places[i]) // 2)
    count, ends = len(letters), tuple(place + 4 for place in places)
    return Decoded("".join(letters), 0.9, tuple(places), (0.9,) * count, ends, extent=read.extent)


def test_a_first_character_that_was_seen_early_is_no_word():
    read = line("approval", space=0.0)
    assert put_spaces(replace(read, positions=(-12, *read.positions[1:]), ends=(-8, *read.ends[1:]))).text == "approval"


def test_words_stand_where_their_letters_do():
    read = put_spaces(line("abcd efgh"))
    quad = np.array([[0, 0], [read.extent, 0], [read.extent, 20], [0, 20]], np.float32)
    first, second = line_words(read, quad)
    assert (first.text, second.text) == ("abcd", "efgh")
    assert first.quad[1][0] < 45 < second.quad[0][0]


@given(st.text("abcdnopxyz 0123", max_size=30), st.floats(0.0, 3.0))
def test_only_spaces_are_added(text, space):
    read = line(text, space=space)
    put = put_spaces(read)
    assert put.text.replace(" ", "") == read.text
    assert len(put.text) == len(put.positions) == len(put.ends) == len(put.char_confidences)
    assert list(put.positions) == sorted(put.positions)
    assert put.confidence == read.confidence
