"""PaddleOCR counts every line of a dictionary; classes that it never trains are left out of the recognizer."""

from __future__ import annotations

import numpy as np
import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.convert.dictionary import DictionaryError, check_classes, read_classes, without_unused_classes


@pytest.mark.parametrize(
    ("data", "space", "expected"),
    [
        ("a\nb", True, "ab "),
        ("a\nb\n", False, "ab"),
        ("\ufeffa\r\nb\r\n", True, "ab "),
        ("a\n \n", True, "a  "),
        ("a\n\nb\n\n", False, ("a", "", "b", "")),
        ("a\n\u3000\n\x85\n", False, "a\u3000\x85"),
    ],
)
def test_every_line_is_a_class(tmp_path, data, space, expected):
    (tmp_path / "dict.txt").write_bytes(data.encode())
    assert read_classes(tmp_path / "dict.txt", space=space) == tuple(expected)


def test_built_in_charsets_are_taken_as_they_are():
    assert read_classes("en", space=False) == english_charset().characters


def test_files_that_are_no_dictionaries(tmp_path):
    with pytest.raises(DictionaryError, match=r"cannot read missing: .* \(nor is it a built-in charset: en, "):
        read_classes("missing")
    for data, message in ((b"\xff\xfe", "is not UTF-8"), (b"\r\n\n", "is empty"), (b"", "is empty")):
        (tmp_path / "dict.txt").write_bytes(data)
        with pytest.raises(DictionaryError, match=message):
            read_classes(tmp_path / "dict.txt")


@pytest.mark.parametrize(
    ("num_classes", "source", "space", "message"),
    [
        (3, "d.txt", True, "has 3 classes, but .* d.txt with a space .* make 4; with --no-space they would fit"),
        (5, "d.txt", False, "has 5 classes, but .* d.txt without a space .* make 4; without --no-space they would fit"),
        (5, "d.txt", True, "make 4$"),
        (6625, "d.txt", False, "make 4$"),
        (3, "en", True, "characters of en and the blank make 4$"),
    ],
)
def test_numbers_of_classes_that_differ(num_classes, source, space, message):
    check_classes(4, tuple("abc"), source, space=space)
    with pytest.raises(DictionaryError, match=message):
        check_classes(num_classes, tuple("abc"), source, space=space)


@pytest.mark.parametrize("layer", ["fc", "fc2"])
def test_unused_classes(layer):
    """A space twice and an empty line: the last space stays, as it is the one that PaddleOCR's labels are made of."""
    classes = ("a", " ", "", "b", " ")
    arrays = {"kernel": np.arange(12.0).reshape(2, 6), "bias": np.arange(6.0)}
    other = {"kernel": np.zeros((3, 2))}
    variables = {"params": {"head": {"fc1": other, layer: arrays}, "lstm_0": other}, "batch_stats": {}}
    smaller, charset, unused = without_unused_classes(variables, classes)
    assert (charset.characters, unused) == (("a", "b", " "), (2, 3))
    np.testing.assert_array_equal(smaller["params"]["head"][layer]["bias"], [0, 1, 4, 5])
    np.testing.assert_array_equal(smaller["params"]["head"][layer]["kernel"], [[0, 1, 4, 5], [6, 7, 10, 11]])
    assert smaller["params"]["head"]["fc1"] is other
    assert smaller["params"]["lstm_0"] is other


def test_nothing_is_left_out_of_an_ordinary_dictionary():
    arrays = {"kernel": np.ones((2, 4)), "bias": np.ones(4)}
    smaller, charset, unused = without_unused_classes({"params": {"head": {"fc": arrays}}}, tuple("ab "))
    assert (charset.characters, unused) == (tuple("ab "), ())
    np.testing.assert_equal(smaller["params"]["head"]["fc"], arrays)
