"""`ppocr-jax eval` through the real inference code, with the toy model whose networks read colored stripes."""

import json

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.cli import main

# Text -> center; the second line is labeled with a wrong text, and the third line's box holds its first part only.
LINES = {"abc": (160, 50), "bca": (160, 120), "cab": (160, 190)}
MARGIN = 14  # the toy detector marks whole bars, not shrunk ones, so its boxes come out larger than the bars


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
    folder = tmp_path_factory.mktemp("labeled")
    page = stripes.paint_page((256, 320), [(text, center, 0.0) for text, center in LINES.items()])
    Image.fromarray(page).save(folder / "page.png")
    regions = []
    for row, (text, (x, y)) in enumerate(LINES.items()):
        half = stripes.paint_line(text).shape[1] / 2 + MARGIN
        left, right, top, bottom = x - half, x + (-0.3 * half if row == 2 else half), y - 12 - MARGIN, y + 12 + MARGIN
        points = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
        regions.append({"transcription": "aaa" if row == 1 else text, "points": points.tolist()})
    (folder / "label.txt").write_text(f"page.png\t{json.dumps(regions)}\n", encoding="utf-8")
    return folder / "label.txt"


def evaluate(task, labels, stripes_model, tmp_path):
    out = tmp_path / "out.json"
    arguments = ["--task", task, "--labels", labels, "--model", stripes_model, "--json", out]
    assert main(["eval", *map(str, arguments)]) == 0
    return json.loads(out.read_text(encoding="utf-8"))["scores"][str(labels)]


def test_detection(labels, stripes_model, tmp_path):
    score = evaluate("det", labels, stripes_model, tmp_path)
    assert score["precision"] == score["recall"] == pytest.approx(2 / 3)
    assert score["area_recall"] == 1  # the short label lies inside the whole line's box


def test_end_to_end(labels, stripes_model, tmp_path):
    score = evaluate("e2e", labels, stripes_model, tmp_path)
    assert score["precision"] == score["recall"] == pytest.approx(1 / 3)
    assert score["cer_without_spaces"] == pytest.approx(2 / 9)  # "bca" for "aaa"


def test_recognition_cuts_the_labeled_boxes(labels, stripes_model, tmp_path):
    """Of three crops one is right, one is labeled wrongly, one lacks its end."""
    score = evaluate("rec", labels, stripes_model, tmp_path)
    assert score["lines"] == 3
    assert score["accuracy"] == pytest.approx(1 / 3, abs=1e-4)


def test_direction(labels, stripes_model, tmp_path):
    score = evaluate("cls", labels, stripes_model, tmp_path)
    assert score == {"accuracy": 1, "accuracy_0": 1, "accuracy_180": 1, "lines": 3}
