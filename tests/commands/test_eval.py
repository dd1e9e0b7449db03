"""`ppocr-jax eval` with a made-up model: options, table, files."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import english_charset
from ppocr_jax.cli import main
from ppocr_jax.document.page import Line, Page
from ppocr_jax.inference.model_folder import ModelError

QUAD = ((10.0, 10.0), (60.0, 10.0), (60.0, 30.0), (10.0, 30.0))
FALSE_QUAD = ((10.0, 60.0), (60.0, 60.0), (60.0, 80.0), (10.0, 80.0))


@dataclass(frozen=True)
class Found:
    points: np.ndarray | None = None
    score: float = 0.75
    text: str = ""
    angle: int = 0


class DarkTextReader:
    """Finds the label's box and a false one, reads "total", and takes lines that are darker on the left for upright."""

    def __init__(self, model, **settings):
        self.settings = settings
        self.stages = SimpleNamespace(recognizer=None)  # the charset is the model's

    def __call__(self, image_rgb, **options):
        return Page(100, 100, (Line(QUAD, "total", 0.9), Line(FALSE_QUAD, "x", 0.8)))

    def detect(self, image_rgb):
        return [Found(np.float32(QUAD)), Found(np.float32(FALSE_QUAD))]

    def recognize(self, crops):
        return [Found(text="total") for _ in crops]

    def classify(self, crops):
        return [
            Found(angle=0 if c[:, : c.shape[1] // 2].mean() < c[:, c.shape[1] // 2 :].mean() else 180) for c in crops
        ]


@pytest.fixture(autouse=True)
def _made_up_model(monkeypatch):
    model_folder = SimpleNamespace(charset=english_charset(), spec=lambda task: None)
    monkeypatch.setattr("ppocr_jax.inference.ocr.OCR", DarkTextReader)
    monkeypatch.setattr("ppocr_jax.inference.model_folder.load_model_folder", lambda model: model_folder)


@pytest.fixture
def labels(tmp_path):
    """Two images with one line each: the first says "Total", the second "total"."""
    image = np.full((100, 100, 3), 255, np.uint8)
    image[10:30, 10:35] = 0
    rows = []
    for name, text in (("a.png", "Total"), ("b.png", "total")):
        Image.fromarray(image).save(tmp_path / name)
        rows.append(f"{name}\t{json.dumps([{'transcription': text, 'points': QUAD}])}\n")
    path = tmp_path / "label.txt"
    path.write_text("".join(rows), encoding="utf-8")
    return path


def evaluate(tmp_path, *arguments):
    assert main(["eval", "--json", str(tmp_path / "out.json"), *map(str, arguments)]) == 0
    return json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["scores"]


def test_words_are_joined_to_the_lines_that_the_model_finds(tmp_path):
    left, right = (((x, 10.0), (x + 22, 10.0), (x + 22, 30.0), (x, 30.0)) for x in (10.0, 38.0))
    regions = [{"transcription": text, "points": quad} for text, quad in (("to", left), ("tal", right))]
    Image.new("RGB", (100, 100), "white").save(tmp_path / "a.png")
    path = tmp_path / "label.txt"
    path.write_text(f"a.png\t{json.dumps(regions)}\n", encoding="utf-8")
    assert evaluate(tmp_path, "--task", "det", "--labels", path)[str(path)]["recall"] == 0
    score = evaluate(tmp_path, "--task", "det", "--labels", path, "--granularity", "word")[str(path)]
    assert (score["recall"], score["precision"]) == (1, 0.5)


def test_detection(labels, tmp_path, capsys):
    score = evaluate(tmp_path, "--task", "det", "--labels", labels)[str(labels)]
    assert (score["precision"], score["recall"], score["images"]) == (0.5, 1, 2)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["set", "precision", "recall", "hmean"]
    assert row.split()[1:4] == ["0.5000", "1.0000", "0.6667"]


@pytest.mark.parametrize(("option", "recall"), [([], 0.5), (["--ignore-case"], 1)])
def test_end_to_end(labels, tmp_path, option, recall):
    score = evaluate(tmp_path, "--task", "e2e", "--labels", labels, *option)[str(labels)]
    assert score["recall"] == pytest.approx(recall)


def test_recognition_of_two_sets_is_pooled(labels, tmp_path):
    Image.new("RGB", (30, 10)).save(tmp_path / "line.png")
    lines = tmp_path / "rec.txt"
    lines.write_text("line.png\ttotal\n" * 4, encoding="utf-8")
    scores = evaluate(tmp_path, "--task", "rec", "--labels", labels, "--labels", lines, "--limit", 3)
    assert {name: score["lines"] for name, score in scores.items()} == {str(labels): 2, str(lines): 3, "all": 5}
    assert scores["all"]["accuracy"] == pytest.approx(4 / 5, abs=1e-4)


def test_recognition_of_drawn_lines(tmp_path, labels):
    """The stand-in reads "total" everywhere, which is right for the lines that say so."""
    texts = tmp_path / "texts.txt"
    texts.write_text("total\n", encoding="utf-8")
    fonts = Path("/usr/share/fonts/truetype/dejavu")
    if not fonts.is_dir():
        pytest.skip(f"no fonts in {fonts}")
    drawn = ("--task", "rec", "--synthetic", 30, "--corpus", texts, "--fonts", fonts)
    score = evaluate(tmp_path, *drawn)["synthetic"]
    assert score["lines"] == 30
    assert 0 < score["accuracy"] < 1
    assert score == evaluate(tmp_path, *drawn)["synthetic"]


def test_direction_from_labels(labels, tmp_path):
    score = evaluate(tmp_path, "--task", "cls", "--labels", labels)[str(labels)]
    assert score == {"accuracy": 1, "accuracy_0": 1, "accuracy_180": 1, "lines": 2}


def test_direction_needs_a_classifier(labels, monkeypatch, capsys):
    def refuse(task):
        raise ModelError(f"no {task!r} network")

    monkeypatch.setattr(
        "ppocr_jax.inference.model_folder.load_model_folder", lambda model: SimpleNamespace(spec=refuse)
    )
    assert main(["eval", "--task", "cls", "--labels", str(labels)]) == 1
    assert "no 'cls' network" in capsys.readouterr().err


@pytest.mark.parametrize("task", ["det", "e2e"])
def test_predictions_name_images_as_the_label_file_does(labels, tmp_path, task):
    out = tmp_path / "predictions.jsonl"
    evaluate(tmp_path, "--task", task, "--labels", labels, "--predictions", out, "--limit", 1)
    (row,) = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    assert row["image"] == "a.png"
    text, score = {"det": ("", 0.75), "e2e": ("total", 0.9)}[task]
    assert row["lines"][0] == {"points": [list(p) for p in QUAD], "text": text, "score": score}
    assert [line["points"] for line in row["lines"]] == [[list(p) for p in q] for q in (QUAD, FALSE_QUAD)]


def test_end_to_end_by_hand(labels, tmp_path):
    """One of four lines found is right, and one of two labels; 10 characters: t for T, and an x too many twice."""
    ours = evaluate(tmp_path, "--task", "e2e", "--labels", labels)[str(labels)]
    assert (ours["precision"], ours["recall"]) == pytest.approx((0.25, 0.5))
    assert ours["cer_without_spaces"] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "det"], "nothing to evaluate"),
        (["--task", "det", "--synthetic", "3"], "--synthetic requires --task cls or rec"),
        (["--task", "det", "--labels", "nowhere.txt"], "nowhere.txt: no such file or folder"),
        (["--task", "rec", "--labels", "a", "--predictions", "b"], "--predictions requires"),
        (["--task", "rec", "--labels", "a", "--granularity", "word"], "--granularity word requires --task det or e2e"),
        (["--task", "rec", "--labels", "a", "--labels", "a"], "given twice"),
        (["--task", "det", "--labels", "label.txt", "--format", "json"], "no label format 'json'; there are ppocr"),
    ],
)
def test_wrong_options_are_one_line(arguments, message, labels, capsys, monkeypatch):
    monkeypatch.chdir(labels.parent)
    assert main(["eval", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_bad_and_empty_label_files_are_one_line(tmp_path, capsys):
    path = tmp_path / "label.txt"
    path.write_text("a.png\tnot json\n", encoding="utf-8")
    assert main(["eval", "--task", "det", "--labels", str(path)]) == 1
    assert f"{path}:1: the label is not JSON" in capsys.readouterr().err
    path.write_text("\n", encoding="utf-8")
    assert main(["eval", "--task", "det", "--labels", str(path)]) == 1
    assert "is empty" in capsys.readouterr().err
