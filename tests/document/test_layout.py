"""Text in its place: rows of a page, and the page as a grid of characters."""

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.document import Line, Page, to_layout
from ppocr_jax.document.layout import display_width
from tests.document.pages import EMPTY, FAILED, line, turned

ITEMS = [("Bread", "3.80"), ("Oat milk 1L", "12.15"), ("Eggs (12)", "4.95"), ("TOTAL", "20.90")]


def receipt(*, degrees: float = 0, size: tuple[int, int] = (500, 400)) -> Page:
    """Items at the left, amounts with a common right edge at x = 400; turned about the page's middle."""
    lines = []
    for k, (item, amount) in enumerate(ITEMS):
        lines += [line(item, 40, 60 + 40 * k), line(amount, 400 - 12 * len(amount), 60 + 40 * k)]
    return Page(*size, tuple(turned_line(one, degrees, (size[0] / 2, size[1] / 2)) for one in lines))


def turned_line(one: Line, degrees: float, center: tuple[float, float]) -> Line:
    def turn(quad):
        return turned(quad, degrees, center)

    words = tuple(
        replace(w, quad=turn(w.quad), chars=tuple(c._replace(quad=turn(c.quad)) for c in w.chars)) for w in one.words
    )
    return replace(one, quad=turn(one.quad), words=words)


def grid(page: Page) -> list[str]:
    return "".join(to_layout([page])).splitlines()


GRID = [item + amount.rjust(30 - len(item)) for item, amount in ITEMS]  # 360 pixels of letters 12 pixels wide


@pytest.mark.parametrize("degrees", [0, 4, -7, 38, -50])
def test_amounts_stand_on_their_items_row_with_a_common_right_edge(degrees: float):
    rows = [row for row in grid(receipt(degrees=degrees)) if row]
    assert [row.split() for row in rows] == [row.split() for row in GRID]
    assert len({len(row) for row in rows}) == 1
    assert degrees or rows == GRID


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_page_is_laid_out_like_the_upright_one(rotation: int):
    assert grid(replace(receipt(degrees=rotation), rotation=rotation)) == grid(receipt())


def test_one_line_with_a_wide_gap_is_two_columns():
    """Detectors take an item and its price for one line where a row of dots or little space is between them."""
    lines = []
    for k, (item, amount) in enumerate(ITEMS):
        text = item + " " * (30 - len(item) - len(amount)) + amount
        lines.append(line(text, 40, 60 + 40 * k))
    assert [row for row in grid(Page(500, 400, tuple(lines))) if row] == [
        f"{item}{amount.rjust(30 - len(item))}" for item, amount in ITEMS
    ]


def test_a_column_moves_as_far_as_the_text_before_it_needs():
    """The first column's small print has more letters than there is room for."""
    small = line("a rather long name in small print", 40, 40, advance=4, size=10)
    below = [line("Tea with milk", 40, 80), line("22", 200, 80), line("Jam and toast and butter", 40, 120)]
    lines = [small, line("1", 200, 38), *below]
    rows = [row for row in grid(Page(400, 200, tuple(lines))) if row]
    at = rows[0].index("1", len(small.text))
    assert rows[0] == f"{small.text}  1"
    assert rows[1].index("22") == at


def test_full_width_letters_take_two_cells():
    lines = [line("单价", 40, 40, advance=24, size=24), line("10", 200, 42), line("ab", 40, 90), line("20", 200, 90)]
    rows = [row for row in grid(Page(400, 200, tuple(lines))) if row]
    assert display_width(rows[0]) == display_width(rows[1])
    assert display_width(rows[0].split("10")[0]) == display_width(rows[1].split("20")[0])


def test_gaps_are_blank_rows():
    lines = [line(text, 40, top) for text, top in (("a", 40), ("b", 64), ("c", 88), ("d", 136), ("e", 400))]
    assert grid(Page(400, 500, tuple(lines))) == ["a", "b", "c", "", "d", "", "", "e"]


def test_headings_keep_to_the_middle():
    """Letters twice as large have half as many cells as they are wide: neither edge says where they stand."""
    title = line("SHOP", 250 - 48, 20, advance=24, size=40)
    row = grid(replace(receipt(), lines=(title, *receipt().lines)))[0]
    width = len(GRID[0])
    assert row.strip() == "SHOP"
    assert abs((len(row) - 2) - width * (250 - 40) / (400 - 40)) <= 1


def test_pages_and_nothing():
    assert "".join(to_layout([EMPTY, receipt(), FAILED, receipt()])).count("\f") == 3
    assert "".join(to_layout([EMPTY])) == ""
    assert receipt().layout().splitlines() == grid(receipt())


@settings(max_examples=40)
@given(st.lists(st.tuples(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8),
                          st.integers(0, 300), st.integers(0, 300), st.floats(-180, 180))))  # fmt: skip
def test_every_character_is_there_whatever_the_page(parts):
    lines = tuple(line(text, x, y, degrees=degrees) for text, x, y, degrees in parts)
    written = "".join(to_layout([Page(400, 400, lines)]))
    assert sorted("".join(written.split())) == sorted("".join(text for text, *_ in parts))


def test_rows_join_items_with_their_prices():
    page = receipt()
    assert [[one.text for one in row] for row in page.rows()] == [list(item) for item in ITEMS]
    joined = page.join_rows()
    assert joined.text == "\n".join(" ".join(item) for item in ITEMS)
    first = joined.lines[0]
    assert first.quad == (page.lines[0].quad[0], page.lines[1].quad[1], page.lines[1].quad[2], page.lines[0].quad[3])
    assert first.words == page.lines[0].words + page.lines[1].words
    assert page.join_rows("\t").lines[1].text == "Oat milk 1L\t12.15"
    assert joined.join_rows() == joined
    json.dumps(joined.to_dict(words=True))


def test_columns_of_running_text_are_not_joined():
    """Reading order goes down the first column; lines side by side do not follow each other."""
    left = [line(f"left column {k}", 20, 20 + 30 * k) for k in range(4)]
    right = [line(f"right column {k}", 300, 20 + 30 * k) for k in range(4)]
    page = Page(600, 200, (*left, *right))
    assert page.join_rows() == page
    assert [row.split("  ")[0] for row in grid(page)] == [one.text for one in left], "in place they are"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rows_of_turned_and_skewed_pages(rotation: int):
    page = replace(receipt(degrees=rotation + 3), rotation=rotation)
    assert [[one.text for one in row] for row in page.rows()] == [list(item) for item in ITEMS]


def test_rows_of_pages_without_words():
    page = receipt()
    bare = replace(page, lines=tuple(replace(one, words=()) for one in page))
    assert bare.rows() == tuple(zip(bare.lines[::2], bare.lines[1::2], strict=True))
    assert EMPTY.rows() == ()


def test_a_joined_line_is_as_sure_as_its_characters():
    sure, unsure = line("abcdef", 0, 0), replace(line("gh", 100, 0), confidence=0.5, detection_score=0.3)
    (joined,) = Page(300, 40, (sure, unsure)).join_rows()
    assert joined.confidence == pytest.approx((6 * 0.9 + 2 * 0.5) / 8)
    assert joined.detection_score == 0.3


def test_unsure_words_are_left_out():
    words = list(line("one two three", 0, 0).words)
    words[1] = replace(words[1], chars=tuple(c._replace(confidence=0.2) for c in words[1].chars))
    mixed = replace(line("one two three", 0, 0), words=tuple(words), confidence=(8 * 0.9 + 3 * 0.2 + 2 * 0.6) / 13)
    doubtful = replace(line("x y", 0, 40), words=(words[1],), text="two", confidence=0.2)
    bare = Line(line("bare", 0, 80).quad, "bare", 0.4)
    page = Page(300, 120, (mixed, doubtful, bare, line("sure", 0, 100)))
    by_word = page.confident(0.5)
    assert [one.text for one in by_word] == ["one three", "sure"]
    assert by_word.lines[0].confidence == pytest.approx((8 * 0.9 + 0.6) / 9), "with the space, as a line's confidence"
    assert [word.text for word in by_word.words] == ["one", "three", "sure"]
    assert [one.text for one in page.confident(0.5, by="line")] == ["one two three", "sure"]
    assert page.confident(0) == page
    with pytest.raises(ValueError, match='by must be "word" or "line"'):
        page.confident(0.5, by="char")  # type: ignore[arg-type]


def test_a_line_of_confident_words_is_kept_whatever_its_spaces():
    page = Page(300, 40, (replace(line("one two", 0, 0), confidence=0.78),))
    assert page.confident(0.8) == page
    assert len(page.confident(0.8, by="line")) == 0


def test_the_example_receipt(tmp_path: Path):
    """Read with the built-in model, prices stand on their items' rows, their points below each other."""
    from ppocr_jax import OCR

    page = OCR("en", threads=1)(Path(__file__).parents[2] / "examples" / "receipt.jpg")
    rows = page.layout().splitlines()
    prices = {row.rsplit(None, 1)[0].strip(): row for row in rows if row[-3:-2] == "."}
    assert "Sourdough loaf" in prices
    assert len(prices) >= 10
    assert len({len(row) for row in prices.values()}) == 1
    joined = page.join_rows()
    assert any(text.startswith("TOTAL") and text.endswith("22.22") for text in joined.text.splitlines())


def test_bent_rows_are_followed_across_the_page():
    """Pages photographed from a book: the row falls by more than its height from one side to the other."""
    random.seed(1)
    lines = []
    for k in range(5):
        lines += [line(f"r{k}c{c}", 20 + 80 * c, 40 + 40 * k + 25 * math.sin(c / 7 * math.pi / 2)) for c in range(8)]
    random.shuffle(lines)
    rows = [row.split() for row in grid(Page(700, 300, tuple(lines))) if row]
    assert rows == [[f"r{k}c{c}" for c in range(8)] for k in range(5)]
