"""Total-Text and CTW1500."""

from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.data.labels import LabelError, read_labels

RING = [5, 9, 10, 5, 20, 3, 30, 2, 40, 3, 50, 5, 55, 9, 55, 19, 50, 15, 40, 13, 30, 12, 20, 13, 10, 15, 5, 19]
RING_POINTS = np.reshape(RING, (14, 2))
RING_TEXT = ",".join(map(str, RING))


def folder(path: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (path / name).write_text(content, encoding="utf-8")
    return path


def test_total_text(tmp_path: Path) -> None:
    lines = (
        "x: [[115 503 494 115]], y: [[322 346 426 404]], ornt: [u'm'], transcriptions: [u'nauGHTY']\n"
        "x: [[ 206  251\n 386  542]], y: [[ 633  811\n  931 946]], ornt: [u'c'], "
        'transcriptions: [u"JOE\'S, [caf\\xe9]"]\n'
        "x: [[1 9 9 1]], y: [[1 1 5 5]], ornt: [u'#'], transcriptions: [u'#']\n"
        "x: [[1 9 9 1]], y: [[11 11 15 15]], ornt: [u'h'], transcriptions: [u'two', u'words']\n"
    )
    labels = read_labels(folder(tmp_path, {"poly_gt_img1.txt": lines, "img1.jpg": ""}))
    assert labels.format == "total-text"
    (record,) = labels.records
    assert record.image_path == tmp_path / "img1.jpg"
    assert [(region.text, region.ignore) for region in record.regions] == [
        ("nauGHTY", False),
        ("JOE'S, [café]", False),
        ("###", True),
        ("two words", False),
    ]
    np.testing.assert_array_equal(record.regions[0].points, [[115, 322], [503, 346], [494, 426], [115, 404]])
    np.testing.assert_array_equal(record.regions[1].points, [[206, 633], [251, 811], [386, 931], [542, 946]])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("x: [[1 9 9 1]], y: [[1 1 5]], ornt: [u'h'], transcriptions: [u'a']", "4 x coordinates, but 3 y"),
        ("x: [[1 9 9]], y: [[1 1 5]], ornt: [u'h'], transcriptions: [u'a']", "4 or more"),
        ("x: [[1 9 9 1]], y: [[1 1 5 5]], ornt: [u'h'], transcriptions: [open('f')]", "not a list of strings"),
        ("x: [[1 9 9 1]], y: [[1 1 5 5]], ornt: [u'h'], transcriptions: [7]", "must be a string, not 7"),
        ("x: [[1 9 b 1]], y: [[1 1 5 5]], ornt: [u'h'], transcriptions: [u'a']", "could not convert"),
        ("x: [[1 9 9 1]], y: [[1 1 5 5", "not an entry like"),
    ],
)
def test_a_bad_total_text_entry_is_named_by_its_first_line(tmp_path: Path, entry: str, message: str) -> None:
    good = "x: [[1 9 9\n 1]], y: [[1 1 5 5]], ornt: [u'h'], transcriptions: [u'a']\n"
    path = folder(
        tmp_path, {"poly_gt_1.txt": f"{good}{entry}\n{good}", "1.jpg": "", "poly_gt_2.txt": good, "2.jpg": ""}
    )
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path, "total-text")
    assert str(error.value).startswith(f"{tmp_path / 'poly_gt_1.txt'}:3: ")
    labels = read_labels(path, "total-text", strict=False)
    assert [record.image_path.name for record in labels.records] == ["2.jpg"]


def test_ctw1500_text_files(tmp_path: Path) -> None:
    lines = f"{RING_TEXT},####Latin, 9\n{RING_TEXT},#######\n"
    labels = read_labels(folder(tmp_path, {"0001001.txt": lines, "1001.jpg": ""}))
    assert labels.format == "ctw1500"
    (record,) = labels.records
    assert record.image_path == tmp_path / "1001.jpg"
    assert [(region.text, region.ignore) for region in record.regions] == [("Latin, 9", False), ("###", True)]
    np.testing.assert_array_equal(record.regions[0].points, RING_POINTS)


def test_ctw1500_offsets(tmp_path: Path) -> None:
    line = ",".join(map(str, [100, 200, 155, 219, *RING]))
    labels = read_labels(folder(tmp_path, {"0001.txt": f"{line}\n", "0001.jpg": ""}))
    assert labels.format == "ctw1500"
    (region,) = labels.records[0].regions
    assert region.text == ""
    np.testing.assert_array_equal(region.points, RING_POINTS + np.array([100, 200]))


def test_ctw1500_xml(tmp_path: Path) -> None:
    box = f'<box height="1" left="1" top="1" width="1"><label>{{}}</label><segs>{RING_TEXT}</segs><pts>1,2</pts></box>'
    xml = f'<Annotations><image file="0001.jpg">{box.format("R&amp;D 中")}{box.format("###")}</image></Annotations>'
    labels = read_labels(folder(tmp_path, {"0001.xml": xml, "0001.jpg": ""}))
    assert labels.format == "ctw1500"
    (record,) = labels.records
    assert [(region.text, region.ignore) for region in record.regions] == [("R&D 中", False), ("###", True)]
    np.testing.assert_array_equal(record.regions[0].points, RING_POINTS)


@pytest.mark.parametrize(
    ("name", "content", "where", "message"),
    [
        ("1.txt", f"{RING_TEXT},no mark", ":1: ", "could not convert|neither 28 numbers"),
        ("1.txt", f"{RING_TEXT},9,####a", ":1: ", "neither 28 numbers and ####text nor 32 numbers"),
        ("1.xml", "<Annotations>\n<image>", ":2: ", "not XML"),
        ("1.xml", "<a><box><label>x</label><segs>1,2,3</segs></box></a>", ": ", "3 numbers, which is not a list"),
    ],
)
def test_bad_ctw1500_files(tmp_path: Path, name: str, content: str, where: str, message: str) -> None:
    path = folder(tmp_path, {name: content, "1.jpg": ""})
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path, "ctw1500")
    assert str(error.value).startswith(f"{tmp_path / name}{where}")
    labels = read_labels(path, "ctw1500", strict=False)
    assert (labels.records, len(labels.bad_entries)) == ((), 1)
