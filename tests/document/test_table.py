import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.document import WRITERS
from ppocr_jax.document.page import Line, Page
from tests.document.pages import EMPTY, FAILED, PAGE, box


def read(text: str, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_row_for_each_line(name: str, delimiter: str):
    text = "".join(WRITERS[name]([PAGE, EMPTY, FAILED, PAGE]))
    assert text.count("\r\n") == 9
    rows = read(text, delimiter)
    assert [row["text"] for row in rows] == [line.text for line in PAGE] * 2
    assert [row["line"] for row in rows] == ["1", "2", "3", "4"] * 2
    first = rows[0]
    assert (first["image"], first["page"], float(first["confidence"])) == ("scans/a & b.png", "1", 0.9)
    assert [float(first[f"{axis}{k}"]) for k in (1, 2, 3, 4) for axis in "xy"] == [50, 40, 182, 40, 182, 60, 50, 60]


def test_a_row_for_each_word():
    rows = read("".join(WRITERS["csv"]([PAGE], words=True)), ",")
    assert [row["text"] for row in rows] == [word for line in PAGE for word in line.text.split()]
    assert [(row["line"], row["word"]) for row in rows[:3]] == [("1", "1"), ("1", "2"), ("2", "1")]
    assert float(rows[1]["x1"]) == 50 + 12 * len("Corner ")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back(text: str):
    page = Page(9, 9, (Line(box(0, 0, 9, 9), text, 1.0),))
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        assert read("".join(WRITERS[name]([page])), delimiter)[0]["text"] == text
