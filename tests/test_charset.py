import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import (
    BUILTIN_CHARSETS,
    Charset,
    UnknownCharacterError,
    encode_label,
    load_charset,
)

GOLDEN = json.loads((Path(__file__).parent / "golden" / "pipeline.json").read_text(encoding="utf-8"))
SMALL_SPACE = Charset((*GOLDEN["dict_small"], " "))
ENGLISH = load_charset("en")


@pytest.mark.parametrize("case", GOLDEN["ctc_encode"], ids=lambda case: case["text"][:6] or "empty")
def test_labels_equal_the_reference(case):
    ids = encode_label(case["text"], SMALL_SPACE)
    if case["out"] is None:
        assert ids is None
    else:
        assert len(ids) == case["out"]["length"]
        assert ids + [0] * (25 - len(ids)) == case["out"]["label"]


def test_the_length_limit_counts_skipped_characters_too():
    assert encode_label("世z", SMALL_SPACE, max_length=2) == [3]
    assert encode_label("世zz", SMALL_SPACE, max_length=2) is None


def test_a_set_without_capitals_gets_lower_case_labels():
    alphanumeric = load_charset("alphanumeric")
    assert alphanumeric.num_classes == 37
    assert encode_label("A-z 09", alphanumeric) == [11, 36, 1, 10]
    assert encode_label("aB", SMALL_SPACE) is None  # "b" is in this set, but so is the capital "A"


@given(st.text(alphabet=st.sampled_from(ENGLISH.characters)))
def test_decode_is_the_inverse_of_encode(text):
    assert ENGLISH.decode(ENGLISH.encode(text)) == text


def test_class_0_is_the_blank_and_the_space_comes_last():
    assert ENGLISH.ids["!"] == 1
    assert ENGLISH.ids[" "] == ENGLISH.num_classes - 1 == len(ENGLISH) == 100
    assert ENGLISH.decode([0, ENGLISH.ids["A"], 0, ENGLISH.ids["A"]]) == "AA"


def test_unknown_characters_raise_or_are_skipped():
    with pytest.raises(UnknownCharacterError, match="世"):
        ENGLISH.encode("a世b")
    assert ENGLISH.encode("a世b", unknown="skip") == ENGLISH.encode("ab")
    with pytest.raises(ValueError, match="'drop'"):
        ENGLISH.encode("a", unknown="drop")


@pytest.mark.parametrize("name", BUILTIN_CHARSETS)
def test_a_saved_charset_loads_as_it_was(name, tmp_path):
    charset = load_charset(name)
    charset.save(tmp_path / "characters.txt")
    assert load_charset(tmp_path / "characters.txt") == charset


@pytest.mark.parametrize(
    "content",
    ["a\nb\n\u3000\n\u2028\n", "a\nb\n\u3000\n\u2028", "a\r\nb\r\n\u3000\r\n\u2028\r\n", "\ufeffa\nb\n\u3000\n\u2028"],
    ids=["plain", "no last newline", "windows", "byte order mark"],
)
def test_files_written_anywhere_load_alike(content, tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes(content.encode())
    assert Charset.load(path).characters == ("a", "b", "\u3000", "\u2028")
    assert Charset.load(path, space=True).characters[-1] == " "


def test_a_space_is_not_added_twice(tmp_path):
    path = tmp_path / "dict.txt"
    path.write_bytes(b"a\n \nb\n")
    assert Charset.load(path, space=True).characters == ("a", " ", "b")


def test_bad_sets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="more than once"):
        Charset(("a", "b", "a"))
    with pytest.raises(ValueError, match="line breaks"):
        Charset(("a", "\n"))
    with pytest.raises(FileNotFoundError, match="alphanumeric"):
        load_charset("no_such_set")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt"):
        Charset.load(tmp_path / "empty.txt")
