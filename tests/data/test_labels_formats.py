"""One way into all formats, and back."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppocr_jax.data.labels import (
    FORMATS,
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Record,
    Region,
    read_labels,
    write_labels,
)

WRITTEN = [name for name, entry in FORMATS.items() if entry.write]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1, max_size=30)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='/\\\0"', exclude_categories=["C"]), min_size=1, max_size=20
)
NUMBERS = st.integers(-50_000, 50_000).map(lambda n: n / 8)
LENGTHS = st.integers(1, 50_000).map(lambda n: n / 8)


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    right, bottom = left + width, top + height
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


BOXES = st.builds(box, NUMBERS, NUMBERS, LENGTHS, LENGTHS)
POLYGONS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=5, max_size=9).map(lambda p: np.array(p, np.float32))


def regions(format: str) -> st.SearchStrategy[tuple[Region, ...]]:
    """Regions that a format can hold."""
    texts = st.just("") if format == "doctr-det" else st.one_of(TEXTS, st.sampled_from(["", "###", "*"]))
    points = BOXES if format == "icdar2015" else st.one_of(BOXES, POLYGONS)
    region = st.builds(lambda p, t: Region(p, t, t in ("###", "*")), points, texts)
    return st.lists(region, max_size=4).map(tuple)


def stem(entry: tuple[str, Any]) -> str:
    return entry[0].removesuffix(".png")


@st.composite
def labels(draw: st.DrawFn, format: str) -> list[tuple[str, Any]]:
    """Names of images and their labels."""
    names = NAMES.map(lambda name: f"{name.strip() or 'x'}.png")
    if format == "icdar2015":
        names = names.map(lambda name: f"a{name}")  # not "gt_gt_..."
    label = regions(format) if FORMATS[format].task == "det" else TEXTS
    return draw(st.lists(st.tuples(names, label), max_size=4, unique_by=stem))


def plain(record: Record) -> tuple[Any, ...]:
    """A record as values that compare."""
    if isinstance(record, RecognitionRecord):
        return record.image_path.name, record.text
    return record.image_path.name, [(r.text, r.ignore, r.points.tolist(), r.points.dtype.name) for r in record.regions]


@pytest.mark.parametrize("format", WRITTEN)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, format: str, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("set")
    entries = data.draw(labels(format))
    make = DetectionRecord if FORMATS[format].task == "det" else RecognitionRecord
    records = [make(folder / "images" / name, label) for name, label in entries]
    (folder / "images").mkdir()
    for record in records:
        Image.new("RGB", (2, 2)).save(record.image_path)
    write_labels(folder / "labels", records, format)
    if format == "icdar2015" and not records:
        with pytest.raises(LabelError, match="no label files"):
            read_labels(folder / "labels", format)
        return
    back = read_labels(folder / "labels", format)
    assert back.task == FORMATS[format].task
    if format == "lmdb":
        assert [record.text for record in back.records] == [record.text for record in records]
        return
    assert sorted(map(plain, back.records)) == sorted(map(plain, records))
    assert all(record.image_path.is_file() for record in back.records)


@pytest.mark.parametrize("name", ["a\tb.jpg", "a\nb.jpg", " a.jpg", "a.jpg "])
def test_paths_that_a_line_cannot_hold_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "l.txt"
    path.write_text("kept")
    with pytest.raises(LabelError, match="cannot be written as a path"):
        write_labels(path, [RecognitionRecord(tmp_path / name, "a")], "ppocr-rec")
    assert path.read_text() == "kept"


BOX_JSON = '[{"transcription": "a", "points": [[1, 2], [3, 2], [3, 4], [1, 4]]}]'
DETECTED = {
    "regions": (f"1.jpg\t{BOX_JSON}\n", "ppocr-det"),
    "no text in the first images": (f"1.jpg\t[]\n2.jpg\t[]\n3.jpg\t{BOX_JSON}\n", "ppocr-det"),
    "a damaged first line": (f"1.jpg\t{BOX_JSON[:-4]}\n2.jpg\t{BOX_JSON}\n3.jpg\t{BOX_JSON}\n", "ppocr-det"),
    "another line without a tab": (f"1.jpg {BOX_JSON}\n2.jpg\t{BOX_JSON}\n3.jpg\t{BOX_JSON}\n", "ppocr-det"),
    "texts": ("1.jpg\ta\n", "ppocr-rec"),
    "texts like lists": ("1.jpg\t[3]\n2.jpg\t[]\n3.jpg\t{}\n", "ppocr-rec"),
    "directions": ("1.jpg\t0\n2.jpg\t180\n", "ppocr-rec"),
    "text with commas": ("1.jpg\t1,2,3,4,5,6,7,8,a\n", "ppocr-rec"),
    "several images": ('["1.jpg", "2.jpg"]\ta\n', "ppocr-rec"),
    "eight numbers": ("1,2,3,4,5,6,7,8,a\n", "icdar2015"),
    "four numbers": ('1 2 3 4 "a"\n', "icdar2013"),
}


@pytest.mark.parametrize(("content", "format"), DETECTED.values(), ids=DETECTED.keys())
def test_the_format_is_told_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, format: str
) -> None:
    path = tmp_path / "label.txt"
    path.write_text(content)
    with caplog.at_level(logging.INFO, logger="ppocr_jax"):
        assert read_labels(path, strict=False).format == format
    assert f"{path}: read as {format} ({FORMATS[format].description})" in caplog.text


@pytest.mark.parametrize("content", ["nothing like it\n", '{"a": 1}', "{}", "1,2,3\n"])
def test_what_cannot_be_told_is_asked_for(tmp_path: Path, content: str) -> None:
    path = tmp_path / "label.txt"
    path.write_text(content)
    with pytest.raises(LabelError, match="cannot detect the label format"):
        read_labels(path)
    with pytest.raises(LabelError, match="cannot detect the label format"):
        read_labels(tmp_path / "label.txt" if content == "{}" else _folder_with(tmp_path, content))


@pytest.mark.parametrize("where", ["file", "folder"])
def test_labels_in_another_encoding_are_named(tmp_path: Path, where: str) -> None:
    path = tmp_path / ("gt_1.txt" if where == "folder" else "label.txt")
    path.write_bytes("1,2,3,2,3,4,1,4,Größe\n".encode("cp1252"))
    with pytest.raises(LabelError, match="is UTF-8; save"):
        read_labels(tmp_path if where == "folder" else path)


def _folder_with(path: Path, content: str) -> Path:
    (path / "gt").mkdir()
    (path / "gt" / "gt_1.txt").write_text(content)
    return path / "gt"


def test_wrong_calls(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such file or folder"):
        read_labels(tmp_path / "none.txt")
    (tmp_path / "label.txt").write_text("1.jpg\ta\n")
    with pytest.raises(ValueError, match="no label format 'coco'; there are"):
        read_labels(tmp_path / "label.txt", "coco")
    with pytest.raises(ValueError, match="total-text labels cannot be written"):
        write_labels(tmp_path / "x", [], "total-text")


@pytest.mark.parametrize("format", ["ppocr-det", "icdar2015", "doctr-det"])
def test_copied_images_make_a_set_whole(tmp_path: Path, format: str) -> None:
    # Names as `synth` gives them.
    sources = [tmp_path / folder / "0000001.png" for folder in ("a", "b")]
    for number, source in enumerate(sources):
        source.parent.mkdir()
        source.write_bytes(b"image %d" % number)
    quad = np.array([(1, 2), (3, 2), (3, 4), (1, 4)], np.float32)
    records = [DetectionRecord(source, (Region(quad, "x"),)) for source in sources]
    labels = tmp_path / "new" / ("gt" if format == "icdar2015" else "label.txt")
    labels.parent.mkdir()
    write_labels(labels, records, format, copy_images=True)
    for source in sources:
        source.unlink()
    back = read_labels(labels, format).records
    assert sorted(record.image_path.read_bytes() for record in back) == [b"image 0", b"image 1"]
    assert all((tmp_path / "new") in record.image_path.parents for record in back)


def test_copied_images_replace_no_others(tmp_path: Path) -> None:
    sources = [tmp_path / folder / "1.png" for folder in ("new", "images")]
    for source in sources:
        source.parent.mkdir()
        source.write_bytes(source.parent.name.encode())
    records = [RecognitionRecord(source, source.parent.name) for source in sources]
    for _ in range(2):  # the second time, the copies are there
        write_labels(tmp_path / "rec.txt", records, "ppocr-rec", copy_images=True)
        back = read_labels(tmp_path / "rec.txt").records
        assert [record.image_path.read_bytes() for record in back] == [b"new", b"images"]
        assert sorted(file.name for file in (tmp_path / "images").iterdir()) == ["1.png", "1_2.png"]


def test_images_of_a_database_become_files(tmp_path: Path) -> None:
    pytest.importorskip("lmdb")
    Image.new("RGB", (9, 9)).save(tmp_path / "1.png")
    write_labels(tmp_path / "db", [RecognitionRecord(tmp_path / "1.png", "a")], "lmdb")
    records = read_labels(tmp_path / "db").records
    write_labels(tmp_path / "rec.txt", records, "ppocr-rec", copy_images=True)
    (record,) = read_labels(tmp_path / "rec.txt").records
    assert record.image_path.suffix == ".png"
    assert record.image_path.read_bytes() == (tmp_path / "1.png").read_bytes()
    with pytest.raises(ValueError, match="image_root"):
        write_labels(tmp_path / "rec.txt", records, "ppocr-rec", copy_images=True, image_root=tmp_path)
