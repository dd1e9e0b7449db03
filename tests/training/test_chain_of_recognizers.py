"""U-DML, centers, Enhanced CTC, export, reading: as docs/mutual_learning.md types it, at a tiny size."""

from __future__ import annotations

from pathlib import Path

import cv2

from ppocr_jax import OCR
from ppocr_jax.cli import main
from tests.training.experiments import provide, shorten, terms_of, train


def test_students_give_the_centers_of_the_next_students(tmp_path, monkeypatch, synthetic):
    """After one step the labels are read wrong: centers come from lines labeled with what the network reads."""
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("pp_lcnet_udml", "ppocr_v2_enhanced_ctc"):
        provide("rec", name, synthetic)
    first = train("rec", "pp_lcnet_udml")
    assert {"dml_0", "feature_1"} <= terms_of(first).keys()
    assert main(["export", str(first), "--output", "first"]) == 0
    paths = sorted((synthetic / "rec").rglob("*.png"))
    read = OCR("first").recognize([cv2.imread(str(path))[..., ::-1] for path in paths])
    labels = [f"{path}\t{line.text}\n" for path, line in zip(paths, read, strict=True) if line.text.strip()]
    Path("read.txt").write_text("".join(labels), encoding="utf-8")
    centers = ["extract-centers", str(first), "--labels", "read.txt", "--output", "runs/centers.safetensors"]
    assert main(centers) == 0
    run = train("rec", "ppocr_v2_enhanced_ctc")
    assert {"center_0", "center_1"} <= terms_of(run).keys()
    assert main(["export", str(run), "--output", "model"]) == 0
    image = cv2.imread(str(next((synthetic / "rec").rglob("*.png"))))[..., ::-1]
    (line,) = OCR("model").recognize([image])
    assert isinstance(line.text, str)
