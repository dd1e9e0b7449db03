"""A label set damaged by hand, and what is counted by hand in it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.data.label_check import PROBLEMS, LabelReport, check_labels, outline_problems
from ppocr_jax.data.labels import DetectionRecord, LabelSet, RecognitionRecord, read_labels, write_labels
from tests.damaged_labels import EXPECTED_COUNTS, write_damaged_set

EN = load_charset("en")


def counts(report: LabelReport) -> dict[str, int]:
    return {kind: len(report.of_kind(kind)) for kind in PROBLEMS if report.of_kind(kind)}


def check(records: list[DetectionRecord] | list[RecognitionRecord], charset: Charset = EN) -> LabelReport:
    task = "ppocr-det" if records and isinstance(records[0], DetectionRecord) else "ppocr-rec"
    return check_labels(LabelSet(Path("label.txt"), task, tuple(records)), charset)


def test_a_set_damaged_by_hand(tmp_path: Path) -> None:
    labels = read_labels(write_damaged_set(tmp_path), strict=False)
    report = check_labels(labels, EN)
    assert counts(report) == EXPECTED_COUNTS
    assert (report.images, report.regions, report.ignored, report.empty) == (8, 14, 2, 1)
    assert (report.count("error"), report.count("warning"), report.count("note")) == (8, 7, 1)
    assert report.unknown == {"é": 2, "中": 1, "\u0301": 1}
    assert report.characters.total() == 61, "5 x good, caféé, 中a, 26 x, cafe with an accent, a, ok"


def test_where_the_problems_are(tmp_path: Path) -> None:
    report = check_labels(read_labels(write_damaged_set(tmp_path), strict=False), EN)
    (crossing,) = report.of_kind("self-intersecting")
    assert str(crossing).startswith(f"{tmp_path / 'shapes.png'} region 2: [[10, 10], [60, 30]")
    (unreadable,) = report.of_kind("unreadable-image")
    assert "broken.png is not a readable image" in str(unreadable)
    assert [str(p) for p in report.of_kind("missing-image")] == [str(tmp_path / "missing.png")]
    (bad,) = report.of_kind("bad-entry")
    assert str(bad).startswith(f"{tmp_path / 'label.txt'}:3: the label is not JSON")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 20)).save(tmp_path / "1.png")
    return tmp_path / "1.png"


def test_a_clean_set_has_no_problems(image: Path) -> None:
    report = check([RecognitionRecord(image, "Total 12.50 €")])
    assert report.problems == ()
    assert (report.images, report.regions, report.empty) == (1, 1, 0)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("x" * 25, {}),
        ("x" * 26, {"too-long": 1}),
        ("  ", {"empty-text": 1}),
        ("中", {"unknown-characters": 1}),
        ("a\u3000b", {"unknown-characters": 1}),
        ("e\u0301", {"unknown-characters": 1, "decomposed": 1}),
    ],
)
def test_texts_of_lines(image: Path, text: str, kinds: dict[str, int]) -> None:
    assert counts(check([RecognitionRecord(image, text)])) == kinds


def test_a_set_without_capitals_takes_capitals(image: Path) -> None:
    assert counts(check([RecognitionRecord(image, "AbC9")], load_charset("alphanumeric"))) == {}


def test_images_listed_again(image: Path) -> None:
    one, two = RecognitionRecord(image, "one"), RecognitionRecord(image, "two")
    assert counts(check([one, one])) == {"duplicate": 1}
    assert counts(check([one, two])) == {"contradiction": 1}


def test_a_database(image: Path, tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    records = [RecognitionRecord(image, text) for text in ("one", "caf\u00e9", "three")]
    write_labels(tmp_path / "db", records, "lmdb")
    with lmdb.open(str(tmp_path / "db")) as database, database.begin(write=True) as transaction:
        transaction.put(b"image-000000003", b"no image")
        transaction.put(b"image-000000004", image.read_bytes())
        transaction.put(b"num-samples", b"4")
    labels = read_labels(tmp_path / "db", strict=False)
    report = check_labels(labels, EN)
    assert counts(report) == {"bad-entry": 1, "unreadable-image": 1, "unknown-characters": 1}
    assert (report.images, report.regions) == (3, 3)


def test_the_size_is_that_of_the_upright_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees: 40x20 is shown as 20x40
    Image.new("RGB", (40, 20)).save(tmp_path / "1.jpg", exif=exif)
    box = [[2, 25], [18, 25], [18, 38], [2, 38]]
    (tmp_path / "l.txt").write_text(f"1.jpg\t{json.dumps([{'transcription': 'a', 'points': box}])}\n")
    assert counts(check_labels(read_labels(tmp_path / "l.txt"), EN)) == {}


def test_the_result_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    labels = read_labels(write_damaged_set(tmp_path), strict=False)
    assert check_labels(labels, EN, workers=1).problems == check_labels(labels, EN, workers=8).problems


SIZE = (100, 200)  # height, width
SOUND = [[10, 10], [90, 12], [88, 30], [9, 28]]


@pytest.mark.parametrize(
    ("points", "kinds"),
    [
        (SOUND, []),
        (SOUND[::-1], ["counter-clockwise"]),
        ([SOUND[0], SOUND[2], SOUND[1], SOUND[3]], ["self-intersecting"]),
        ([[10, 10], [90, 30], [90, 10], [10, 30]], ["self-intersecting"]),  # a bow tie, whose signed area is 0
        ([[10, 10], [90, 10], [90, 10], [10, 10]], ["degenerate"]),
        ([[10, 10], [90, 90], [50, 50], [20, 20]], ["degenerate"]),
        ([[10, 10], [90, 10], [90, 10.9], [10, 10.9]], ["degenerate"]),  # 72 square pixels, but no pixel high
        ([[10, 10], [90, 10], [90, 11], [10, 11]], []),
        ([[10, 10], [90, 10], [10, 30], [10, 30]], []),  # a triangle
        (SOUND[1:] + SOUND[:1], ["rotated"]),
        (SOUND[2:] + SOUND[:2], ["rotated"]),
        (SOUND[3:] + SOUND[:3], ["rotated"]),
        ([[10, 10], [30, 10], [30, 90], [10, 90]], []),  # a column of text
        ([[10, 10], [60, 50], [50, 60], [0, 20]], []),  # 39 degrees off the horizontal
        ([[20, 0], [60, 50], [50, 58], [10, 8]], ["rotated"]),  # 51 degrees
        ([[0, 0], [200, 0], [200, 100], [0, 100]], []),  # the whole image
        ([[-1, 50], [201, 50], [201, 101], [-1, 101]], []),  # rounding
        ([[-2, 50], [50, 50], [50, 60], [-2, 60]], ["partly-outside"]),
        ([[150, 50], [202, 50], [202, 60], [150, 60]], ["partly-outside"]),
        ([[50, 90], [80, 90], [80, 102], [50, 102]], ["partly-outside"]),
        ([[200, 50], [220, 50], [220, 60], [200, 60]], ["outside"]),
        ([[-30, -30], [-10, -30], [-10, 0], [-30, 0]], ["outside"]),
        ([[250, 60], [220, 60], [220, 50], [250, 50]], ["rotated", "outside"]),
        ([[10, 10], [50, 5], [90, 10], [90, 30], [50, 25], [10, 30]], []),
        ([[10, 30], [50, 25], [90, 30], [90, 10], [50, 5], [10, 10]], ["counter-clockwise"]),
        ([[10, 10], [90, 30], [50, 5], [90, 10], [10, 30]], ["self-intersecting"]),
    ],
)
def test_outlines(points: list[list[float]], kinds: list[str]) -> None:
    assert outline_problems(np.array(points, np.float32), SIZE) == kinds


def test_places_are_not_judged_without_a_image() -> None:
    assert outline_problems(np.array(SOUND, np.float32) + 1000, None) == []


@given(
    st.floats(-44, 44),
    st.floats(20, 60),
    st.floats(5, 15),
    st.integers(0, 3),
    st.booleans(),
)
def test_rotated_rectangles(angle: float, width: float, height: float, start: int, mirrored: bool) -> None:
    corners = np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2
    radians = np.deg2rad(angle)
    turn = np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    quad = np.roll(corners @ turn + [100, 50], -start, axis=0)
    expected = ["counter-clockwise"] if mirrored else ["rotated"] if start else []
    assert outline_problems((quad[::-1] if mirrored else quad).astype(np.float32), SIZE) == expected
