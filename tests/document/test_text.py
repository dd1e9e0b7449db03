from ppocr_jax.document import to_text
from ppocr_jax.document.page import Line, Page

QUAD = ((0.0, 0.0), (9.0, 0.0), (9.0, 3.0), (0.0, 3.0))


def test_lines_in_order_each_ended():
    page = Page(10, 10, (Line(QUAD, "Total 5 €", 0.9), Line(QUAD, "字", 0.8)))
    assert "".join(to_text([page])) == "Total 5 €\n字\n"


def test_no_text_gives_nothing():
    assert "".join(to_text([Page(10, 10, ())])) == ""


def test_pages_are_separated_by_form_feeds():
    pages = [Page(10, 10, (Line(QUAD, text, 0.9),)) for text in "abc"]
    assert "".join(to_text(pages)) == "a\n\fb\n\fc\n"
