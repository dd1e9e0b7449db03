"""What `ppocr-jax synth` writes, in every format, is what the generators drew; wrong options are one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import english_charset
from ppocr_jax.cli import run_command
from ppocr_jax.data.images import load_record_image
from ppocr_jax.data.labels import read_detection_labels, read_labels, read_recognition_labels
from ppocr_jax.data.labels.lmdb import image_bytes
from ppocr_jax.images import load_image
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts
from ppocr_jax.synth.line import LineGenerator
from ppocr_jax.synth.page import PageGenerator

FONT_FOLDERS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation")


@pytest.fixture(scope="module")
def fonts() -> Path:
    """A font folder that is searched quickly."""
    for folder in FONT_FOLDERS:
        try:
            find_fonts([folder])
        except NoFontsError:
            continue
        return Path(folder)
    pytest.skip("no DejaVu or Liberation fonts on this machine")


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "b.txt").write_text("where is the old station\nTOTAL AMOUNT due\n")
    (folder / "a.txt").write_text("one small line of text\ncash and card\n")
    return folder


@pytest.fixture
def synth(tmp_path, fonts, corpus):
    """Calls the command; gives the folder it wrote."""

    def call(name: str, *arguments: str) -> Path:
        given = ["--output", str(tmp_path / name), "--fonts", str(fonts), "--corpus", str(corpus)]
        assert run_command("synth", [*arguments, *given]) == 0
        return tmp_path / name

    return call


def materials(fonts, corpus):
    texts = Corpus.from_files(sorted(corpus.glob("*.txt")))
    return {"charset": english_charset(), "fonts": find_fonts([fonts]), "corpus": texts}


def files_in(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("granularity", ["line", "word"])
def test_pages_read_back_are_those_drawn(synth, fonts, corpus, granularity):
    out = synth("out", "det", "--count", "3", "--size", "320", "--seed", "5", "--granularity", granularity)
    generator = PageGenerator(**materials(fonts, corpus))
    records = read_detection_labels(out / "label.txt")
    assert len(records) == 3
    for index, record in enumerate(records):
        page = generator(5, index, size=(320, 320))
        np.testing.assert_array_equal(load_image(record.image_path), page.image_rgb)
        wanted = [part for line in page.lines for part in (line.words if granularity == "word" else [line])]
        assert [region.text for region in record.regions] == [part.text for part in wanted]
        for region, part in zip(record.regions, wanted, strict=True):
            np.testing.assert_allclose(region.points, part.quad, atol=0.01)
    words = [region.text for record in records for region in record.regions]
    assert any(" " in word for word in words) == (granularity == "line")


def test_pages_of_some_kinds_come_in_turn(synth, fonts, corpus):
    out = synth("out", "det", "--count", "3", "--size", "256", "--pages", "code", "poster")
    generator = PageGenerator(**materials(fonts, corpus))
    for index, kind in enumerate(("code", "poster", "code")):
        image = load_image(out / "images" / f"{index:07d}.png")
        np.testing.assert_array_equal(image, generator(0, index, size=(256, 256), kind=kind).image_rgb)


def test_lines_read_back_are_those_drawn(synth, fonts, corpus):
    records = read_recognition_labels(synth("out", "rec", "--count", "5", "--seed", "7") / "rec_label.txt")
    generator = LineGenerator(**materials(fonts, corpus))
    assert len(records) == 5
    for index, record in enumerate(records):
        assert record.text == generator(7, index).text
        np.testing.assert_array_equal(load_image(record.image_path), generator(7, index).image_rgb)


def test_a_database_holds_the_files_of_the_folder(synth):
    pytest.importorskip("lmdb")
    options = ["rec", "--count", "4", "--image-format", "jpg", "--quality", "70"]
    plain = read_recognition_labels(synth("plain", *options) / "rec_label.txt")
    out = synth("database", *options, "--format", "lmdb")
    assert {p.suffix for p in out.iterdir()} == {".mdb"}
    labels = read_labels(out)
    assert labels.format == "lmdb"
    assert [r.text for r in labels.records] == [r.text for r in plain]
    for stored, file in zip(labels.records, plain, strict=True):
        assert image_bytes(stored.image_path) == file.image_path.read_bytes()
        assert load_record_image(stored.image_path).ndim == 3


def test_lines_of_a_classifier_fit_into_a_database(synth):
    pytest.importorskip("lmdb")
    records = read_labels(synth("out", "cls", "--count", "3", "--format", "lmdb")).records
    assert [record.text for record in records] == ["0", "180", "0"]


def quantization(quality):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    return Image.open(file).quantization


def test_jpeg_files_are_as_good_as_asked_for(synth):
    exact = synth("png", "rec", "--count", "3") / "images" / "0000002.png"
    for quality in (30, 95):
        options = ["rec", "--count", "3", "--image-format", "jpg", "--quality", str(quality)]
        record = read_recognition_labels(synth(f"jpg{quality}", *options) / "rec_label.txt")[2]
        assert record.image_path.name == "0000002.jpg"
        assert Image.open(record.image_path).quantization == quantization(quality)
    assert np.abs(load_image(record.image_path).astype(float) - load_image(exact)).mean() < 6


@pytest.mark.parametrize("arguments", [("rec", "--image-format", "jpg"), ("det", "--granularity", "word")])
def test_the_files_are_the_same_for_any_number_of_processes(synth, arguments):
    options = [*arguments, "--count", "5", "--size", "128"]
    alone = files_in(synth("alone", *options))
    assert len(alone) == 6
    assert files_in(synth("three", *options, "--workers", "3")) == alone
    assert files_in(synth("other", *options, "--seed", "1")) != alone


WRONG = {
    "workers": ["rec", "--workers", "0"],
    "quality": ["rec", "--image-format", "jpg", "--quality", "101"],
    "quality of png": ["rec", "--quality", "80"],
    "seed": ["rec", "--seed", "-1"],
    "size": ["det", "--size", "10"],
    "pages in a database": ["det", "--format", "lmdb"],
    "words of a line": ["rec", "--granularity", "word"],
    "kinds of a line": ["rec", "--pages", "poster"],
    "no such page": ["det", "--pages", "scroll"],
    "two targets": ["rec", "--preview", "sheet.png"],
    "font folder": ["rec", "--fonts", "no/such/folder"],
    "charset": ["rec", "--charset", "klingon"],
    "corpus folder": ["rec", "--corpus", "."],
    "backgrounds": ["det", "--backgrounds", "no/such/photo.jpg"],
    "folder without backgrounds": ["det", "--backgrounds", "."],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_one_line_and_writes_nothing(tmp_path, monkeypatch, capsys, fonts, corpus, arguments):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    usual = ["--output", "out", "--fonts", str(fonts), "--corpus", str(corpus)]
    assert run_command("synth", [arguments[0], *usual, *arguments[1:]]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(here.iterdir())


@pytest.mark.parametrize("form", ["folder", "lmdb"])
def test_an_output_that_is_not_empty_is_left_as_it_is(tmp_path, capsys, fonts, form):
    (tmp_path / "mine.txt").write_text("mine")
    for output in (tmp_path, tmp_path / "mine.txt"):
        assert run_command("synth", ["rec", "--output", str(output), "--format", form, "--fonts", str(fonts)]) == 1
        assert f"{output} is not an empty folder" in capsys.readouterr().err
    assert files_in(tmp_path) == {"mine.txt": b"mine"}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_background_that_is_no_image_is_one_line(tmp_path, capsys, fonts, corpus, workers):
    photo = tmp_path / "photo.jpg"
    photo.write_text("not an image")
    options = ["--fonts", str(fonts), "--corpus", str(corpus), "--backgrounds", str(photo), "--workers", workers]
    assert run_command("synth", ["det", "--size", "64", "--output", str(tmp_path / "out"), *options]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(photo) in error
    assert not (tmp_path / "out" / "label.txt").exists()


def test_an_output_that_cannot_be_made_is_one_line(tmp_path, capsys, fonts, corpus):
    (tmp_path / "file").write_text("")
    target = str(tmp_path / "file" / "out")
    options = ["rec", "--output", target, "--fonts", str(fonts), "--corpus", str(corpus)]
    assert run_command("synth", options) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_characters_that_no_font_has_are_named(tmp_path, caplog, fonts, corpus):
    (tmp_path / "charset.txt").write_text("a\nb\nc\n\U0010fffd\n", "utf-8")
    options = ["--charset", str(tmp_path / "charset.txt"), "--fonts", str(fonts), "--corpus", str(corpus)]
    with caplog.at_level("WARNING", "ppocr_jax"):
        assert run_command("synth", ["rec", "--count", "1", "--output", str(tmp_path / "out"), *options]) == 0
    assert "no font has 1 of the 4 characters" in caplog.text
    assert "\U0010fffd" in caplog.text
