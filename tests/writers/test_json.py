import json

from ppocr_jax.results import Line, Page
from ppocr_jax.writers import to_json

QUAD = ((0.5, 1.0), (9.0, 1.0), (9.0, 3.0), (0.5, 3.0))


def test_one_object_with_size_and_lines():
    page = Page(12, 7, (Line(QUAD, 'say "5 €"\t字', 0.987654, 0.75, 180),), "a.png")
    text = to_json(page)
    assert text.endswith("\n")
    assert text.count("\n") == 1, "many pages make a JSON Lines file"
    assert "€" in text, "characters are not escaped"
    assert json.loads(text) == {
        "schema": 1,
        "image": "a.png",
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


def test_comes_back_as_a_page():
    page = Page(12, 7, (Line(QUAD, "x", 0.25, 0.75, 0), Line(QUAD, "", 0.5, 0.5, 180)), "a.png")
    assert Page.from_dict(json.loads(to_json(page))) == page


def test_no_text():
    expected = {"schema": 1, "image": "", "width": 3, "height": 4, "rotation": 0, "lines": []}
    assert json.loads(to_json(Page(3, 4, ()))) == expected
