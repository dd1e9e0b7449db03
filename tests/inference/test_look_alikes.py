"""Digits that look like letters, told by what stands around them; spaces around operators and at a line's ends."""

from __future__ import annotations

import re
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import Charset
from ppocr_jax.inference.decode import Decoded, correct_digits, ctc_greedy_decode, space_operators, strip_spaces

CHARSET = Charset((*string.digits, *string.ascii_letters, *".,:-/[]()_#!=<>&|+{;", " "))
ALIKE = {"O": "0", "o": "0", "I": "1", "l": "1"}


def seen(text: str, *, doubt: float) -> np.ndarray:
    """Probabilities (T, K) of a text whose letters might be a digit, too: `doubt` times as likely as the letter."""
    rows = np.zeros((2 * len(text), CHARSET.num_classes), np.float32)
    rows[1::2, 0] = 1
    for row, letter in zip(rows[::2], text, strict=True):
        share = doubt / (1 + doubt) if letter in ALIKE else 0
        row[CHARSET.ids[letter]] = 1 - share
        if share:
            row[CHARSET.ids[ALIKE[letter]]] = share
    return rows


def settled(text: str, *, doubt: float) -> Decoded:
    rows = seen(text, doubt=doubt)
    return correct_digits(ctc_greedy_decode(rows[None], CHARSET)[0], rows, CHARSET)


@pytest.mark.parametrize(
    ("read", "right"),
    [
        ("2I.22", "21.22"),
        ("O0395 HALL", "00395 HALL"),
        ("Fax: 91-I672 4225", "Fax: 91-1672 4225"),
        ("25/o7/2o05", "25/07/2005"),
        ("no:4l2", "no:412"),
    ],
)
def test_a_small_share_of_a_digit_is_enough_within_a_number(read, right):
    assert settled(read, doubt=0.02).text == right
    assert settled(read, doubt=0.002).text == read


@pytest.mark.parametrize(
    ("read", "right"),
    [
        ("FRO1", "FR01"),
        ("5OMM PULL", "50MM PULL"),
        ("2X9OOML", "2X900ML"),
        ("file_O1.txt", "file_01.txt"),
        ("m |= OxFF;", "m |= 0xFF;"),
    ],
)
def test_beside_a_digit_zero_must_be_a_fifth_as_likely(read, right):
    assert settled(read, doubt=0.3).text == right
    assert settled(read, doubt=0.1).text == read


@pytest.mark.parametrize(("read", "right"), [("foo[O]", "foo[0]"), ("a[o] + b", "a[0] + b"), ("f(O)", "f(0)")])
def test_alone_in_brackets_zero_must_be_half_as_likely(read, right):
    assert settled(read, doubt=0.8).text == right
    assert settled(read, doubt=0.3).text == read


@pytest.mark.parametrize(
    "text", ["John O. Smith", "OIL", "Bil1", "I", "ISO", "[OK]", "(Oil)", "level", "O", "", "Oxford", "BOxes"]
)
def test_words_stay(text):
    """However much a letter in a word looks like a digit."""
    assert settled(text, doubt=0.9).text == text


@pytest.mark.parametrize("text", ["10l", "250 l", "12o"])
def test_what_may_be_a_unit_behind_a_number_asks_for_more(text):
    assert settled(text, doubt=0.02).text == text


@given(st.text(alphabet=st.sampled_from("0123456789OoIlABx.,:-/[]()_# "), max_size=16), st.floats(0, 0.9))
def test_only_doubtful_letters_become_their_digits(text, doubt):
    line = settled(text, doubt=doubt)
    assert len(line.text) == len(text)
    assert all(new == old or new == ALIKE.get(old) for old, new in zip(text, line.text, strict=True))
    assert settled(text, doubt=0.0).text == text
    assert line.confidence == pytest.approx(np.mean(line.char_confidences) if text else 0)
    changed = [c for c, old, new in zip(line.char_confidences, text, line.text, strict=True) if old != new]
    assert changed == pytest.approx([1.0] * len(changed))  # the letter's share and the digit's


def test_a_charset_without_digits_keeps_its_letters():
    letters = Charset(tuple("IO"))
    rows = np.array([[0, 0.6, 0.4], [1, 0, 0], [0, 0.2, 0.8]], np.float32)
    assert correct_digits(ctc_greedy_decode(rows[None], letters)[0], rows, letters).text == "IO"


@given(st.text(alphabet=st.sampled_from("ab "), max_size=10))
def test_spaces_at_the_ends_go_and_others_stay_one_by_one_in_their_place(text):
    line = ctc_greedy_decode(seen(text, doubt=0)[None], CHARSET)[0]
    stripped = strip_spaces(line)
    assert stripped.text == " ".join(text.split())
    assert stripped.extent == line.extent
    kept = [match.start() for match in re.finditer(r"\S| +(?=\S)", text) if match.start() or text[0] != " "]
    assert stripped.positions == tuple(line.positions[i] for i in kept)
    assert len(stripped.ends) == len(stripped.spaces) == len(stripped.char_confidences) == len(stripped.text)
    assert stripped.confidence == pytest.approx(1.0 if stripped.text else 0.0)


@pytest.mark.parametrize(
    ("read", "right"),
    [
        ("if (a!= b && c<= d) {", "if (a != b && c <= d) {"),
        ("x +=1; f(y)== 2", "x += 1; f(y) == 2"),
        ("a &&b", "a && b"),
        *((same, same) for same in ("a!=b", "n >=30", "<= 18", "a = b", "a || b", "a| b", "= =", "!= a", "")),
    ],
)
def test_operators_have_spaces_on_both_sides_or_none(read, right):
    line = ctc_greedy_decode(seen(read, doubt=0)[None], CHARSET)[0]
    spaced = space_operators(line)
    assert spaced.text == right
    assert space_operators(spaced) is spaced
    assert [p for c, p in zip(spaced.text, spaced.positions, strict=True) if c != " "] == [
        p for c, p in zip(read, line.positions, strict=True) if c != " "
    ]
    assert sorted(spaced.positions) == list(spaced.positions)
