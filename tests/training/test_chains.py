"""The paper's experiments from end to end, as docs/mutual_learning.md types them, at a tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from ppocr_jax import OCR
from ppocr_jax.cli import main
from tests.training.experiments import log, provide, shorten, train


def _terms(run) -> dict[str, float]:
    (trained,) = (record for record in log(run) if record["kind"] == "train")
    assert all(np.isfinite(value) for name, value in trained.items() if name != "kind")
    return trained


def test_a_teacher_teaches_students_that_find_text(tmp_path, monkeypatch, drawn):
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("teacher_resnet18", "ppocr_v2_cml_copy_paste"):
        provide("det", name, drawn)
    teacher = train("det", "teacher_resnet18")
    assert json.loads((teacher / "config.json").read_text())["task"] == "det"
    run = train("det", "ppocr_v2_cml_copy_paste")
    terms = {"dml_0", "dml_1", "teacher_probability_0", "teacher_probability_1", "probability_0", "probability_1"}
    assert terms <= _terms(run).keys()
    assert main(["export", str(run), "--output", "model"]) == 0
    picture = cv2.imread(str(next((drawn / "det").rglob("*.png"))))[..., ::-1]
    assert all(box.points.shape == (4, 2) for box in OCR("model").detect(picture))


def test_students_give_the_centers_of_the_next_students(tmp_path, monkeypatch, drawn):
    """After one step the labels are read wrong: centers come from lines labeled with what the network reads."""
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("pp_lcnet_udml", "ppocr_v2_enhanced_ctc"):
        provide("rec", name, drawn)
    first = train("rec", "pp_lcnet_udml")
    assert {"dml_0", "feature_1"} <= _terms(first).keys()
    assert main(["export", str(first), "--output", "first"]) == 0
    paths = sorted((drawn / "rec").rglob("*.png"))
    read = OCR("first").recognize([cv2.imread(str(path))[..., ::-1] for path in paths])
    labels = [f"{path}\t{line.text}\n" for path, line in zip(paths, read, strict=True) if line.text.strip()]
    Path("read.txt").write_text("".join(labels), encoding="utf-8")
    centers = ["extract-centers", str(first), "--labels", "read.txt", "--output", "runs/centers.safetensors"]
    assert main(centers) == 0
    run = train("rec", "ppocr_v2_enhanced_ctc")
    assert {"center_0", "center_1"} <= _terms(run).keys()
    assert main(["export", str(run), "--output", "model"]) == 0
    picture = cv2.imread(str(next((drawn / "rec").rglob("*.png"))))[..., ::-1]
    (line,) = OCR("model").recognize([picture])
    assert isinstance(line.text, str)
