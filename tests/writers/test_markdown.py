import pytest

from ppocr_jax.results import Line, Page
from ppocr_jax.writers import to_markdown
from tests.writers.pages import line


def written(*lines: Line) -> str:
    return "".join(to_markdown([Page(900, 900, lines)]))


def test_lines_and_paragraphs():
    page = written(line("Dear", 0, 0), line("reader", 0, 24), line("new", 0, 100), line("next column", 400, 0))
    assert page == "Dear\\\nreader\n\nnew\n\nnext column\n"


def test_pages_are_ruled_off():
    pages = [Page(9, 9, (line(text, 0, 0),)) for text in "ab"]
    assert "".join(to_markdown(pages)) == "a\n\n---\n\nb\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 * 3 = 6", "2 \\* 3 = 6"),
        ("# 12", "\\# 12"),
        ("- 1.17", "\\- 1.17"),
        ("12. May", "12\\. May"),
        ("12.50", "12.50"),
        ("-1.17", "-1.17"),
        ("--- ---", "\\--- ---"),
        ("<b> & [x](y)", "\\<b\\> \\& \\[x\\](y)"),
        ("a_b `c` |d|", "a\\_b \\`c\\` \\|d\\|"),
        ("+", "\\+"),
        ("", ""),
    ],
)
def test_characters_with_a_meaning_are_escaped(text: str, expected: str):
    assert written(line(text, 0, 0)) == expected + "\n"
