"""Training goes on from what PaddleOCR released: ONNX files through `convert`, then a step of the user's command."""

from __future__ import annotations

import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.cli import main
from ppocr_jax.models.io import load_safetensors
from tests.released import release_or_skip
from tests.training.experiments import log, provide, train

pytestmark = pytest.mark.slow  # whole networks are compiled


def converted(release: str) -> dict[str, np.ndarray]:
    """Convert a release's recognizer to start.safetensors; return its arrays."""
    files = release_or_skip(release)
    command = ["convert", str(files["rec"]), "--charset", str(files["dictionary"]), "--output", "start.safetensors"]
    assert main(command) == 0
    return flat("start.safetensors")


def flat(path) -> dict[str, np.ndarray]:
    return traverse_util.flatten_dict(load_safetensors(path), sep="/")


def assert_started_there(after: dict[str, np.ndarray], start: dict[str, np.ndarray], part: str) -> None:
    """After one step of a long warm-up the weights are where they were, but not quite."""
    names = [name for name in start if name.startswith(f"params/{part}/")]
    assert names
    moved = [np.abs(after[name] - start[name]).max() for name in names]
    assert 0 < max(moved) < 1e-3


def test_pp_ocr_v3_with_its_guide(tmp_path, monkeypatch, synthetic, caplog):
    monkeypatch.chdir(tmp_path)
    provide("rec", "ppocr_v3", synthetic)
    start = converted("ppocr-v3-en")
    with caplog.at_level("WARNING", logger="ppocr_jax"):
        run = train("rec", "ppocr_v3", "--model.charset", "en", "--train.init", "start.safetensors")
    assert "stay random: guide (" in caplog.text
    (record,) = (record for record in log(run) if record["kind"] == "train")
    assert record["guide"] > 0
    assert np.isfinite(record["ctc"])
    after = flat(run / "rec.safetensors")
    for part in ("backbone", "neck"):
        assert_started_there(after, start, part)
    assert any(name.startswith("params/guide/") for name in after)
    assert not any(name.startswith("params/guide/") for name in start)


def test_an_image_classifier_takes_the_backbone(tmp_path, monkeypatch, synthetic):
    """PP-LCNet at scale 1 has the arrays of PP-OCRv2's backbone; only its strides are others."""
    monkeypatch.chdir(tmp_path)
    provide("image", "pp_lcnet", synthetic)
    start = converted("ppocr-v2")
    run = train("image", "pp_lcnet", "--train.init", "start.safetensors")
    assert_started_there(flat(run / "image.safetensors"), start, "backbone")
