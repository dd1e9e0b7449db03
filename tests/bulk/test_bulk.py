"""Bulk reading on this machine: the text of single calls, once for each page, however often it is broken off."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fsspec", reason="needs the extra bulk")
pytest.importorskip("pyarrow", reason="needs the extra bulk")
import fsspec
import pyarrow as pa
import pyarrow.parquet

from ppocr_jax import OCR
from ppocr_jax.bulk import documents, run
from ppocr_jax.bulk.documents import find_documents
from ppocr_jax.bulk.parts import BulkOutput
from ppocr_jax.bulk.run import BulkSettings, run_bulk
from ppocr_jax.cli import main
from ppocr_jax.document.page import Page
from ppocr_jax.errors import UserError
from tests.stripes import paint_page

ROOT = Path(__file__).parents[2]


def image(text):
    """An image's bytes, with one line of stripes."""
    out = io.BytesIO()
    Image.fromarray(paint_page((64, 320), [(text, (160, 32), 0)])).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def scans(tmp_path):
    """A folder of images, a document of several pages, and what cannot be read."""
    folder = tmp_path / "scans"
    (folder / "deeper").mkdir(parents=True)
    for name, text in (("one.png", "abc"), ("two.png", "cab"), ("deeper/three.png", "bbaac")):
        (folder / name).write_bytes(image(text))
    frames = [Image.fromarray(paint_page((64, 320), [(text, (160, 32), 0)])) for text in ("aabb", "ccc")]
    frames[0].save(folder / "pages.tif", save_all=True, append_images=frames[1:])
    (folder / "broken.png").write_bytes(image("abc")[:100])
    (folder / ".hidden.png").write_bytes(image("abc"))
    (folder / "notes.txt").write_text("not an image")
    return folder


TEXTS = {"one.png": ["abc"], "two.png": ["cab"], "three.png": ["bbaac"], "pages.tif": ["aabb", "ccc"]}
TEXTS |= {"broken.png": [""]}


@pytest.fixture
def settings(stripes_model):
    return BulkSettings(model=str(stripes_model))


def texts(output, file_format="parquet"):
    """The texts of each document's pages, by the name of its file."""
    found = {}
    rows = BulkOutput(str(output), file_format, words=False).rows()
    for row in sorted(rows, key=lambda row: (row["image"], row["page"])):
        found.setdefault(row["image"].rpartition("/")[2], []).append(row["text"])
    return found


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_rows_are_the_pages_of_single_calls(scans, tmp_path, stripes_model, file_format):
    settings = BulkSettings(model=str(stripes_model), words=True)
    tally = run_bulk([str(scans)], str(tmp_path / "out"), settings=settings, file_format=file_format)
    assert (tally.documents, tally.pages, tally.errors, tally.skipped) == (5, 6, 1, 0)
    assert texts(tmp_path / "out", file_format) == TEXTS
    ocr = OCR(stripes_model)
    for row in BulkOutput(str(tmp_path / "out"), file_format, words=True).rows():
        if row["error"]:
            assert "damaged" in row["error"]
            continue
        page = next(ocr.read(row["image"], pages=[row["page"]]))
        read = Page.from_dict(row)
        assert (read.text, read.width, read.height, read.number) == (page.text, page.width, page.height, page.number)
        np.testing.assert_allclose([line.quad for line in read], [line.quad for line in page], atol=0.01)
        assert [word.text for word in read.words] == [word.text for word in page.words]
        assert row["page_count"] == (2 if row["image"].endswith(".tif") else 1)


def test_a_second_run_reads_only_what_is_new_or_changed(scans, tmp_path, settings):
    output = str(tmp_path / "out")
    run_bulk([str(scans)], output, settings=settings)
    before = sorted(Path(output).iterdir())
    assert run_bulk([str(scans)], output, settings=settings).skipped == 5
    assert sorted(Path(output).iterdir()) == before
    os.utime(scans / "one.png", (1, 1))  # touched, not changed
    (scans / "two.png").write_bytes(image("ccb"))
    (scans / "four.png").write_bytes(image("a"))
    tally = run_bulk([str(scans)], output, settings=settings)
    assert (tally.documents, tally.skipped) == (2, 4)
    read = {name: sorted(lines) if name == "two.png" else lines for name, lines in texts(output).items()}
    assert read == {**TEXTS, "two.png": ["cab", "ccb"], "four.png": ["a"]}  # `key` tells the contents apart


def test_parts_are_read_without_the_threads_of_arrow(scans, tmp_path, settings, monkeypatch):
    """With them, about every sixth process that found everything done was aborted when it ended."""

    def read(file, columns=None, *, use_threads=True):
        assert not use_threads
        return whole_file(file, columns, use_threads=False)

    whole_file = pyarrow.parquet.ParquetFile.read
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "read", read)
    monkeypatch.delattr(pyarrow.parquet, "read_table")  # its I/O threads, too, may outlive the interpreter
    run_bulk([str(scans)], str(tmp_path / "out"), settings=settings)
    assert run_bulk([str(scans)], str(tmp_path / "out"), settings=settings).skipped == 5
    assert texts(tmp_path / "out") == TEXTS


def test_an_output_holds_pages_read_in_one_way_only(scans, tmp_path, stripes_model):
    output = str(tmp_path / "out")
    run_bulk([str(scans / "one.png")], output, settings=BulkSettings(model=str(stripes_model)))
    with pytest.raises(UserError, match="options"):
        run_bulk([str(scans)], output, settings=BulkSettings(model=str(stripes_model), options={"drop_score": 0.1}))
    with pytest.raises(UserError, match="model"):
        run_bulk([str(scans)], output, settings=BulkSettings(model="en"))
    with pytest.raises(UserError, match="letters"):
        run_bulk([str(scans)], output, settings=BulkSettings(model=str(stripes_model), networks={"letters": "ab"}))
    other = BulkSettings(model=str(stripes_model), password="that is not noted")
    assert run_bulk([str(scans / "one.png")], output, settings=other).skipped == 1
    noted = Path(output) / "_bulk.json"
    assert "not noted" not in noted.read_text()
    noted.rename(noted.with_name("bulk.json"))  # its older name
    assert run_bulk([str(scans / "one.png")], output, settings=other).skipped == 1
    with pytest.raises(UserError, match="model"):
        run_bulk([str(scans)], output, settings=BulkSettings(model="en"))


def test_a_folder_of_parts_is_a_data_set_of_arrow(scans, tmp_path, settings):
    run_bulk([str(scans / "one.png"), str(scans / "two.png")], str(tmp_path / "out"), settings=settings)
    table = pyarrow.parquet.read_table(tmp_path / "out")
    assert sorted(table.column("text").to_pylist()) == ["abc", "cab"]


def test_an_unknown_store_is_one_line(scans, tmp_path, capsys):
    assert main(["bulk", str(scans), "--output", "nostore://bucket/out"]) == 1
    assert main(["bulk", "nostore://bucket/in", "--output", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.count("\n") == 2


def test_letters(scans, tmp_path, stripes_model):
    (tmp_path / "letters.txt").write_text("a\nc\n", encoding="utf-8")
    arguments = ["--model", str(stripes_model), "--letters", str(tmp_path / "letters.txt"), "--drop-score", "0"]
    assert main(["bulk", str(scans / "one.png"), "--output", str(tmp_path / "out"), *arguments]) == 0
    (read,) = texts(tmp_path / "out").values()
    assert set("".join(read)) <= set("ac\n")
    assert json.loads((tmp_path / "out" / "_bulk.json").read_text())["letters"] == "ac"


def test_files_in_place_of_the_models_networks(scans, tmp_path, stripes_model):
    output, files = tmp_path / "out", [f"--{task}={stripes_model / f'{task}.onnx'}" for task in ("det", "cls", "rec")]
    assert main(["bulk", str(scans / "one.png"), "--output", str(output), *files]) == 0
    assert texts(output) == {"one.png": TEXTS["one.png"]}
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "rec.onnx"
    other.write_bytes((stripes_model / "rec.onnx").read_bytes())
    assert main(["bulk", str(scans / "one.png"), "--output", str(output), *files, f"--rec={other}"]) == 0  # the same
    assert main(["bulk", str(scans / "one.png"), "--output", str(output), *files[:2]]) == 1


def test_what_cannot_be_fetched_is_a_row_until_it_can(scans, tmp_path, settings, monkeypatch):
    output, reach = str(tmp_path / "out"), documents.open_bytes
    monkeypatch.setattr(run, "_PAUSE_SECONDS", 0)
    tries = []

    def unsteady(document, column):
        tries.append(document.source)
        if document.source.endswith("one.png"):
            raise documents.Unreachable("the store does not answer")
        if document.source.endswith("two.png") and tries.count(document.source) == 1:
            raise documents.Unreachable("not yet")
        return reach(document, column)

    monkeypatch.setattr(run, "open_bytes", unsteady)
    tally = run_bulk([str(scans)], output, settings=settings)
    assert (tally.documents, tally.errors) == (4, 2)
    assert texts(output) == {**TEXTS, "one.png": [""]}
    assert "does not answer" in [row["error"] for row in BulkOutput(output, "parquet", words=False).rows()][-1]
    monkeypatch.setattr(run, "open_bytes", reach)
    assert run_bulk([str(scans)], output, settings=settings).documents == 1
    assert texts(output) == TEXTS


def test_an_empty_path_is_not_the_current_folder(scans, monkeypatch):
    monkeypatch.chdir(scans)
    with pytest.raises(UserError, match="no such file or folder"):
        list(find_documents([""]))


def test_a_listed_file_that_does_not_exist_is_a_row_until_it_does(scans, tmp_path, settings):
    output, late = str(tmp_path / "out"), scans / "late.png"
    inputs = [str(scans / "one.png"), str(late), str(scans / "two.png")]
    tally = run_bulk(inputs, output, settings=settings)
    assert (tally.documents, tally.errors) == (2, 1)
    rows = list(BulkOutput(output, "parquet", words=False).rows())
    assert [row["error"] for row in rows if row["error"]] == [f"no such file: {late}"]
    late.write_bytes(image("acb"))
    tally = run_bulk(inputs, output, settings=settings)
    assert (tally.documents, tally.errors, tally.skipped) == (1, 0, 2)
    assert texts(output) == {"one.png": ["abc"], "late.png": ["acb"], "two.png": ["cab"]}


@pytest.mark.parametrize("output", ["scans", "scans/texts"])
@pytest.mark.parametrize("pattern", ["", "/**"])
def test_the_output_may_lie_in_the_folder_that_is_read(scans, settings, output, pattern):
    (scans / "notes.txt").unlink()
    run_bulk([str(scans) + pattern], str(scans.parent / output), settings=settings)
    tally = run_bulk([str(scans) + pattern], str(scans.parent / output), settings=settings)
    assert (tally.documents, tally.skipped) == (0, 5)


def test_lists_hold_any_name(tmp_path, settings, stripes_model):
    names = ["new\nline.png", "vertical\x0btab.png", "line\u2028separator.png", " space .png"]
    for name in names:
        (tmp_path / name).write_bytes(image("abc"))
    (tmp_path / "nul.txt").write_text("".join(f"{tmp_path / name}\0" for name in names))
    (tmp_path / "rows.txt").write_text("".join(f"{tmp_path / name}\n" for name in names[1:]))
    for listed, count in (("nul.txt", 4), ("rows.txt", 3)):
        output = tmp_path / f"of-{listed}"
        arguments = ["--list", str(tmp_path / listed), "--output", str(output), "--model", str(stripes_model)]
        assert main(["bulk", *arguments]) == 0
        assert texts(output) == {name: ["abc"] for name in names[-count:]}


def test_a_run_that_was_killed_is_gone_on_with(tmp_path, stripes_model):
    """Not a page is lost or there twice: the parts of the killed run stay, and only they are not read again."""
    folder, output = tmp_path / "scans", tmp_path / "out"
    folder.mkdir()
    expected = {}
    for number in range(120):
        text = "".join("abc"[number // 3**digit % 3] for digit in range(6))
        (folder / f"{number}.png").write_bytes(image(text))
        expected[f"{number}.png"] = [text]
    command = [sys.executable, "-m", "ppocr_jax", "bulk", str(folder), "--output", str(output)]
    process = subprocess.Popen([*command, "--model", str(stripes_model)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not (output.is_dir() and len(list(output.glob("part-*"))) >= 2):
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    there = sum(map(len, texts(output).values()))
    assert 0 < there < 120
    tally = run_bulk([str(folder)], str(output), settings=BulkSettings(model=str(stripes_model)))
    assert (tally.skipped, tally.pages) == (there, 120 - there)
    assert texts(output) == expected


def test_parquet_files_of_bytes_patterns_and_lists(scans, tmp_path, settings, capsys, stripes_model):
    images = [{"bytes": image(text), "path": f"{text}.png"} for text in ("ab", "ba", "cc")]
    table = pa.table({"label": [1, 2, 3], "image": pa.array(images)})
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet", row_group_size=2)
    run_bulk([str(tmp_path / "set.parquet")], str(tmp_path / "out"), settings=settings)
    assert texts(tmp_path / "out") == {f"set.parquet#{i}": [text] for i, text in enumerate(("ab", "ba", "cc"))}
    twice = pa.table({"a": [b"x"], "b": [b"y"]})
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(UserError, match="a, b"):
        run_bulk([str(tmp_path / "twice.parquet")], str(tmp_path / "out"), settings=settings)

    (tmp_path / "list.txt").write_text(f"{scans}/*.png\n\n{scans}/one.png\n")
    arguments = ["--output", str(tmp_path / "listed"), "--format", "jsonl", "--model", str(stripes_model)]
    assert main(["bulk", "--list", str(tmp_path / "list.txt"), *arguments]) == 1  # one is broken
    assert re.search("3 documents, 3 pages .* 1 error; 0 documents were already done", capsys.readouterr().out)
    assert set(texts(tmp_path / "listed", "jsonl")) == {"one.png", "two.png", "broken.png"}
    assert main(["bulk", f"{scans}/two.png", *arguments]) == 0
    assert "; 1 document was already done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("inputs", "says"),
    [(["nowhere/"], "nowhere"), (["*.none"], "contains no"), (["gone://x/y"], "gone"), ([], "no input")],
)
def test_what_is_not_there_is_said_in_one_line(inputs, says, tmp_path, capsys):
    assert main(["bulk", *inputs, "--output", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_urls_in_and_out(settings):
    """Any store of fsspec's; this one is in memory. `test_object_store` asks a server."""
    fs = fsspec.filesystem("memory")
    fs.pipe({"/in/x.png": image("ab"), "/in/y/z.png": image("bc"), "/in/n.txt": b"no"})
    try:
        run_bulk(["memory://in"], "memory://out", settings=settings, file_format="jsonl")
        rows = [json.loads(row) for path in fs.glob("/out/part-*") for row in fs.cat_file(path).splitlines()]
        assert {row["image"]: row["text"] for row in rows} == {"memory:///in/x.png": "ab", "memory:///in/y/z.png": "bc"}
        assert run_bulk(["memory://in"], "memory://out", settings=settings, file_format="jsonl").skipped == 2
    finally:
        fs.rm("/in", recursive=True)
        fs.rm("/out", recursive=True)
