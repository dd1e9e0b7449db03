"""`infer` with folders, documents and every format."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import damaged_tiff

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

TEXTS = {"a.png": "abc", "b2.png": "ccab", "b10.png": "bbb"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "scans"
    path.mkdir()
    for name, text in TEXTS.items():
        Image.fromarray(stripes.paint_page((200, 300), [(text, (150, 100), 0)])).save(path / name)
    return path


def rows(path: Path) -> list[dict]:
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]


def test_a_folder_in_the_order_people_count(infer, folder, capsys):
    assert infer("--image", folder, "--format", "jsonl") == 0
    pages = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [Path(page["image"]).name for page in pages] == ["a.png", "b2.png", "b10.png"]
    assert [page["lines"][0]["text"] for page in pages] == list(TEXTS.values())
    assert infer("--image", folder, folder / "a.png") == 0
    assert capsys.readouterr().out == "abc\n\fccab\n\fbbb\n\fabc\n"


def test_one_bad_file_is_a_record_and_not_the_end(infer, folder, capsys):
    (folder / "b1.png").write_text("no image")
    assert infer("--image", folder, "--format", "json") == 1
    out, err = capsys.readouterr()
    pages = json.loads(out)
    assert [bool(page.get("error")) for page in pages] == [False, True, False, False]
    assert err.count("\n") == 1
    assert "b1.png is not a readable image" in err


def test_subfolders_only_when_asked(infer, folder, capsys):
    shutil.move(folder / "b2.png", folder / "deep.png")
    (folder / "sub").mkdir()
    shutil.move(folder / "deep.png", folder / "sub" / "deep.png")
    assert infer("--image", folder) == 0
    assert capsys.readouterr().out == "abc\n\fbbb\n"
    assert infer("--image", folder, "-r") == 0
    assert capsys.readouterr().out == "abc\n\fbbb\n\fccab\n"


def test_jsonl_goes_on_where_it_was_broken_off(infer, folder, tmp_path):
    out = tmp_path / "out.jsonl"
    assert infer("--image", folder, "--output", out) == 0
    whole = out.read_bytes()
    first = whole.split(b"\n")[0] + b"\n"
    out.write_bytes(first.replace(b'"abc"', b'"kept"') + whole.split(b"\n")[1][:40])
    assert infer("--image", folder, "--output", out, "--resume") == 0
    assert out.read_bytes() == whole.replace(b'"abc"', b'"kept"')
    assert infer("--image", folder, "--output", out, "--resume") == 0, "nothing is left to do"
    assert out.read_bytes() == whole.replace(b'"abc"', b'"kept"')
    out.write_text("my diary\n")
    assert infer("--image", folder, "--output", out, "--resume") == 1
    assert out.read_text() == "my diary\n"
    assert infer("--image", folder, "--output", tmp_path / "new.jsonl", "--resume") == 0
    assert (tmp_path / "new.jsonl").read_bytes() == whole


def test_what_could_not_be_read_is_tried_again_by_resume(infer, folder, tmp_path, capsys):
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert infer("--image", folder, "--output", whole) == 0
    intact = (folder / "b2.png").read_bytes()
    (folder / "b2.png").write_text("no image")
    assert infer("--image", folder, "--output", out) == 1
    assert infer("--image", folder, "--output", out, "--resume") == 1, "still no image"
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    assert [bool(row.get("error")) for row in rows] == [False, False, True], "not once more with each run"
    assert capsys.readouterr().err.count("b2.png is not a readable image") == 2
    (folder / "b2.png").write_bytes(intact)
    assert infer("--image", folder, "--output", out, "--resume") == 0
    assert sorted(out.read_text().splitlines()) == sorted(whole.read_text().splitlines())


def test_words_in_a_table(infer, folder, tmp_path):
    assert infer("--image", folder / "a.png", "--output", tmp_path / "w.csv", "--words") == 0
    with (tmp_path / "w.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["text"] for row in found] == ["abc"]
    assert 54 < float(found[0]["x1"]) < 120
    assert 180 < float(found[0]["x2"]) < 246


def test_drawings_of_several_pages_go_into_a_folder(infer, folder, tmp_path, capsys):
    (folder / "sub").mkdir()
    shutil.copy(folder / "a.png", folder / "sub" / "a.png")
    assert infer("--image", folder, "-r", "--draw", tmp_path / "drawn") == 0
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["a-2.png", "a.png", "b10.png", "b2.png"]
    assert infer("--image", folder, "--draw", tmp_path / "one.png") == 1
    assert "pass a folder" in capsys.readouterr().err


def test_explained(infer, folder, tmp_path):
    assert infer("--image", folder / "a.png", "--explain", tmp_path / "why") == 0
    names = {path.name for path in (tmp_path / "why" / "a").iterdir()}
    assert names == {"probability.png", "boxes.png", "line-001.png", "lines.csv"}
    probability = np.asarray(Image.open(tmp_path / "why" / "a" / "probability.png"))
    assert probability.max() > 200
    assert probability[:20].max() < 50
    line = np.asarray(Image.open(tmp_path / "why" / "a" / "line-001.png"))
    assert line.shape[1] > line.shape[0]
    assert "abc" in (tmp_path / "why" / "a" / "lines.csv").read_text()


@pytest.mark.parametrize("option", ["--draw", "--explain"])
def test_an_empty_folder_name_is_not_the_current_folder(infer, folder, tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        infer("--image", folder / "a.png", option, "")
    assert f"argument {option}: the path is empty" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_pages_of_documents(infer, folder, tmp_path, capsys):
    images = [Image.open(folder / name) for name in TEXTS]
    images[0].save(tmp_path / "three.tif", save_all=True, append_images=images[1:])
    assert infer("--image", tmp_path / "three.tif", "--pages", "2-", "--format", "jsonl") == 0
    pages = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [(page["page"], page["lines"][0]["text"]) for page in pages] == [(2, "ccab"), (3, "bbb")]
    assert infer("--image", tmp_path / "three.tif", "--pages", "7") == 1
    assert "has 3 pages, none of the requested ones" in capsys.readouterr().err


def test_a_broken_page_does_not_end_a_document(infer, folder, tmp_path, capsys):
    images = [Image.open(folder / name) for name in TEXTS]
    path = tmp_path / "three.tif"
    images[0].save(path, save_all=True, append_images=images[1:], compression="tiff_adobe_deflate")
    path.write_bytes(damaged_tiff(path.read_bytes(), 0))
    assert infer("--image", path, "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    pages = [json.loads(row) for row in out.splitlines()]
    assert [(page["page"], "error" in page) for page in pages] == [(1, True), (2, False), (3, False)]
    assert [line["text"] for page in pages for line in page["lines"]] == ["ccab", "bbb"]
    assert err.count("\n") == 1
    assert "three.tif page 1 is damaged" in err
    assert infer("--image", path, "--pages", "1", "--format", "jsonl") == 1
    out, err = capsys.readouterr()
    assert out == "", "where nothing can be read there is no record"
    assert err.count("\n") == 1
    assert "three.tif page 1 is damaged" in err


def test_searchable_pdf_and_back(infer, folder, tmp_path, capsys):
    pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
    pdfium = pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")
    assert infer("--image", folder, "--output", tmp_path / "all.pdf") == 0
    texts = [page.get_textpage().get_text_range().strip() for page in pdfium.PdfDocument(tmp_path / "all.pdf")]
    assert texts == list(TEXTS.values())
    assert infer("--image", tmp_path / "all.pdf", "--dpi", "150", "--format", "csv") == 0
    assert [row["text"] for row in csv.DictReader(capsys.readouterr().out.splitlines())] == list(TEXTS.values())


def test_a_searchable_pdf_keeps_jpeg_files(infer, folder, tmp_path):
    pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
    Image.open(folder / "a.png").save(folder / "photo.jpg", quality=91)
    assert infer("--image", folder, "--output", tmp_path / "all.pdf") == 0
    assert (folder / "photo.jpg").read_bytes() in (tmp_path / "all.pdf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "pdf"], "needs --output"),
        (["--resume"], "--resume requires"),
        (["--words"], "words are available only"),
        (["--pages", "x"], "pages"),
        (["--dpi", "3"], "dpi must be between"),
        (["--rec", "nowhere.onnx"], "no such file: nowhere.onnx"),
        (["--charset", "en"], "a charset belongs to a recognizer"),
        (["--unclip-ratio", "-1"], "unclip_ratio must be at least 0"),
    ],
)
def test_options_that_make_no_sense_give_one_line(infer, folder, capsys, arguments, message):
    assert infer("--image", folder / "a.png", *arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_progress_on_request(infer, folder, capsys):
    assert infer("--image", folder, "--progress", "--output", folder / "x.txt") == 0
    assert "3 pages" in capsys.readouterr().err
    assert infer("--image", folder, "--no-progress", "--output", folder / "x.txt") == 0
    assert capsys.readouterr().err == ""
