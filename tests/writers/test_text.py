from ppocr_jax.results import Line, Page
from ppocr_jax.writers import WRITERS, to_text

QUAD = ((0.0, 0.0), (9.0, 0.0), (9.0, 3.0), (0.0, 3.0))


def test_lines_in_order_each_ended():
    page = Page(10, 10, (Line(QUAD, "Total 5 €", 0.9), Line(QUAD, "字", 0.8)))
    assert to_text(page) == "Total 5 €\n字\n"


def test_no_text_gives_nothing():
    assert to_text(Page(10, 10, ())) == ""


def test_formats_of_the_command_line():
    assert WRITERS["text"] is to_text
    assert all(writer(Page(1, 1, ())) is not None for writer in WRITERS.values())
