from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ppocr_jax.document import to_markdown, to_text
from ppocr_jax.document.page import Line, Page
from tests.document.pages import line, turned

QUAD = ((0.0, 0.0), (9.0, 0.0), (9.0, 3.0), (0.0, 3.0))


def test_lines_in_order_each_ended():
    page = Page(10, 10, (Line(QUAD, "Total 5 €", 0.9), Line(QUAD, "字", 0.8)))
    assert "".join(to_text([page])) == "Total 5 €\n字\n"


def test_no_text_gives_nothing():
    assert "".join(to_text([Page(10, 10, ())])) == ""


def test_pages_are_separated_by_form_feeds():
    pages = [Page(10, 10, (Line(QUAD, text, 0.9),)) for text in "abc"]
    assert "".join(to_text(pages)) == "a\n\fb\n\fc\n"


def written(*lines: Line) -> str:
    return "".join(to_markdown([Page(900, 900, lines)]))


def test_lines_and_paragraphs():
    page = written(line("Dear", 0, 0), line("reader", 0, 24), line("new", 0, 100), line("next column", 400, 0))
    assert page == "Dear\\\nreader\n\nnew\n\nnext column\n"


def test_markdown_pages_are_ruled_off():
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
    ],
)
def test_characters_with_a_meaning_are_escaped(text: str, expected: str):
    assert written(line(text, 0, 0)) == expected + "\n"


def test_a_line_in_another_direction_begins_a_paragraph():
    upright = line("a note", 40, 100), line("of two rows", 40, 122)
    beside = line("up the side", 500, 180, degrees=-90)
    assert written(*upright, beside) == "a note\\\nof two rows\n\nup the side\n"


def shown(markdown: str) -> list[list[str]]:
    """What a CommonMark reader shows: paragraphs of lines."""
    reader = pytest.importorskip("markdown_it", reason="needs markdown-it-py").MarkdownIt()
    paragraphs = []
    for token in reader.parse(markdown):
        assert token.type in ("paragraph_open", "inline", "paragraph_close"), "only paragraphs"
        if token.type == "inline":
            assert {part.type for part in token.children} <= {"text", "text_special", "hardbreak"}
            paragraphs.append("".join("\n" if p.type == "hardbreak" else p.content for p in token.children).split("\n"))
    return paragraphs


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])), max_size=4))
@example(
    ["a", "===", "---", "    code", "1)", "a\\", "", "* x *", "<!-- -->", "&amp;", "~~~", "!\\[a](b)", "https://x.y"]
)
def test_what_was_read_is_what_is_shown(texts: list[str]):
    page = Page(900, 900, tuple(line("x", 0, 24 * k) for k in range(len(texts))))
    page = replace(page, lines=tuple(replace(old, text=text) for old, text in zip(page, texts, strict=True)))
    expected = [text.strip() for text in texts if text.strip()]
    assert [row for paragraph in shown("".join(to_markdown([page]))) for row in paragraph] == expected


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_paragraphs_of_turned_pages(rotation: int):
    lines = [line(text, 100, 100 + top) for text, top in (("one", 0), ("two", 24), ("three", 100), ("four", 124))]
    lines = [replace(old, quad=turned(old.quad, rotation, (200, 200))) for old in lines]
    page = Page(400, 400, tuple(lines), rotation=rotation)
    assert "".join(to_markdown([page])) == "one\\\ntwo\n\nthree\\\nfour\n"
