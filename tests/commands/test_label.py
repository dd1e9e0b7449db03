"""`label`: PPOCRLabel files from what readers read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.cli import run_command
from ppocr_jax.commands.label import regions_of
from ppocr_jax.data.labels import read_detection_labels
from ppocr_jax.document.page import Line, Page

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

TEXTS = {"a.png": "abc", "b.png": "ccab", "c.png": "bbb"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "scans"
    path.mkdir(parents=True)
    for name, text in TEXTS.items():
        Image.fromarray(stripes.paint_page((200, 300), [(text, (150, 100), 0)])).save(path / name)
    return path


@pytest.fixture
def label(stripes_model):
    def call(*arguments: object) -> int:
        return run_command("label", ["--model", str(stripes_model), *map(str, arguments)])

    return call


def texts_in(path: Path) -> dict[str, list[str]]:
    return {r.image_path.name: [region.text for region in r.regions] for r in read_detection_labels(path)}


def test_a_folder_becomes_a_label_file_with_paths_relative_to_it(label, folder, capsys):
    output = folder.parent / "label.txt"
    assert label(folder, "--output", output) == 0
    rows = [row.split("\t") for row in output.read_text(encoding="utf-8").splitlines()]
    assert [name for name, _ in rows] == [f"scans/{name}" for name in TEXTS]
    assert [[region["transcription"] for region in json.loads(regions)] for _, regions in rows] == [
        [text] for text in TEXTS.values()
    ]
    (record, *_) = read_detection_labels(output)
    assert record.image_path.resolve() == folder / "a.png"
    center = record.regions[0].points.mean(axis=0)
    np.testing.assert_allclose(center, (150, 100), atol=3)
    assert "3 images labeled: 3 texts kept, 0 ###" in capsys.readouterr().err


def test_it_goes_on_and_leaves_what_is_there(label, folder, capsys):
    """Corrected lines stay, a line that was broken off is made anew."""
    output = folder / "Label.txt"
    corrected = 'a.png\t[{"transcription": "mine", "points": [[1, 1], [9, 1], [9, 9], [1, 9]]}]'
    output.write_text(f'{corrected}\nb.png\t[{{"transcr', encoding="utf-8")
    assert label(folder, "--output", output) == 0
    assert texts_in(output) == {"a.png": ["mine"], "b.png": ["ccab"], "c.png": ["bbb"]}
    assert "1 of 3 images are already in" in capsys.readouterr().err
    before = output.read_bytes()
    assert label(folder, "--output", output) == 0
    assert output.read_bytes() == before
    output.write_text(corrected, encoding="utf-8")  # as an editor leaves it, without a last line feed
    assert label(folder, "--output", output) == 0
    assert texts_in(output) == {"a.png": ["mine"], "b.png": ["ccab"], "c.png": ["bbb"]}


def test_what_is_no_label_file_is_not_written_to(label, folder, capsys):
    output = folder / "notes.txt"
    output.write_text("some notes\n", encoding="utf-8")
    assert label(folder, "--output", output) == 1
    assert "is not a label file with regions" in capsys.readouterr().err
    assert output.read_text() == "some notes\n"
    image = (folder / "a.png").read_bytes()
    assert label(folder, "--output", folder / "a.png") == 1
    assert (folder / "a.png").read_bytes() == image


def test_one_bad_image_is_a_line_and_not_the_end(label, folder, capsys):
    (folder / "b.png").write_text("no image")
    assert label(folder, "--output", folder / "label.txt") == 1
    assert texts_in(folder / "label.txt") == {"a.png": ["abc"], "c.png": ["bbb"]}
    errors = [line for line in capsys.readouterr().err.splitlines() if "b.png" in line]
    assert len(errors) == 1


def test_unsure_texts_are_not_known(label, folder):
    assert label(folder, "--output", folder / "label.txt", "--min-confidence", "1") == 0
    kept = texts_in(folder / "label.txt")
    sure = [texts for texts in kept.values() if "###" not in texts]
    assert len(kept) == 3
    assert len(sure) < 3


def test_a_second_reader_that_is_the_first_agrees(label, folder, stripes_model):
    assert label(folder, "--output", folder / "label.txt", "--agree", stripes_model) == 0
    assert texts_in(folder / "label.txt") == {name: [text] for name, text in TEXTS.items()}


def line(text: str, left: float, top: float, *, confidence: float = 0.5) -> Line:
    quad = ((left, top), (left + 100, top), (left + 100, top + 20), (left, top + 20))
    return Line(quad, text, confidence)


def page(*lines: Line) -> Page:
    return Page(400, 400, lines)


def known(*arguments: Page, min_confidence: float = 0.0) -> list[tuple[str, float]]:
    return [
        ("###" if region.ignore else region.text, float(region.points[0, 1]))
        for region in regions_of(*arguments, min_confidence=min_confidence)
    ]


def test_readers_agree_on_the_same_text_at_the_same_place():
    first = page(
        line("same", 0, 0), line("a b", 0, 50), line("other", 0, 100), line("moved", 0, 150), line("one", 0, 200)
    )
    second = page(
        line("one", 200, 200),  # elsewhere: only the second has found it there
        line("moved", 80, 150),  # covers too little of it
        line("different", 0, 100),
        line("ab", 0, 50),  # spaces count
        line("same", 2, 1),
    )
    assert known(first, second) == [("same", 0), ("###", 50), ("###", 100), ("###", 150), ("###", 200), ("###", 200)]


def test_confidence_and_empty_texts():
    read = page(
        line("sure", 0, 0, confidence=0.95), line("not", 0, 50, confidence=0.89), line(" ", 0, 99, confidence=1)
    )
    assert known(read, min_confidence=0.9) == [("sure", 0), ("###", 50), ("###", 99)]
    assert known(page()) == []
    assert known(page(), page(line("x", 0, 7))) == [("###", 7)]


def test_no_file_is_left_where_the_model_is_missing(folder, capsys):
    output = folder / "label.txt"
    assert run_command("label", [str(folder), "--model", "no-such-model", "--output", str(output)]) == 1
    assert "no-such-model" in capsys.readouterr().err
    assert not output.exists()
