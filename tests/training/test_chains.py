"""The paper's experiments from end to end, as docs/mutual_learning.md types them, at a tiny size."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.cli import main
from tests.training.experiments import draw, log, train


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    draw(folder)
    return folder


def test_a_teacher_teaches_students_that_read(tmp_path, monkeypatch, drawn):
    monkeypatch.chdir(tmp_path)
    teacher = train("det", "teacher_resnet18", drawn=drawn)
    assert json.loads((teacher / "config.json").read_text())["task"] == "det"
    run = train("det", "ppocr_v2_cml_copy_paste", drawn=drawn)
    (trained,) = (record for record in log(run) if record["kind"] == "train")
    terms = {"dml_0", "dml_1", "teacher_probability_0", "teacher_probability_1", "probability_0", "probability_1"}
    assert terms <= trained.keys()
    assert all(np.isfinite(value) for name, value in trained.items() if name != "kind")
    assert main(["export", str(run), "--output", "model"]) == 0
    picture = cv2.imread(str(next((drawn / "det").rglob("*.png"))))[..., ::-1]
    found = OCR("model").detect(picture)
    assert all(box.points.shape == (4, 2) for box in found)
