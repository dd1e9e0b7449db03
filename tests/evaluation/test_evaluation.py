"""Evaluation with made-up images whose colors are their texts, and readers that look at the colors."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import english_charset
from ppocr_jax.data.labels import read_detection_labels, read_labels
from ppocr_jax.document.page import Line, Page
from ppocr_jax.evaluation.lines import (
    evaluate_direction,
    evaluate_recognition,
    held_out_lines,
    line_samples,
    rotate_every_second,
)
from ppocr_jax.evaluation.pages import evaluate_detection, read_pages, score_pages
from ppocr_jax.images import ImageError
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import NoFontsError, find_fonts

RED, GREEN, BLUE, GRAY = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)
TEXTS = {RED: "Red", GREEN: "green line", BLUE: "###", GRAY: ""}
BOXES = {RED: (10, 10, 60, 30), GREEN: (10, 50, 110, 70), BLUE: (70, 10, 110, 30), GRAY: (10, 80, 60, 95)}


@dataclass(frozen=True)
class Found:
    points: np.ndarray | None = None
    text: str = ""
    angle: int = 0


def quad(color):
    left, top, right, bottom = BOXES[color]
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32)


def color_at_center(image):
    return tuple(image[image.shape[0] // 2, image.shape[1] // 2].tolist())


@pytest.fixture
def labels(tmp_path):
    """One image with a line of each color, on white."""
    image = np.full((100, 120, 3), 255, np.uint8)
    for color, (left, top, right, bottom) in BOXES.items():
        image[top:bottom, left:right] = color
    Image.fromarray(image).save(tmp_path / "page.png")
    regions = [{"transcription": text, "points": quad(color).tolist()} for color, text in TEXTS.items()]
    (tmp_path / "label.txt").write_text(f"page.png\t{json.dumps(regions)}\n", encoding="utf-8")
    return tmp_path / "label.txt"


def detect(image):
    """Boxes of every color that the image really shows, and a false one."""
    boxes = [Found(quad(color)) for color in TEXTS if (image == color).all(-1).sum() > 100]
    return [*boxes, Found(quad(RED) + np.float32([55, 65]))]


def recognize(crops):
    return [Found(text=TEXTS[color_at_center(crop)]) for crop in crops]


def test_detection_counts_unread_lines_as_targets_and_skips_ignored_ones(labels):
    score = evaluate_detection(detect, read_detection_labels(labels))
    assert score["precision"] == score["area_precision"] == 3 / 4  # red, green, gray; blue ignored; one false
    assert score["recall"] == score["area_recall"] == 1
    assert score["hmean"] == pytest.approx(6 / 7)


def test_recognition_reads_the_lines_with_a_known_text(labels):
    samples = list(line_samples(read_labels(labels).records))
    assert [text for _, text in samples] == ["Red", "green line"]
    # Boxes of 20 x 50 and 20 x 100 pixels, grown by .3 of their height along the line and .075 across.
    assert [crop.shape for crop, _ in samples] == [(21, 56, 3), (21, 106, 3)]
    assert evaluate_recognition(recognize, samples)["accuracy"] == pytest.approx(1, abs=1e-4)
    shouting = [(crop, text.upper().replace(" ", "")) for crop, text in samples]
    assert evaluate_recognition(recognize, shouting)["accuracy"] == 0
    assert evaluate_recognition(recognize, shouting, ignore_case=True, ignore_space=True)["cer"] == 0


def test_recognition_reads_more_lines_than_one_chunk_in_order(monkeypatch):
    monkeypatch.setattr("ppocr_jax.evaluation.lines.LINES_AT_ONCE", 3)
    samples = [(np.full((4, 8, 3), value, np.uint8), str(value)) for value in range(10)]
    sizes = []

    def read(crops):
        sizes.append(len(crops))
        return [Found(text=str(crop[0, 0, 0])) for crop in crops]

    assert evaluate_recognition(read, iter(samples))["cer"] == 0
    assert sizes == [3, 3, 3, 1]


def test_recognition_labels_are_told_from_detection_labels(tmp_path):
    Image.new("RGB", (30, 10), RED).save(tmp_path / "line.png")
    (tmp_path / "rec.txt").write_text("line.png\t[3] items\nline.png\t[3]\n", encoding="utf-8")
    assert [text for _, text in line_samples(read_labels(tmp_path / "rec.txt").records)] == ["[3] items", "[3]"]


def test_polygon_is_cut_along_its_rectangle_and_a_thin_region_is_left_out(labels, caplog):
    left, top, right, bottom = BOXES[GREEN]
    polygon = [[left, top], [60, top], [right, top], [right, bottom], [60, bottom], [left, bottom]]
    thin = [[5, 5], [50, 5], [50, 5.2], [5, 5.2]]
    regions = [{"transcription": "poly", "points": polygon}, {"transcription": "thin", "points": thin}]
    labels.write_text(f"page.png\t{json.dumps(regions)}\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="ppocr_jax"):
        ((crop, text),) = line_samples(read_detection_labels(labels))
    assert text == "poly"
    assert crop.shape == (21, 106, 3)
    assert color_at_center(crop) == GREEN
    assert "'thin' skipped" in caplog.text


def test_direction_sees_every_second_line_turned():
    upright = np.zeros((10, 40, 3), np.uint8)
    upright[:, :20] = 255

    def classify(crops):
        return [Found(angle=0 if crop[0, 0, 0] == 255 else 180) for crop in crops]

    samples = list(rotate_every_second([upright] * 5))
    assert evaluate_direction(classify, samples) == {"accuracy": 1, "accuracy_0": 1, "accuracy_180": 1, "lines": 5}
    lazy = evaluate_direction(lambda crops: [Found()] * len(crops), samples)
    assert (lazy["accuracy"], lazy["accuracy_0"], lazy["accuracy_180"]) == (0.6, 1, 0)
    assert evaluate_direction(classify, [])["accuracy"] == 0


def read_page(image):
    """Reads every color, the unsure false line included."""
    assert image.shape == (100, 120, 3)
    lines = [Line(tuple(map(tuple, quad(color).tolist())), text or "junk", 0.9) for color, text in TEXTS.items()]
    false = Line(tuple(map(tuple, (quad(RED) + 60).tolist())), "false", 0.4)
    return Page(120, 100, (*lines, false))


def test_end_to_end_ignores_lines_without_a_known_text_and_unsure_ones(labels):
    records = read_detection_labels(labels)
    score = score_pages(records, read_pages(read_page, records))
    assert score["hmean"] == pytest.approx(1)
    assert score["cer_without_spaces"] == 0


def test_end_to_end_options(labels):
    upper = Page(
        120, 100, tuple(Line(line.quad, line.text.upper(), 0.9) for line in read_page(np.zeros((100, 120, 3))))
    )
    records = read_detection_labels(labels)
    pages = [upper] * len(records)
    assert score_pages(records, pages)["recall"] == 0
    score = score_pages(records, pages, ignore_case=True)
    assert score["recall"] == pytest.approx(1)
    assert score["precision"] == pytest.approx(2 / 3)  # the false line is sure here


def test_missing_image_is_an_error(labels):
    (labels.parent / "page.png").unlink()
    with pytest.raises(ImageError, match=r"page\.png"):
        evaluate_detection(detect, read_detection_labels(labels))


DEJAVU = Path("/usr/share/fonts/truetype/dejavu")


@pytest.fixture
def dejavu_only(monkeypatch):
    """As if DejaVu were all the fonts of this machine."""
    if not DEJAVU.is_dir():
        pytest.skip(f"no fonts in {DEJAVU}")
    faces = find_fonts([DEJAVU])
    monkeypatch.setattr("ppocr_jax.evaluation.lines.find_fonts", lambda folders: faces)


def draw_held_out(**options):
    corpus = Corpus(entries=("Total 12.50", "Invoice"))
    return list(held_out_lines(3, charset=english_charset(), corpus=corpus, **options))


@pytest.mark.usefixtures("dejavu_only")
def test_held_out_lines_are_the_same_at_each_call():
    first, second = ([line.image_rgb for line in draw_held_out(fonts=[DEJAVU])] for _ in range(2))
    assert len(first) == 3
    assert all(line.dtype == np.uint8 and line.shape[2] == 3 for line in first)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.usefixtures("dejavu_only")
def test_held_out_lines_use_no_other_fonts(monkeypatch):
    with pytest.raises(NoFontsError, match="held out"):
        draw_held_out()
    used = []
    monkeypatch.setattr("ppocr_jax.evaluation.lines.HELD_OUT_FONTS", ("DejaVu Sans Mono",))
    monkeypatch.setattr("ppocr_jax.evaluation.lines.LineGenerator", lambda *, fonts, **_: used.extend(fonts))
    held_out_lines(1, charset=english_charset(), corpus=Corpus(entries=("a",)))
    assert used
    assert all("Sans Mono" in face.name for face in used)
