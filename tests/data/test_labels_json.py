"""COCO-Text and docTR."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppocr_jax.data.labels import (
    DetectionRecord,
    LabelError,
    RecognitionRecord,
    Region,
    read_coco_text_labels,
    read_labels,
    write_labels,
)

SQUARE = [[1, 2], [3, 2], [3, 4], [1, 4]]
FLAT = [1, 2, 3, 2, 3, 4, 1, 4]


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")
    return path


def annotation(number: int, image: int, **fields: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "legibility": "legible", "mask": FLAT, "utf8_string": "a", **fields}


IMAGES = [{"id": i, "file_name": f"{i}.jpg", "set": "train" if i < 3 else "val"} for i in (1, 2, 3)]
ANNOTATIONS = [
    annotation(10, 1),
    annotation(11, 1, legibility="illegible", utf8_string=None),
    annotation(12, 1, utf8_string="."),
    annotation(13, 1, utf8_string=None),
    annotation(14, 3, mask=None, bbox=[10, 20, 5.5, 4]),
]


@pytest.mark.parametrize("arrays", [False, True], ids=["objects by id", "arrays"])
def test_coco_text(tmp_path: Path, arrays: bool) -> None:
    by_id = {"imgs": {str(p["id"]): p for p in IMAGES}, "anns": {str(a["id"]): a for a in ANNOTATIONS}}
    content = {"images": IMAGES, "annotations": ANNOTATIONS} if arrays else {"cats": {}, **by_id, "info": {}}
    labels = read_labels(write(tmp_path / "coco.json", content))
    assert labels.format == "coco-text"
    first, second, third = labels.records
    assert first.image_path == tmp_path / "1.jpg"
    assert [(region.text, region.ignore) for region in first.regions] == [
        ("a", False),
        ("###", True),
        ("###", True),
        ("", False),
    ]
    np.testing.assert_array_equal(first.regions[0].points, SQUARE)
    assert second.regions == ()
    np.testing.assert_array_equal(third.regions[0].points, [[10, 20], [15.5, 20], [15.5, 24], [10, 24]])


@pytest.mark.parametrize("key", ["polygon", "points", "segmentation"])
def test_outlines_have_several_names(tmp_path: Path, key: str) -> None:
    values = [FLAT] if key == "segmentation" else FLAT
    content = {"imgs": {"1": IMAGES[0]}, "anns": {"10": annotation(10, 1, mask=None, **{key: values})}}
    (record,) = read_labels(write(tmp_path / "coco.json", content), "coco-text").records
    np.testing.assert_array_equal(record.regions[0].points, SQUARE)


def test_a_subset_of_coco_text(tmp_path: Path) -> None:
    spoiled_val = annotation(15, 3, mask=[1, 2, 3])
    path = write(tmp_path / "coco.json", {"imgs": IMAGES, "anns": [*ANNOTATIONS, spoiled_val]})
    names = [record.image_path for record in read_coco_text_labels(path, subset="train", image_root="/p")]
    assert names == [Path("/p/1.jpg"), Path("/p/2.jpg")]
    with pytest.raises(LabelError, match="3 numbers"):
        read_coco_text_labels(path)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (annotation(20, 1, mask=[1, 2, 3]), "3 numbers, which is not a list"),
        (annotation(20, 1, mask=[1, 2, 3, 4]), "4 or more"),
        (annotation(20, 1, mask=None), 'needs one of mask, polygon, points, segmentation, or "bbox"'),
        (annotation(20, 1, utf8_string=7), "must be a string, not 7"),
        (annotation(20, 9), "refers to no image"),
        ("nothing", "refers to no image"),
        (annotation(20, 1, mask=None, segmentation=[FLAT, FLAT]), "one outline"),
        (annotation(20, 1, mask="1,2"), "must be a list of numbers"),
    ],
)
def test_a_bad_annotation_costs_its_image(tmp_path: Path, bad: Any, message: str) -> None:
    content = json.dumps({"imgs": IMAGES}, indent=1)[:-2] + ',\n"anns": [\n'
    content += ",\n".join(json.dumps(entry) for entry in (annotation(10, 1), bad, annotation(30, 2))) + "]}"
    path = write(tmp_path / "coco.json", content)
    line = next(n for n, text in enumerate(content.splitlines(), 1) if text.startswith(json.dumps(bad)))
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path, "coco-text")
    assert str(error.value).startswith(f"{path}:{line}: ")
    labels = read_labels(path, "coco-text", strict=False)
    lost = isinstance(bad, dict) and bad["image_id"] == 1
    assert [r.image_path.name for r in labels.records] == (["2.jpg", "3.jpg"] if lost else ["1.jpg", "2.jpg", "3.jpg"])
    assert [entry.line for entry in labels.bad_entries] == [line]


def test_images_of_one_id(tmp_path: Path) -> None:
    path = write(tmp_path / "coco.json", {"imgs": [*IMAGES, {"id": 1, "file_name": "other.jpg"}], "anns": []})
    with pytest.raises(LabelError, match="has the id of another"):
        read_labels(path)


def test_not_coco_text(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="has neither 'anns' nor 'annotations'"):
        read_labels(write(tmp_path / "coco.json", {"imgs": {}}), "coco-text")


def test_doctr_detection(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    five = [*SQUARE, [0, 3]]
    content = {
        "ä 1.jpg": {"img_dimensions": [9, 9], "img_hash": "x", "polygons": [SQUARE, SQUARE[::-1], five]},
        "2.jpg": {"polygons": {"words": [SQUARE], "stamps": [SQUARE]}},
        "3.jpg": {"polygons": []},
    }
    labels = read_labels(write(tmp_path / "labels.json", content))
    assert labels.format == "doctr-det"
    first, second, third = labels.records
    assert first.image_path == tmp_path / "images" / "ä 1.jpg"
    np.testing.assert_array_equal(first.regions[0].points, SQUARE)
    np.testing.assert_array_equal(first.regions[1].points, SQUARE, "corners in any order are put in order")
    np.testing.assert_array_equal(first.regions[2].points, five)
    assert {(region.text, region.ignore) for region in first.regions} == {("", False)}
    assert (len(second.regions), len(third.regions)) == (2, 0)


def test_doctr_keeps_where_a_turned_quad_starts(tmp_path: Path) -> None:
    turned = np.roll(SQUARE, 1, axis=0)
    (record,) = read_labels(write(tmp_path / "labels.json", {"1.jpg": {"polygons": [turned.tolist()]}})).records
    np.testing.assert_array_equal(record.regions[0].points, turned)


def test_doctr_recognition(tmp_path: Path) -> None:
    labels = read_labels(write(tmp_path / "labels.json", {"1.jpg": "two words", "2.jpg": "中"}))
    assert labels.format == "doctr-rec"
    assert labels.records == (
        RecognitionRecord(tmp_path / "1.jpg", "two words"),
        RecognitionRecord(tmp_path / "2.jpg", "中"),
    )


@pytest.mark.parametrize(
    ("format", "good", "bad", "message"),
    [
        ("doctr-det", {"polygons": []}, {"boxes": []}, 'needs "polygons"'),
        ("doctr-det", {"polygons": []}, {"polygons": 3}, "must be a list, or lists by class"),
        ("doctr-det", {"polygons": []}, {"polygons": [SQUARE, SQUARE[:3]]}, "polygon 1 must be 4 or more"),
        ("doctr-rec", "a", 7, "must be a string, not 7"),
        ("doctr-rec", "a", "", "the text is empty"),
    ],
)
def test_bad_doctr_labels(tmp_path: Path, format: str, good: Any, bad: Any, message: str) -> None:
    path = write(
        tmp_path / "labels.json", f'{{\n"1": {json.dumps(good)},\n"2": {json.dumps(bad)},\n"3": {json.dumps(good)}}}'
    )
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path, format)
    assert str(error.value).startswith(f"{path}:3: ")
    labels = read_labels(path, format, strict=False)
    assert [record.image_path.name for record in labels.records] == ["1", "3"]
    assert [entry.line for entry in labels.bad_entries] == [3]


def test_a_image_that_is_labeled_twice_is_not_lost_silently(tmp_path: Path) -> None:
    path = write(tmp_path / "labels.json", '{"1.jpg": "a",\n"1.jpg": "b"}')
    with pytest.raises(LabelError, match=r"labels\.json:2: .*labeled twice"):
        read_labels(path)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("content", "line"),
    [('{"1": "a",\n"2" "b"}', 2), ('{"1": "a",\n\n', 3), ('{"1": "a"\n"2": "b"}', 2), ('{"1": [1,\n]}', 2), ("{x}", 1)],
)
def test_what_is_not_json_is_refused_as_a_whole(tmp_path: Path, content: str, line: int, strict: bool) -> None:
    path = write(tmp_path / "labels.json", content)
    with pytest.raises(LabelError, match=f"labels.json:{line}: not JSON: "):
        read_labels(path, "doctr-rec", strict=strict)


def test_writing_doctr_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    path, square = tmp_path / "labels.json", np.array(SQUARE, np.float32)
    with pytest.raises(LabelError, match="has ignored regions"):
        write_labels(path, [DetectionRecord(tmp_path / "1.jpg", (Region(square, "###", True),))], "doctr-det")
    with pytest.raises(LabelError, match="occurs twice"):
        write_labels(path, [RecognitionRecord(tmp_path / "1.jpg", "a")] * 2, "doctr-rec")
    assert not path.exists()
