import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.document.page import SCHEMA_VERSION, Char, Line, Page, Word

QUAD = ((1.0, 2.0), (31.5, 2.0), (31.5, 12.0), (1.0, 12.0))

_coordinates = st.integers(-(10**8), 10**8).map(lambda n: n / 100)  # results keep two decimals of these
_points = st.tuples(_coordinates, _coordinates)
_probabilities = st.integers(0, 10_000).map(lambda n: n / 10_000)  # and four of these
_lines = st.builds(
    Line,
    st.tuples(_points, _points, _points, _points),
    st.text(max_size=20),
    _probabilities,
    _probabilities,
    st.sampled_from([0, 180]),
)
_pages = st.builds(
    Page, st.integers(1, 10**5), st.integers(1, 10**5), st.lists(_lines, max_size=4).map(tuple), st.text(max_size=9)
)


def test_boxes_of_lines_words_and_characters():
    quad = ((1.5, 2.0), (31.2, 3.0), (31.0, 12.5), (1.0, 12.0))
    char = Char("a", quad, 1.0)
    for part in (char, Word((char,), quad), Line(quad, "a", 1.0)):
        assert part.box == (1, 2, 32, 13)


def test_lines_are_had_by_their_numbers():
    lines = tuple(Line(QUAD, text, 1.0) for text in "abc")
    page = Page(640, 480, lines)
    assert page[0] is lines[0]
    assert page[-1] is lines[2]
    assert page[1:] == lines[1:]
    with pytest.raises(IndexError):
        page[3]


@given(_pages)
def test_a_page_survives_json(page):
    assert Page.from_dict(json.loads(json.dumps(page.to_dict()))) == page


def test_the_written_form_of_a_page():
    page = Page(640, 480, (Line(QUAD, "Hi", 0.987654, 0.75, 180),), "a.jpg")
    assert page.to_dict() == {
        "schema": SCHEMA_VERSION,
        "image": "a.jpg",
        "page": 1,
        "width": 640,
        "height": 480,
        "rotation": 0,
        "lines": [
            {
                "quad": [[1.0, 2.0], [31.5, 2.0], [31.5, 12.0], [1.0, 12.0]],
                "text": "Hi",
                "confidence": 0.9877,
                "detection_score": 0.75,
                "angle": 180,
            }
        ],
    }


def test_a_page_is_the_sequence_of_its_lines():
    lines = (Line(QUAD, "first", 0.9), Line(QUAD, "second", 0.8))
    page = Page(10, 10, lines)
    assert tuple(page) == lines
    assert len(page) == 2
    assert page.text == "first\nsecond"


def test_a_page_without_text_is_normal():
    page = Page(10, 20, ())
    assert page.text == ""
    assert list(page) == []
    assert Page.from_dict(page.to_dict()) == page


def test_older_files_may_lack_scores_and_angle():
    line = Line.from_dict({"quad": [list(point) for point in QUAD], "text": "x", "confidence": 0.5})
    assert line == Line(QUAD, "x", 0.5, detection_score=1.0, angle=0)


def test_a_quad_of_three_points_is_refused():
    with pytest.raises(ValueError, match="got 3"):
        Line.from_dict({"quad": [[0, 0], [1, 0], [1, 1]], "text": "x", "confidence": 0.5})


def test_a_newer_schema_is_refused():
    with pytest.raises(ValueError, match="update ppocr_jax"):
        Page.from_dict({"schema": SCHEMA_VERSION + 1, "width": 1, "height": 1, "lines": []})
