"""Scoring during training: what labels it takes."""

from dataclasses import replace

import pytest

from ppocr_jax.config import DetConfig, LabelSource
from ppocr_jax.data.labels import LabelError
from ppocr_jax.training import detection


def test_a_detector_is_not_scored_on_labels_of_lines(tmp_path):
    labels = tmp_path / "rec_label.txt"
    labels.write_text("a.png\tsome text\nb.png\tmore\n", encoding="utf-8")
    config = DetConfig()
    config = replace(config, data=replace(config.data, val_labels=(LabelSource(path=str(labels)),)))
    with pytest.raises(LabelError, match="a detector needs pictures with regions"):
        detection.evaluation(None, config)
