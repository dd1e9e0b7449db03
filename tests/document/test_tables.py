"""Tables drawn with ruling lines, and texts in columns without any."""

import csv
import io
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ppocr_jax.document import Page, Table, find_tables, tables_to_csv, tables_to_markdown
from tests.document.pages import EMPTY, line, turned
from tests.document.test_layout import receipt, turned_line

CELLS = [["Item", "Period", "Fee"], ["Adult card", "12 months", "18.00"], ["Room | hall", "6 months", "9.50"]]
XS, YS = (40, 240, 420, 540), (60, 110, 160, 210)
SIZE = (640, 300)


def drawn(page: Page | None = None, *, ink: int = 0, paper: int = 255, thickness: int = 2) -> np.ndarray:
    """A grid of lines, with strokes like letters where a page has text, and a rule below that is no table."""
    image = np.full((SIZE[1], SIZE[0], 3), paper, np.uint8)
    for x in XS:
        cv2.line(image, (x, YS[0]), (x, YS[-1]), (ink,) * 3, thickness)
    for y in (*YS, 260):
        cv2.line(image, (XS[0], y), (XS[-1], y), (ink,) * 3, thickness)
    for one in (page or ruled_page()).words:
        (left, top), _, (right, bottom), _ = one.quad
        for x in range(int(left) + 3, int(right), 12):
            cv2.line(image, (x, int(top) + 3), (x, int(bottom) - 3), (ink,) * 3, 2)
        cv2.line(image, (int(left) + 3, int(top) + 10), (int(right) - 3, int(top) + 10), (ink,) * 3, 2)
    return image


def ruled_page(cells: list[list[str]] = CELLS) -> Page:
    lines = [
        line(text, XS[c] + 12, YS[r] + 15) for r, row in enumerate(cells) for c, text in enumerate(row) if text.strip()
    ]
    return Page(*SIZE, tuple(lines))


@pytest.mark.parametrize("options", [{}, {"ink": 255, "paper": 30}, {"ink": 200, "thickness": 1}, {"thickness": 4}])
def test_ruling_lines(options: dict[str, int]):
    (table,) = find_tables(ruled_page(), drawn(**options))
    assert [list(row) for row in table.rows] == CELLS
    assert table.ruled
    left, top, right, bottom = table.box
    assert XS[0] < left < right < XS[-1]
    assert YS[0] < top < bottom < YS[-1]


def test_open_sides_and_shaded_rows():
    """As catalogs have them: no lines at the left and right, every other row on a ground of its own."""
    image = drawn()
    for x in (XS[0], XS[-1]):
        image[YS[0] + 3 : YS[-1] - 2, x - 2 : x + 3] = 255
    shaded = image[YS[1] + 2 : YS[2] - 1, XS[0] : XS[-1]]
    shaded[shaded == 255] = 215
    (table,) = find_tables(ruled_page(), image)
    assert [list(row) for row in table.rows] == CELLS
    assert table.ruled


def test_strokes_of_letters_are_no_columns():
    """Stems as high as their rows, below one another, look like a line; but it would run through words."""
    image, x = drawn(), XS[1] + 66
    image[YS[0] : YS[-1], x : x + 2] = 0
    (table,) = find_tables(ruled_page(), image)
    assert [list(row) for row in table.rows] == CELLS


@pytest.mark.parametrize("degrees", [-3, 1.5])
def test_skewed_images(degrees: float):
    center = SIZE[0] / 2, SIZE[1] / 2
    matrix = cv2.getRotationMatrix2D(center, -degrees, 1)
    image = cv2.warpAffine(drawn(), matrix, SIZE, borderValue=(255, 255, 255))
    page = Page(*SIZE, tuple(turned_line(one, degrees, center) for one in ruled_page()))
    (table,) = find_tables(page, image)
    assert [list(row) for row in table.rows] == CELLS
    assert table.ruled


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_images(rotation: int):
    image = np.ascontiguousarray(np.rot90(drawn(), -rotation // 90))
    high, wide = image.shape[:2]

    def turn(quad):
        moved = turned(quad, rotation, (0, 0))
        dx, dy = {90: (wide, 0), 180: (wide, high), 270: (0, high)}[rotation]
        return tuple((x + dx, y + dy) for x, y in moved)

    lines = [
        replace(one, quad=turn(one.quad), words=tuple(replace(w, quad=turn(w.quad)) for w in one.words))
        for one in ruled_page()
    ]
    (table,) = find_tables(Page(wide, high, tuple(lines), rotation=rotation), image)
    assert [list(row) for row in table.rows] == CELLS
    assert table.ruled


def test_cells_that_span_and_lines_that_cross_cells():
    """The head spans two columns; what was read as one line across a ruling line stands in two cells."""
    page = ruled_page([["A head over two", "", "Fee"], ["", "", "18.00"], ["Room", "6 months", "9.50"]])
    across = line("Adult card      12 months", XS[0] + 12, YS[1] + 15)
    page = replace(page, lines=(*page.lines, across))
    image = drawn(page)
    image[YS[0] + 4 : YS[1] - 3, XS[1] - 3 : XS[1] + 4] = 255
    (table,) = find_tables(page, image)
    assert table.rows == (
        ("A head over two", "", "Fee"),
        ("Adult card", "12 months", "18.00"),
        ("Room", "6 months", "9.50"),
    )


def test_rows_within_a_cell():
    page = ruled_page([["Item", "Fee", "x"], ["", "1", "2"], ["", "3", "4"]])
    two = (line("Adult", XS[0] + 12, YS[1] + 4), line("card", XS[0] + 12, YS[1] + 26))
    page = replace(page, lines=(*page.lines, *two))
    (table,) = find_tables(page, drawn(page))
    assert table.rows[1] == ("Adult\ncard", "1", "2")
    assert "| Adult card |" in table.to_markdown()


def test_columns_without_lines():
    (table,) = receipt().tables()
    assert [list(row) for row in table.rows] == [
        ["Bread", "3.80"],
        ["Oat milk 1L", "12.15"],
        ["Eggs (12)", "4.95"],
        ["TOTAL", "20.90"],
    ]
    assert not table.ruled
    assert table.box == (40, 60, 400, 200)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_tables_come_in_the_order_of_reading(rotation: int):
    upper = [[f"first {k}", f"{k}.50"] for k in range(4)]
    lower = [[f"second {k}", f"{k}.75"] for k in range(4)]
    between = [line("The amounts above hold for this year, those below for the one after it.", 40, 60 + 30 * 4)]
    tops = {60: upper, 300: lower}
    lines = [
        line(text, 40 + 250 * c, top + 30 * r)
        for top, rows in tops.items()
        for r, row in enumerate(rows)
        for c, text in enumerate(row)
    ]
    page = Page(900, 900, tuple(turned_line(one, rotation, (450, 450)) for one in lines[:8] + between + lines[8:]))
    tables = replace(page, rotation=rotation).tables()
    assert [[list(row) for row in table.rows] for table in tables] == [upper, lower]


def test_empty_cells_and_text_around_the_table():
    rows = [("Name", "Qty", "Sum"), ("Tea", "", "2.00"), ("", "3", ""), ("Jam", "1", "9.00")]
    lines = [line("A sentence that stands above the table alone", 20, 20)]
    for k, row in enumerate(rows):
        lines += [line(text, 20 + 200 * c, 80 + 36 * k) for c, text in enumerate(row) if text]
    lines.append(line("And another one, far below all of the cells", 20, 400))
    (table,) = Page(700, 500, tuple(lines)).tables()
    assert list(table.rows) == rows


def test_running_text_is_no_table():
    left = [line("a column of running text goes on and on and on", 20, 20 + 30 * k, advance=6) for k in range(6)]
    right = [line("beside it the next column of the same page does", 400, 20 + 30 * k, advance=6) for k in range(6)]
    assert Page(800, 300, (*left, *right)).tables() == []
    assert EMPTY.tables() == []
    assert EMPTY.tables(np.full((80, 100, 3), 255, np.uint8)) == []
    alone = tuple(line("one below the other", 20, 20 + 30 * k) for k in range(6))
    assert Page(800, 300, alone).tables() == []


def test_texture_is_no_table():
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 1), np.uint8).repeat(3, axis=2)
    boards = np.where(np.arange(SIZE[0]) % 40 < 4, 90, 160).astype(np.uint8)[None, :, None].repeat(SIZE[1], 0)
    page = Page(*SIZE, (line("BAKERY & COFFEE", 100, 100), line("OPEN", 100, 160)))
    assert page.tables(noise) == []
    assert page.tables(boards.repeat(3, axis=2)) == []


def test_a_image_of_another_size_is_refused():
    with pytest.raises(ValueError, match="the page is of a 640x300 image, not 10x20"):
        find_tables(ruled_page(), np.zeros((20, 10, 3), np.uint8))


def test_markdown_and_csv_come_back():
    table = Table((("a|b", 'say "x"'), ("1,5", "two\nrows"), ("", "*")), (0, 0, 1, 1), True)
    assert table.to_markdown().splitlines() == [
        '| a\\|b | say "x"  |',
        "| ---- | -------- |",
        "| 1,5  | two rows |",
        "|      | \\*       |",
    ]
    assert tuple(map(tuple, csv.reader(io.StringIO(table.to_csv(), newline="")))) == table.rows
    assert tuple(map(tuple, csv.reader(io.StringIO(table.to_csv("\t"), newline=""), delimiter="\t"))) == table.rows
    assert tables_to_markdown([table, table]) == f"{table.to_markdown()}\n{table.to_markdown()}"
    assert tables_to_csv([table, table]).count("\r\n\r\n") == 1
    assert tables_to_csv([]) == tables_to_markdown([]) == ""


def test_markdown_is_a_table_to_a_reader_of_it():
    markdown_it = pytest.importorskip("markdown_it", reason="needs markdown-it-py")
    (table,) = find_tables(ruled_page(), drawn())
    tokens = markdown_it.MarkdownIt("commonmark").enable("table").parse(table.to_markdown())
    cells = [token.children for token in tokens if token.type == "inline"]
    texts = ["".join(child.content for child in children) for children in cells]
    assert texts == [cell for row in CELLS for cell in row]
