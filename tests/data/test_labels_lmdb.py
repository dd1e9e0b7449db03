"""LMDB databases: built, read, damaged."""

import io
import logging
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.data.images import load_record_image
from ppocr_jax.data.labels import LabelError, RecognitionRecord, read_labels
from ppocr_jax.data.labels.lmdb import build_lmdb, image_bytes
from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError

lmdb = pytest.importorskip("lmdb")


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def database(path: Path, entries: dict[str, bytes]) -> Path:
    """A database written without the code under test."""
    path.mkdir(parents=True)
    with lmdb.open(str(path), map_size=2**20) as environment, environment.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key.encode(), value)
    return path


def lines(*texts: str) -> dict[str, bytes]:
    entries = {"num-samples": str(len(texts)).encode()}
    for number, text in enumerate(texts, start=1):
        entries |= {f"image-{number:09d}": png(number), f"label-{number:09d}": text.encode()}
    return entries


def test_records_are_plain_values_whose_images_load(tmp_path: Path) -> None:
    path = database(tmp_path / "db", lines("one", "zwei 二"))
    labels = read_labels(path)
    assert labels.format == "lmdb"
    assert labels.records == (
        RecognitionRecord(path / "image-000000001", "one"),
        RecognitionRecord(path / "image-000000002", "zwei 二"),
    )
    second = pickle.loads(pickle.dumps(labels.records[1]))
    assert load_record_image(second.image_path).tolist() == np.full((3, 4, 3), [2, 0, 0]).tolist()
    assert image_bytes(second.image_path) == png(2)
    assert read_labels(path / "data.mdb").records == labels.records


def test_every_database_below_a_folder_is_read(tmp_path: Path) -> None:
    for name in ("MJ/b", "MJ/a", "ST"):
        database(tmp_path / "all" / name, lines(f"{name} 1", f"{name} 2"))
    labels = read_labels(tmp_path / "all")
    assert [record.text for record in labels.records] == ["MJ/a 1", "MJ/a 2", "MJ/b 1", "MJ/b 2", "ST 1", "ST 2"]


def test_a_corrupt_record_is_a_warning_and_not_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = lines("one", "two", "three", "four", "five", "six")
    del entries["label-000000002"], entries["image-000000003"]
    entries |= {"label-000000004": b"\xff\xfe", "image-000000005": b"no image"}
    path = database(tmp_path / "db", entries)
    with pytest.raises(LabelError, match="record 2: the label is missing"):
        read_labels(path)
    with caplog.at_level(logging.WARNING, logger="ppocr_jax"):
        labels = read_labels(path, strict=False)
    assert [record.text for record in labels.records] == ["one", "five", "six"]
    assert [entry.message for entry in labels.bad_entries] == [
        "record 2: the label is missing",
        "record 3: the image is missing or empty",
        "record 4: the label is not UTF-8",
    ]
    assert "3 of 6 records skipped" in caplog.text
    with pytest.raises(ImageError, match="image-000000005: the image is not a readable image"):
        load_record_image(labels.records[1].image_path)
    assert load_record_image(labels.records[2].image_path).shape == (3, 4, 3)
    with pytest.raises(ImageError, match="has no such image"):
        load_record_image(path / "image-000000099")


def test_more_records_than_said_are_noticed(tmp_path: Path) -> None:
    path = database(tmp_path / "db", {**lines("one", "two", "three"), "num-samples": b"2"})
    with pytest.raises(LabelError, match="num-samples is 2, but there are more"):
        read_labels(path)
    labels = read_labels(path, strict=False)
    assert (len(labels.records), len(labels.bad_entries)) == (2, 1)


@pytest.mark.parametrize("count", [b"", b"many", b"-1"])
def test_other_databases_are_refused(tmp_path: Path, count: bytes) -> None:
    entries = {key: value for key, value in lines("one").items() if key != "num-samples"}
    path = database(tmp_path / "db", {**entries, "num-samples": count} if count else entries)
    with pytest.raises(LabelError, match="num-samples is missing or not a number"):
        read_labels(path)


@pytest.mark.parametrize("content", [b"", b"junk" * 5000], ids=["empty", "junk"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    with pytest.raises(LabelError, match="cannot open the database"):
        read_labels(tmp_path)


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no LMDB database"):
        read_labels(tmp_path, "lmdb")
    with pytest.raises(LabelError, match="omit the image folder"):
        read_labels(database(tmp_path / "db", lines("one")), image_root=tmp_path)


def image_records(folder: Path, count: int) -> list[RecognitionRecord]:
    folder.mkdir()
    records = [RecognitionRecord(folder / f"{i}.png", f"text {i}") for i in range(count)]
    for index, record in enumerate(records):
        record.image_path.write_bytes(png(index))
    return records


def test_building(tmp_path: Path) -> None:
    records = image_records(tmp_path / "images", 5)
    again = RecognitionRecord(records[1].image_path, "again")
    assert build_lmdb(tmp_path / "db", [*records, again]) == 6
    back = read_labels(tmp_path / "db").records
    assert [record.text for record in back] == [*(f"text {i}" for i in range(5)), "again"]
    assert [image_bytes(record.image_path) for record in back] == [png(i) for i in (0, 1, 2, 3, 4, 1)]
    build_lmdb(tmp_path / "copy", back)
    assert [image_bytes(r.image_path) for r in read_labels(tmp_path / "copy").records] == [
        image_bytes(record.image_path) for record in back
    ]


def test_building_leaves_out_what_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = image_records(tmp_path / "images", 4)
    records[1].image_path.write_bytes(b"no image")
    records[2].image_path.unlink()
    empty = RecognitionRecord(records[0].image_path, "")
    with pytest.raises(LabelError, match=r"1\.png is not a readable image"):
        build_lmdb(tmp_path / "strict", records)
    with pytest.raises(LabelError, match="num-samples is missing"):
        read_labels(tmp_path / "strict")
    assert build_lmdb(tmp_path / "db", [*records, empty], strict=False) == 2
    assert [record.text for record in read_labels(tmp_path / "db").records] == ["text 0", "text 3"]
    assert "3 of 5 images skipped" in caplog.text


def test_a_database_grows_beyond_its_first_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppocr_jax.data.labels.lmdb._FIRST_MAP_SIZE", 2**16)
    monkeypatch.setattr("ppocr_jax.data.labels.lmdb._IMAGES_PER_COMMIT", 7)
    records = image_records(tmp_path / "images", 1)
    noise = np.random.default_rng(0).integers(0, 256, (32, 100, 3), np.uint8)
    Image.fromarray(noise).save(records[0].image_path)
    assert build_lmdb(tmp_path / "db", records * 50) == 50
    back = read_labels(tmp_path / "db").records
    assert len(back) == 50
    np.testing.assert_array_equal(load_record_image(back[-1].image_path), noise)


def test_building_never_touches_what_is_there(tmp_path: Path) -> None:
    path = database(tmp_path / "db", lines("one"))
    for target in (path, path / "data.mdb"):
        with pytest.raises(LabelError, match="not an empty folder"):
            build_lmdb(target, [])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write the database"):
        build_lmdb(tmp_path / "file" / "db", [])
    assert [record.text for record in read_labels(path).records] == ["one"]


def test_threads_share_a_database(tmp_path: Path) -> None:
    texts = [str(i) for i in range(1, 41)]
    records = read_labels(database(tmp_path / "db", lines(*texts))).records
    with ThreadPoolExecutor(8) as pool:
        reds = list(pool.map(lambda record: int(load_record_image(record.image_path)[0, 0, 0]), records * 5))
    assert reds == [*range(1, 41)] * 5


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = database(tmp_path / "db", lines("one"))
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(UserError, match=r'pip install "ppocr-jax\[lmdb\]"'):
        read_labels(path)
