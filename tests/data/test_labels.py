import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.data.labels import (
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Region,
    read_detection_labels,
    read_recognition_labels,
    write_detection_labels,
    write_recognition_labels,
)

SQUARE = [[1, 2], [3, 2], [3, 4], [1, 4]]


def region_json(text: object = "a", points: object = SQUARE) -> dict[str, object]:
    return {"transcription": text, "points": points}


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_regions_read_as_paddleocr_reads_them(tmp_path: Path) -> None:
    # Points and flags are those that PaddleOCR release/2.6's label encoder gives for this label.
    pentagon = [[1, 2], [3, 2], [4, 3], [3, 4], [1, 4]]
    label = [region_json(), region_json("###", pentagon), region_json("*", [[5, 5], [6, 5], [6, 6], [5, 6]])]
    path = write(tmp_path / "label.txt", f"images/1.jpg\t{json.dumps(label)}")
    (record,) = read_detection_labels(path)
    assert record.image_path == tmp_path / "images" / "1.jpg"
    assert [region.ignore for region in record.regions] == [False, True, True]
    assert [region.text for region in record.regions] == ["a", "###", "*"]
    np.testing.assert_array_equal(record.regions[0].points, SQUARE)
    np.testing.assert_array_equal(record.regions[1].points, pentagon)
    assert record.regions[0].points.dtype == np.float32


def test_unknown_text_is_a_region_and_empty_images_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "label.txt", f"1.jpg\t{json.dumps([region_json('')])}", "", "2.jpg\t[]")
    first, second = read_detection_labels(path)
    assert not first.regions[0].ignore
    assert first.regions[0].text == ""
    assert second.regions == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.jpg [{}]", "no tab between"),
        ("\t[]", "path is empty"),
        ("1.jpg\t[{", "not JSON"),
        ('1.jpg\t{"points": 1}', "must be a JSON list of regions, not dict"),
        ('1.jpg\t[{"points": [[1,2],[3,2],[3,4],[1,4]]}]', 'region 0 needs "transcription"'),
        (f"1.jpg\t{json.dumps([region_json(), region_json(7)])}", 'region 1: "transcription" must be a string, not 7'),
        (f"1.jpg\t{json.dumps([region_json(points=[[1, 2], [3, 4]])])}", "4 or more"),
        (f"1.jpg\t{json.dumps([region_json(points=[[1, 2], [3]])])}", r"list of \[x, y\] numbers"),
        (f"1.jpg\t{json.dumps([region_json(points=[[1, 2], [3, 2], [3, 4], [1, float('nan')]])])}", "finite"),
    ],
)
def test_bad_lines_are_named_or_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, message: str
) -> None:
    path = write(tmp_path / "label.txt", "0.jpg\t[]", line, "2.jpg\t[]")
    with pytest.raises(LabelError, match=message) as error:
        read_detection_labels(path)
    assert str(error.value).startswith(f"{path}:2: ")
    with caplog.at_level(logging.WARNING, logger="ppocr_jax"):
        records = read_detection_labels(path, strict=False)
    assert [record.image_path.name for record in records] == ["0.jpg", "2.jpg"]
    assert f"{path}:2:" in caplog.text
    assert "1 of 3 lines skipped" in caplog.text


def test_image_folders(tmp_path: Path) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    path = write(folder / "Label.txt", "receipts/1.jpg\t[]")
    assert read_detection_labels(path)[0].image_path == tmp_path / "receipts" / "1.jpg", "as PPOCRLabel writes"
    (folder / "receipts").mkdir()
    (folder / "receipts" / "1.jpg").touch()
    assert read_detection_labels(path)[0].image_path == folder / "receipts" / "1.jpg", "an existing file wins"
    assert read_detection_labels(path, image_root=tmp_path / "x")[0].image_path == tmp_path / "x/receipts/1.jpg"


def test_image_folders_from_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "receipts"
    folder.mkdir()
    (folder / "1.jpg").touch()
    write(folder / "Label.txt", "receipts/1.jpg\t[]")
    monkeypatch.chdir(folder)
    assert read_detection_labels("Label.txt")[0].image_path.samefile(folder / "1.jpg")


def test_paths_written_on_windows(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "a\\b.png").touch()
    label = write(tmp_path / "label.txt", "images\\1.png\tTotal", "a\\b.png\tcash")
    assert [record.image_path for record in read_recognition_labels(label)] == [
        tmp_path / "images" / "1.png",
        tmp_path / "a\\b.png",
    ]
    (record, _) = read_recognition_labels(label, image_root=tmp_path / "other")
    assert record.image_path == tmp_path / "other" / "images" / "1.png"


def test_recognition_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rec.txt"
    path.write_bytes("\ufeffa/1.jpg\t two  words\ttab \r\n2.jpg\t\u4e2d\u2028\u6587\n3.jpg\t\n".encode())
    with pytest.raises(LabelError, match=r"rec\.txt:3: the text is empty"):
        read_recognition_labels(path)
    assert read_recognition_labels(path, strict=False) == [
        RecognitionRecord(tmp_path / "a" / "1.jpg", " two  words\ttab "),
        RecognitionRecord(tmp_path / "2.jpg", "\u4e2d\u2028\u6587"),
    ]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1)
NUMBERS = st.integers(-50_000, 50_000).map(lambda n: n / 8)
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=4, max_size=9).map(lambda p: np.array(p, np.float32))


@settings(max_examples=40, deadline=None)
@given(regions=st.lists(st.tuples(POINTS, TEXTS)))
def test_detection_labels_survive_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, regions: list[tuple[np.ndarray, str]]
) -> None:
    folder = tmp_path_factory.mktemp("labels")
    record = DetectionRecord(folder / "images" / "1.jpg", tuple(Region(p, t, t in ("###", "*")) for p, t in regions))
    write_detection_labels(folder / "label.txt", [record])
    (back,) = read_detection_labels(folder / "label.txt")
    assert back.image_path == record.image_path
    assert [(r.text, r.ignore) for r in back.regions] == [(r.text, r.ignore) for r in record.regions]
    for got, expected in zip(back.regions, record.regions, strict=True):
        np.testing.assert_array_equal(got.points, expected.points)


@settings(max_examples=40, deadline=None)
@given(text=TEXTS)
def test_recognition_labels_survive_writing_and_reading(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.mktemp("labels")
    records = [RecognitionRecord(folder / "1.jpg", text)]
    write_recognition_labels(folder / "rec.txt", records)
    assert read_recognition_labels(folder / "rec.txt") == records


def test_writing(tmp_path: Path) -> None:
    ignored = Region(np.array(SQUARE, np.float32), "smudge", ignore=True)
    write_detection_labels(tmp_path / "label.txt", [DetectionRecord(tmp_path / "p" / "1.jpg", (ignored,))])
    assert (tmp_path / "label.txt").read_text() == (
        'p/1.jpg\t[{"transcription": "###", "points": [[1, 2], [3, 2], [3, 4], [1, 4]]}]\n'
    )
    write_detection_labels(tmp_path / "label.txt", [DetectionRecord(tmp_path / "p" / "1.jpg", ())], image_root="/")
    assert (tmp_path / "label.txt").read_text() == f"{(tmp_path / 'p/1.jpg').as_posix()[1:]}\t[]\n"
    with pytest.raises(LabelError, match="line break"):
        write_recognition_labels(tmp_path / "rec.txt", [RecognitionRecord(tmp_path / "1.jpg", "a\nb")])
