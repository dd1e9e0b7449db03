"""Folders and files in the formats of the ICDAR competitions."""

from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.data.labels import DetectionRecord, LabelError, RecognitionRecord, Region, read_labels, write_labels


def folder(path: Path, files: dict[str, str | bytes]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(record: DetectionRecord) -> list[tuple[str, bool]]:
    return [(region.text, region.ignore) for region in record.regions]


def test_2015(tmp_path: Path) -> None:
    lines = "\ufeff377,117,463,117,465,130,378,130,Genaxis Theatre\r\n493,115,519,115,519,131,493,131,[06],1,2\r\n"
    lines += "374,155,409,155,409,170,374,170,###\r\n"
    labels = folder(tmp_path, {"gt_img_1.txt": lines, "img_1.JPG": "", "gt_img_2.txt": "", "img_2.png": ""})
    first, second = read_labels(labels).records
    assert read_labels(labels).format == "icdar2015"
    assert first.image_path == tmp_path / "img_1.JPG"
    assert texts(first) == [("Genaxis Theatre", False), ("[06],1,2", False), ("###", True)]
    np.testing.assert_array_equal(first.regions[0].points, [[377, 117], [463, 117], [465, 130], [378, 130]])
    assert (second.image_path, second.regions) == (tmp_path / "img_2.png", ())


@pytest.mark.parametrize("separator", [", ", " ", ","], ids=["test set", "training set", "tight"])
def test_2013(tmp_path: Path, separator: str) -> None:
    line = separator.join(["38", "43", "920", "215", '"Tired, \\"ness\\" \\\\"'])
    labels = read_labels(folder(tmp_path, {"gt_img_1.txt": f"{line}\n", "img_1.jpg": ""}))
    assert labels.format == "icdar2013"
    (region,) = labels.records[0].regions
    assert region.text == 'Tired, "ness" \\'
    np.testing.assert_array_equal(region.points, [[38, 43], [920, 43], [920, 215], [38, 215]])


def test_multilingual(tmp_path: Path) -> None:
    lines = "1,2,30,2,30,9,1,9,Latin,a,b\n1,20,30,20,30,29,1,29,None,###\n"
    labels = read_labels(folder(tmp_path, {"gt_img_1.txt": lines, "img_1.jpg": ""}))
    assert labels.format == "icdar-mlt"
    assert texts(labels.records[0]) == [("a,b", False), ("###", True)]


def test_words(tmp_path: Path) -> None:
    path = folder(tmp_path, {"gt.txt": '\ufeffword_1.png, "Say ""hi"""\nword_2.png,"62-,03"\n'}) / "gt.txt"
    labels = read_labels(path)
    assert labels.format == "icdar-words"
    assert labels.records == (
        RecognitionRecord(tmp_path / "word_1.png", 'Say ""hi""'),
        RecognitionRecord(tmp_path / "word_2.png", "62-,03"),
    )


@pytest.mark.parametrize(
    ("format", "line", "message"),
    [
        ("icdar2015", "1,2,30,2,30,9,1,9", "7 commas, where at least 8"),
        ("icdar2015", "1,2,30,2,30,9,1,x,a", "could not convert string to float"),
        ("icdar2015", "1,2,30,2,30,9,1,nan,a", "finite"),
        ("icdar2013", "1, 2, 30, 9, a", "not a line like"),
        ("icdar-mlt", "1,2,30,2,30,9,1,9,Klingon,a", "'Klingon' is none of the scripts Arabic"),
    ],
)
def test_a_bad_line_costs_its_image(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, format: str, line: str, message: str
) -> None:
    good = {"icdar2013": '1, 2, 30, 9, "a"', "icdar-mlt": "1,2,30,2,30,9,1,9,Latin,a"}
    good_line = good.get(format, "1,2,30,2,30,9,1,9,a")
    files = {"gt_1.txt": f"{good_line}\n{line}\n{line}\n", "gt_2.txt": good_line, "1.jpg": "", "2.jpg": ""}
    path = folder(tmp_path, files)
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path, format)
    assert str(error.value).startswith(f"{tmp_path / 'gt_1.txt'}:2: ")
    labels = read_labels(path, format, strict=False)
    assert [record.image_path.name for record in labels.records] == ["2.jpg"]
    assert [(entry.path.name, entry.line) for entry in labels.bad_entries] == [("gt_1.txt", 2), ("gt_1.txt", 3)]
    assert "1 of 2 images skipped" in caplog.text


QUAD = "1,2,30,2,30,9,1,9,a\n"


@pytest.mark.parametrize("place", [".", "images", "../images", "..", "../training_images"])
def test_images_are_found_beside_the_labels(tmp_path: Path, place: str) -> None:
    labels = folder(tmp_path / "set" / "gt", {"gt_a b.txt": QUAD})
    images = folder(labels / place, {"a b.png": ""})
    (record,) = read_labels(labels).records
    assert record.image_path.resolve() == (images / "a b.png").resolve()


def test_images_in_two_places_are_not_guessed(tmp_path: Path) -> None:
    labels = folder(tmp_path / "gt", {"gt_img_1.txt": QUAD})
    for name in ("test", "train"):
        folder(tmp_path / name, {"img_1.jpg": ""})
    with pytest.raises(LabelError, match=r"are in .*test and in .*train"):
        read_labels(labels)
    (record,) = read_labels(labels, image_root=tmp_path / "train").records
    assert record.image_path == tmp_path / "train" / "img_1.jpg"


def test_missing_and_unlabeled_images_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    labels = folder(tmp_path / "gt", {"gt_1.txt": QUAD, "gt_2.txt": QUAD, "1.png": "", "3.png": "", "4.png": ""})
    assert [record.image_path.name for record in read_labels(labels).records] == ["1.png", "2.jpg"]
    assert "2 images have no label file, such as" in caplog.text
    caplog.clear()
    read_labels(folder(tmp_path / "alone" / "gt", {"gt_1.txt": QUAD}))
    assert "no images for these labels" in caplog.text


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    folder(tmp_path, {"gt_1.txt": QUAD, "gt_2.txt": QUAD, "1.png": "", "2.png": ""})
    (record,) = read_labels(tmp_path / "gt_2.txt").records
    assert record.image_path == tmp_path / "2.png"


def test_writing_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)

    def write(*records: DetectionRecord) -> None:
        write_labels(tmp_path / "gt", records, "icdar2015")

    with pytest.raises(LabelError, match="5 corners"):
        write(DetectionRecord(Path("1.jpg"), (Region(np.concatenate([square, square[:1]]), "a"),)))
    with pytest.raises(LabelError, match="line break"):
        write(DetectionRecord(Path("1.jpg"), (Region(square, "a\nb"),)))
    with pytest.raises(LabelError, match="another image of this name"):
        write(DetectionRecord(Path("a/1.jpg"), ()), DetectionRecord(Path("b/1.jpg"), ()))
    assert not (tmp_path / "gt").exists(), "nothing half written"
    write(DetectionRecord(Path("1.jpg"), (Region(square, "smudge", ignore=True),)))
    assert (tmp_path / "gt" / "gt_1.txt").read_text() == "0,0,9,0,9,9,0,9,###\n"
    with pytest.raises(LabelError, match=r"other images, such as gt_1\.txt"):
        write(DetectionRecord(Path("2.jpg"), ()))
