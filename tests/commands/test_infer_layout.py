"""`infer` with text in its place, rows, tables and words by confidence."""

import csv
from pathlib import Path

import pytest
from PIL import Image

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

ROWS = [("abc", "cab"), ("cc", "bab"), ("bca", "acc")]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Two columns of three rows."""
    placed = [(text, (120 + 300 * c, 60 + 80 * r), 0) for r, row in enumerate(ROWS) for c, text in enumerate(row)]
    Image.fromarray(stripes.paint_page((300, 560), placed)).save(tmp_path / "page.png")
    return tmp_path / "page.png"


def test_layout_keeps_rows_and_columns(infer, image, capsys):
    assert infer("--image", image, "--format", "layout") == 0
    rows = [row for row in capsys.readouterr().out.splitlines() if row]
    assert [tuple(row.split()) for row in rows] == ROWS
    assert len({row.index(second, len(first)) for row, (first, second) in zip(rows, ROWS, strict=True)}) == 1


def test_rows_are_joined_on_request(infer, image, capsys):
    assert infer("--image", image, "--join-rows") == 0
    assert capsys.readouterr().out == "".join(f"{first} {second}\n" for first, second in ROWS)


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_tables_of_all_pages_in_one_file(infer, image, tmp_path, capsys, suffix, delimiter):
    tables = tmp_path / f"tables{suffix}"
    assert infer("--image", image, image, "--tables", tables, "--output", tmp_path / "out.txt") == 0
    with tables.open(encoding="utf-8", newline="") as file:
        rows = [tuple(row) for row in csv.reader(file, delimiter=delimiter)]
    assert rows == [*ROWS, (), *ROWS]
    assert capsys.readouterr() == ("", "")


def test_tables_in_markdown_and_in_formats_there_are_not(infer, image, tmp_path, capsys):
    assert infer("--image", image, "--tables", tmp_path / "tables.md") == 0
    assert (tmp_path / "tables.md").read_text(encoding="utf-8").startswith("| abc | cab |\n| --- | --- |\n")
    capsys.readouterr()
    assert infer("--image", image, "--tables", tmp_path / "tables.xls") == 1
    assert "the suffix must be one of .md, .csv, .tsv" in capsys.readouterr().err


def test_unsure_words_are_left_out(infer, image, capsys):
    assert infer("--image", image, "--min-word-confidence", 0) == 0
    everything = capsys.readouterr().out
    assert infer("--image", image, "--min-word-confidence", 1) == 0
    assert capsys.readouterr().out == ""
    assert everything.split() == [text for row in ROWS for text in row]
