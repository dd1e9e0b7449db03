"""`label`: PPOCRLabel files from what readers read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.cli import run_command
from ppocr_jax.commands.label import regions_of, texts_in_boxes, with_spaces
from ppocr_jax.data.labels import Region, read_detection_labels
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
    for other in ("some notes\nmore", '{"images": []}', "word"):  # no line feed at the end
        output.write_text(other, encoding="utf-8")
        assert label(folder, "--output", output) == 1
        assert output.read_text() == other
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


def region(text: str, left: float, top: float, right: float, bottom: float) -> Region:
    points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)
    return Region(points, text, ignore=text == "###")


def texts_by_box(read: Page, *labels: Region, **options: bool) -> list[tuple[str, float, float]]:
    return [(r.text, *map(float, r.points[0])) for r in texts_in_boxes(read, labels, **options)]


def test_boxes_take_the_texts_inside_them_in_reading_direction():
    read = page(line("rea", 0, 0))
    assert texts_by_box(read, region("right", 55, 2, 95, 18), region("left", 5, 2, 50, 18)) == [("left right", 0, 0)]
    upright = page(Line(((0, 0), (20, 0), (20, 100), (0, 100)), "x", 1.0))
    assert texts_by_box(upright, region("below", 2, 55, 18, 95), region("above", 2, 5, 18, 50)) == [
        ("above below", 0, 0)
    ]


@pytest.mark.parametrize(
    "labels",
    [
        [],  # nothing
        [("a", 5, 0, 30, 20)],  # most of the box is something else
        [("a", 0, 0, 70, 20), ("b", 80, 0, 140, 20)],  # a label is cut
        [("a", 0, 0, 70, 20), ("###", 72, 0, 99, 20)],  # a part is illegible
        [("a", 0, 0, 70, 20), ("", 72, 0, 99, 20)],  # a text is unknown
        [("a", 0, 0, 99, 9), ("b", 0, 10, 99, 20)],  # two lines
    ],
)
def test_boxes_of_uncertain_text_are_ignored_and_no_label_is_lost(labels):
    regions = texts_in_boxes(page(line("read", 0, 0)), [region(*label) for label in labels])
    assert regions[0].ignore
    assert [r.text for r in regions[1:]] == [text for text, *_ in labels if text != "###"]


def test_labels_that_were_not_detected_stay():
    assert texts_by_box(page(line("x", 0, 0)), region("here", 0, 0, 90, 20), region("there", 0, 50, 90, 70)) == [
        ("here", 0, 0),
        ("there", 0, 50),
    ]
    assert texts_by_box(page(), region("alone", 3, 4, 90, 20)) == [("alone", 3, 4)]


@pytest.mark.parametrize(
    ("text", "read", "spaced"),
    [
        ("RedondoBeach,CA90277", "Redondo Beach, CA 90277", "Redondo Beach, CA 90277"),
        ("RedondoBeach,CA90277", "Redonda Beach CA 90271", "Redondo Beach, CA 90277"),  # a letter wrong, one missing
        ("one two", "onetwo", "one two"),
        ("SubTotal", "Sub Totl", "Sub Total"),
        ("Total", " Total ", "Total"),
        ("Total", "12 34 5", "Total"),  # nothing in common
        ("", "a b", ""),
    ],
)
def test_spaces_come_from_the_reading(text, read, spaced):
    assert with_spaces(text, read) == spaced


def test_a_label_file_moves_to_the_boxes_of_the_model(label, folder, capsys):
    labels, output = folder / "texts.txt", folder / "boxes.txt"
    loose = [[90, 60], [210, 60], [210, 140], [90, 140]]
    labels.write_text(f'a.png\t[{{"transcription": "true", "points": {loose}}}]\n', encoding="utf-8")
    assert label(folder, "--output", output, "--texts", labels) == 0
    (record,) = read_detection_labels(output)
    assert "2 of 3 images have no labels" in capsys.readouterr().err
    texts = {r.text: r.points for r in record.regions}
    assert "true" in texts
    found = texts.get("###", texts["true"])  # the box may cover less than two fifths of so loose a label
    assert np.ptp(found[:, 1]) < 80


@pytest.mark.parametrize(
    "options",
    [["--texts", "LABELS", "--agree", "en"], ["--texts", "LABELS", "--min-confidence", "0.5"], ["--add-spaces"]],
)
def test_options_that_exclude_each_other(label, folder, options, capsys):
    labels = folder / "texts.txt"
    labels.write_text("a.png\t[]\n", encoding="utf-8")
    given = [str(labels) if option == "LABELS" else option for option in options]
    assert label(folder, "--output", folder / "new.txt", *given) == 1
    assert "--texts" in capsys.readouterr().err
    assert not (folder / "new.txt").exists()


def test_texts_of_other_images_are_an_error(label, folder, capsys):
    labels = folder / "texts.txt"
    labels.write_text("elsewhere.png\t[]\n", encoding="utf-8")
    assert label(folder, "--output", folder / "new.txt", "--texts", labels) == 1
    assert "no labels for any of the 3 images" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "message"), [("missing.txt", "No such file"), (".", "Is a directory")])
def test_texts_that_cannot_be_read_are_one_line(label, folder, name, message, capsys):
    assert label(folder, "--output", folder / "new.txt", "--texts", folder / name) == 1
    said = capsys.readouterr().err
    assert message in said
    assert len(said.strip().splitlines()) == 1


def test_texts_of_an_image_listed_twice_are_not_lost(label, folder, capsys):
    rows = [f'a.png\t[{{"transcription": "{text}", "points": [[1, 1], [9, 1], [9, 9], [1, 9]]}}]\n' for text in "ab"]
    texts = folder / "texts.txt"
    texts.write_text("".join(rows), encoding="utf-8")
    assert label(folder, "--output", folder / "label.txt", "--texts", texts) == 1
    assert "a.png again with other labels" in capsys.readouterr().err
    texts.write_text(rows[0] * 2, encoding="utf-8")
    assert label(folder, "--output", folder / "label.txt", "--texts", texts) == 0
