"""A teacher, its students by CML with CopyPaste, export, reading: as docs/mutual_learning.md types it, at a tiny size.

The two chains are files of their own because the processes of pytest-xdist share out files.
"""

from __future__ import annotations

import json

import cv2

from ppocr_jax import OCR
from ppocr_jax.cli import main
from tests.training.experiments import provide, shorten, terms_of, train


def test_a_teacher_teaches_students_that_find_text(tmp_path, monkeypatch, synthetic):
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("teacher_resnet18", "ppocr_v2_cml_copy_paste"):
        provide("det", name, synthetic)
    teacher = train("det", "teacher_resnet18")
    assert json.loads((teacher / "config.json").read_text())["task"] == "det"
    run = train("det", "ppocr_v2_cml_copy_paste")
    terms = {"dml_0", "dml_1", "teacher_probability_0", "teacher_probability_1", "probability_0", "probability_1"}
    assert terms <= terms_of(run).keys()
    assert main(["export", str(run), "--output", "model"]) == 0
    image = cv2.imread(str(next((synthetic / "det").rglob("*.png"))))[..., ::-1]
    assert all(box.points.shape == (4, 2) for box in OCR("model").detect(image))
