"""Scoring during training: what labels it takes."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

from ppocr_jax.charset import load_charset
from ppocr_jax.config import ClsConfig, DetConfig, LabelSource
from ppocr_jax.data.labels import LabelError
from ppocr_jax.errors import UserError
from ppocr_jax.training import detection, direction, recognition
from ppocr_jax.training.tasks import TASKS

ONE_REGION = '[{"transcription": "a", "points": [[1, 1], [60, 1], [60, 30], [1, 30]]}]'


def test_a_detector_is_not_scored_on_labels_of_lines(tmp_path):
    labels = tmp_path / "rec_label.txt"
    labels.write_text("a.png\tsome text\nb.png\tmore\n", encoding="utf-8")
    config = DetConfig()
    config = replace(config, data=replace(config.data, val_labels=(LabelSource(path=str(labels)),)))
    with pytest.raises(LabelError, match="a detector needs images with regions"):
        detection.evaluation(None, config)


class DarkerHalf(nn.Module):
    """Takes lines that are darker on the left for upright."""

    def __call__(self, images, *, train=False):
        left, right = (images[:, :, part].mean((1, 2, 3)) for part in (slice(None, 96), slice(96, None)))
        upright = (left < right).astype(jnp.float32)
        return {"probabilities": jnp.stack([upright, 1 - upright], axis=1)}


def cls_config(path, texts):
    """Three lines, of which the third looks turned, and one that reads the same upside down."""
    image = np.full((48, 192, 3), 255, np.uint8)
    image[10:30, 10:80] = 0
    for i, text in enumerate(texts):
        Image.fromarray(np.rot90(image, 2) if text == "wrong" else image).save(path.parent / f"{i}.png")
    path.write_text("".join(f"{i}.png\t{text}\n" for i, text in enumerate(texts)), encoding="utf-8")
    config = ClsConfig()
    return replace(config, data=replace(config.data, val_labels=(LabelSource(path=str(path)),)))


def test_a_classifier_is_scored_on_labeled_lines_every_second_one_turned(tmp_path):
    config = cls_config(tmp_path / "rec_label.txt", ("Total", "HIS", "cash", "wrong"))
    scores = direction.evaluation(DarkerHalf(), config, load_charset("en"))({})
    assert scores["lines"] == 3
    assert (scores["accuracy_0"], scores["accuracy_180"]) == (0.5, 1)
    assert scores["accuracy"] == pytest.approx(2 / 3)


def test_a_classifier_is_not_scored_on_lines_without_direction(tmp_path):
    config = cls_config(tmp_path / "rec_label.txt", ("HIS", "96"))
    with pytest.raises(LabelError, match="looks different upside down"):
        direction.evaluation(None, config, load_charset("en"))


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("det", "there.png\t[]\n", "no region to find"),
        ("det", "gone.png\t[]\n", r"all 1 images are missing, such as .*gone\.png"),
        ("det", f"broken.png\t{ONE_REGION}\n", r"broken\.png is not a readable image"),
        ("rec", f"broken.png\t{ONE_REGION}\n", r"broken\.png is not a readable image"),
        ("cls", "broken.png\tTotal\n", r"broken\.png is not a readable image"),
        ("rec", "there.png\t[]\n", "no line with a text"),
        ("rec", "gone.png\tTotal\n", r"all 1 images are missing, such as .*gone\.png"),
        ("cls", "gone.png\tTotal\n", r"all 1 images are missing, such as .*gone\.png"),
    ],
)
def test_labels_that_cannot_score_are_refused(tmp_path, task, labels, message):
    """Otherwise a run of hours would be scored on something else, or not at all."""
    path = tmp_path / "label.txt"
    path.write_text(labels, encoding="utf-8")
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (64, 32)).save(tmp_path / "there.png")
    kind = TASKS[task]
    config = kind.config()
    config = replace(config, data=replace(config.data, val_labels=(LabelSource(str(path)),)))
    with pytest.raises(UserError, match=message):
        kind.evaluation(None, config, load_charset("en"))


@pytest.mark.parametrize("task", ["rec", "cls"])
def test_missing_images_are_left_out_of_the_score_and_said(tmp_path, task, caplog):
    config = cls_config(tmp_path / "rec_label.txt", ("Total", "cash", "Tax"))
    (tmp_path / "1.png").unlink()
    if task == "cls":
        scores = direction.evaluation(DarkerHalf(), config, load_charset("en"))({})
        assert scores["lines"] == 2
    else:
        assert len(recognition._lines(config.data.val_labels[0], None)) == 2
    assert f"{config.data.val_labels[0].path}: 1 of 3 images missing" in caplog.text
