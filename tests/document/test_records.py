import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.document import WRITERS, to_json, to_jsonl
from ppocr_jax.document.page import Char, Line, Page, Word
from tests.document.pages import EMPTY, FAILED, PAGE, box

QUAD = ((0.5, 1.0), (9.0, 1.0), (9.0, 3.0), (0.5, 3.0))


def written(*pages: Page, words: bool = False) -> str:
    return "".join(to_json(pages, words=words))


def test_one_object_with_size_and_lines():
    page = Page(12, 7, (Line(QUAD, 'say "5 €"\t字', 0.987654, 0.75, 180),), "a.png")
    text = written(page)
    assert text.endswith("\n")
    assert "€" in text, "characters are not escaped"
    assert json.loads(text) == {
        "schema": 1,
        "image": "a.png",
        "page": 1,
        "width": 12,
        "height": 7,
        "rotation": 0,
        "lines": [
            {
                "quad": [[0.5, 1.0], [9.0, 1.0], [9.0, 3.0], [0.5, 3.0]],
                "text": 'say "5 €"\t字',
                "confidence": 0.9877,
                "detection_score": 0.75,
                "angle": 180,
            }
        ],
    }


def test_several_pages_are_an_array_and_none_an_empty_one():
    pages = [Page(k, k, (), f"{k}.png") for k in range(1, 5)]
    assert [Page.from_dict(values) for values in json.loads(written(*pages))] == pages
    assert json.loads(written()) == []


@given(st.lists(st.text(), max_size=4))
def test_rows_come_back_as_pages(texts: list[str]):
    pages = [Page(12, 7, (Line(QUAD, text, 0.25, 0.75, 0),), "a.png", 90, number=3) for text in texts]
    rows = "".join(to_jsonl(pages)).split("\n")[:-1]
    assert [Page.from_dict(json.loads(row)) for row in rows] == pages


def test_words_and_characters_on_request():
    line = Line(QUAD, "a", 0.5, words=(Word((Char("a", QUAD, 0.5),), QUAD),))
    page = Page(12, 7, (line,), warnings=("small",))
    assert Page.from_dict(json.loads(written(page, words=True))) == page
    assert "words" not in json.loads(written(page))["lines"][0]


def test_an_error_is_a_page_too():
    page = Page(0, 0, (), "a.png", error="no such file: a.png")
    assert Page.from_dict(json.loads(written(page))) == page


def read_table(text: str, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_a_row_for_each_line(name: str, delimiter: str):
    text = "".join(WRITERS[name]([PAGE, EMPTY, FAILED, PAGE]))
    assert text.count("\r\n") == 9
    rows = read_table(text, delimiter)
    assert [row["text"] for row in rows] == [line.text for line in PAGE] * 2
    assert [row["line"] for row in rows] == ["1", "2", "3", "4"] * 2
    first = rows[0]
    assert (first["image"], first["page"], float(first["confidence"])) == ("scans/a & b.png", "1", 0.9)
    assert [float(first[f"{axis}{k}"]) for k in (1, 2, 3, 4) for axis in "xy"] == [50, 40, 182, 40, 182, 60, 50, 60]


def test_a_row_for_each_word():
    rows = read_table("".join(WRITERS["csv"]([PAGE], words=True)), ",")
    assert [row["text"] for row in rows] == [word for line in PAGE for word in line.text.split()]
    assert [(row["line"], row["word"]) for row in rows[:3]] == [("1", "1"), ("1", "2"), ("2", "1")]
    assert float(rows[1]["x1"]) == 50 + 12 * len("Corner ")


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back(text: str):
    page = Page(9, 9, (Line(box(0, 0, 9, 9), text, 1.0),))
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        assert read_table("".join(WRITERS[name]([page])), delimiter)[0]["text"] == text
