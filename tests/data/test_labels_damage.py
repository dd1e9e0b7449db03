"""Label files as they come: damaged, in other encodings, with other line ends."""

import json
import logging
from pathlib import Path

import pytest

from ppocr_jax.data.labels import LabelError, read_detection_labels, read_labels, read_recognition_labels

BOX = [[1, 2], [3, 2], [3, 4], [1, 4]]


def regions(points: object = BOX, text: object = "a") -> str:
    return json.dumps([{"transcription": text, "points": points}])


GOOD = f"good.jpg\t{regions()}".encode()
DAMAGED = {
    "bad JSON": (b'x.jpg\t[{"transcription": "a", "points": [[1, 2', "not JSON"),
    "missing tab": (b"x.jpg " + regions().encode(), "no tab"),
    "wrong encoding": ('x.jpg\t[{"transcription": "中"}]'.encode("gbk"), "not UTF-8: byte 0xd6 at column 27"),
    "three points": (f"x.jpg\t{regions(BOX[:3])}".encode(), "4 or more"),
    "NaN coordinate": (b'x.jpg\t[{"transcription": "a", "points": [[1, 2], [3, 2], [3, 4], [1, NaN]]}]', "finite"),
    "infinite coordinate": (
        b'x.jpg\t[{"transcription": "a", "points": [[1, 2], [3, 2], [3, 4], [1, 1e999]]}]',
        "finite",
    ),
    "huge integer": (f"x.jpg\t{regions([[10**400, 2], *BOX[1:]])}".encode(), r"list of \[x, y\]|finite"),
    "text as number": (f"x.jpg\t{regions(text=7)}".encode(), "must be a string, not 7"),
    "half a surrogate pair": (
        b'x.jpg\t[{"transcription": "\\ud800", "points": [[1, 2], [3, 2], [3, 4], [1, 4]]}]',
        "pair",
    ),
    "list of no images": (f"[]\t{regions()}".encode(), "must contain paths"),
    "list of numbers for images": (f"[1, 2]\t{regions()}".encode(), "must contain paths"),
    "deep nesting": (b"x.jpg\t" + b"[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize(("line", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_line_is_named_and_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes, message: str
) -> None:
    path = tmp_path / "label.txt"
    path.write_bytes(b"\n".join([GOOD, b"", line, GOOD]))
    with pytest.raises(LabelError, match=message) as error:
        read_detection_labels(path)
    assert str(error.value).startswith(f"{path}:3: ")
    assert "\n" not in str(error.value)
    with caplog.at_level(logging.WARNING, logger="ppocr_jax"):
        labels = read_labels(path, "ppocr-det", strict=False)
    assert [record.image_path.name for record in labels.records] == ["good.jpg", "good.jpg"]
    assert [entry.line for entry in labels.bad_entries] == [3]
    assert f"{path}:3: " in caplog.text
    assert "1 of 3 lines skipped" in caplog.text


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_line_ends_and_byte_order_marks_change_nothing(tmp_path: Path, end: bytes, mark: bytes) -> None:
    path = tmp_path / "rec.txt"
    path.write_bytes(mark + end.join([b"1.jpg\tone", b"", b"2.jpg\ttwo", b"no tab"]))
    labels = read_labels(path, "ppocr-rec", strict=False)
    assert [(r.image_path.name, r.text) for r in labels.records] == [("1.jpg", "one"), ("2.jpg", "two")]
    assert [entry.line for entry in labels.bad_entries] == [4]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_utf_16_is_refused_as_a_whole(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "rec.txt"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    path.write_bytes(f"{mark}1.jpg\tone\n".encode(encoding))
    with pytest.raises(LabelError, match="save it as UTF-8"):
        read_recognition_labels(path, strict=False)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\n \r\n\n"], ids=["empty", "only a mark", "blank lines"])
def test_an_empty_file_has_no_records(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "label.txt"
    path.write_bytes(content)
    assert read_detection_labels(path) == []
    with pytest.raises(LabelError, match=r"label\.txt is empty"):
        read_labels(path)


def test_paths_with_spaces_and_other_scripts(tmp_path: Path) -> None:
    path = tmp_path / "rec.txt"
    path.write_text("my images/räksmörgås 图 1.jpg\tone\n[1].jpg\ttwo\n", encoding="utf-8")
    assert [r.image_path for r in read_recognition_labels(path)] == [
        tmp_path / "my images" / "räksmörgås 图 1.jpg",
        tmp_path / "[1].jpg",
    ]


def test_lines_that_come_twice_are_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "rec.txt"
    path.write_text("1.jpg\tone\n1.jpg\tone\n", encoding="utf-8")
    first, second = read_recognition_labels(path)
    assert first == second


def test_a_line_may_name_several_images(tmp_path: Path) -> None:
    path = tmp_path / "rec.txt"
    path.write_text('["a.jpg", "b c.jpg"]\tone\n', encoding="utf-8")
    records = read_recognition_labels(path)
    assert [(record.image_path, record.text) for record in records] == [
        (tmp_path / "a.jpg", "one"),
        (tmp_path / "b c.jpg", "one"),
    ]
    path.write_text(f'["a.jpg", "b.jpg"]\t{regions()}\n', encoding="utf-8")
    pages = read_detection_labels(path, image_root="/p")
    assert [page.image_path for page in pages] == [Path("/p/a.jpg"), Path("/p/b.jpg")]
    assert pages[0].regions == pages[1].regions != ()
