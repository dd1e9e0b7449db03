"""Image classifiers: folders of images, and the text network that starts from what they learned."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest

from ppocr_jax.charset import english_charset
from ppocr_jax.config import ImageConfig, ImageDataConfig, ImageModelConfig, TrainConfig
from ppocr_jax.config_io import save_config
from ppocr_jax.data.image_folders import center_crop, find_images
from ppocr_jax.errors import UserError
from ppocr_jax.export.model_folder import export_to_folder
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.models import build_model
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.models.ops import native_ops
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION
from ppocr_jax.training import image
from ppocr_jax.training.network import TrainedNetwork, variable_shapes
from ppocr_jax.training.trained import initial_variables, load_trained

COLORS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Plain images of three colors, four each, for training and evaluation; one of them is damaged."""
    root = tmp_path_factory.mktemp("images")
    for part in ("train", "val"):
        for name, color in COLORS.items():
            (root / part / name).mkdir(parents=True)
            for i in range(4):
                image = np.full((40 + 5 * i, 60, 3), color[::-1], np.uint8)
                cv2.imwrite(str(root / part / name / f"{i}.png"), image)
    (root / "train" / "red" / "9.jpg").write_bytes(b"no image")
    (root / "train" / "red" / "notes.txt").write_text("no image either")
    return root


def config(root, **data):
    names = {"train_folder": str(root / "train"), "val_folder": str(root / "val"), "size": 32}
    return ImageConfig(
        model=ImageModelConfig(num_classes=3, scale=0.25),
        data=ImageDataConfig(**{**names, **data}),
        train=TrainConfig(steps=1, batch_size=16, work_dir=str(root / "run")),
    )


def test_batches_hold_the_color_of_their_class(folders):
    batches = image.batches(config(folders))
    batch = batches(0)
    assert batch["images"].shape == (16, 32, 32, 3)
    plain = {
        i: DETECTOR_NORMALIZATION(np.full((1, 1, 3), color, np.uint8))[0, 0] for i, color in enumerate(COLORS.values())
    }
    for pixels, label in zip(batch["images"], batch["labels"], strict=True):
        np.testing.assert_allclose(pixels, np.broadcast_to(plain[int(label)], pixels.shape), atol=1e-5)
    assert set(batch["labels"]) == {0, 1, 2}
    again = batches(0)
    np.testing.assert_array_equal(batch["labels"], again["labels"])
    assert str(batches.uses()[0]).endswith("13 of 13 images used")


def test_the_middle_of_a_image():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    assert center_crop(image, 64).shape == (64, 64, 3)
    assert (center_crop(image, 64) == 255).all()


class Constant:
    """Says the same of every image."""

    def apply(self, variables, images, *, train):
        assert not train
        return {"logits": np.tile(np.array([[0.0, 1.0, 2.0]], np.float32), (images.shape[0], 1))}


def test_evaluation_counts_first_and_best_five(folders):
    scores = image.evaluation(Constant(), config(folders))({})
    assert scores == {"accuracy": pytest.approx(1 / 3), "top_5": 1.0}


def test_wrong_folders_are_said(folders, tmp_path):
    four = replace(config(folders), model=ImageModelConfig(num_classes=4))
    with pytest.raises(UserError, match=r"holds 3 folders, the network has 4 classes: set model\.num_classes"):
        image.batches(four)
    with pytest.raises(UserError, match="no folder"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match="contains no images"):
        find_images(tmp_path)
    (tmp_path / "other").mkdir()
    cv2.imwrite(str(tmp_path / "other" / "a.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match="folders of different names"):
        image.evaluation(Constant(), config(folders, val_folder=str(tmp_path)))


@pytest.fixture
def run(folders):
    """A run's folder with random weights, at the scale that a small recognizer has."""
    trained = replace(config(folders), model=ImageModelConfig(num_classes=3, scale=1.0))
    rng = np.random.default_rng(0)
    shapes = variable_shapes(image.network_spec(trained))
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)
    folder = folders / "run"
    folder.mkdir(exist_ok=True)
    save_config(trained, folder / "config.json")
    save_safetensors(folder / "image.safetensors", variables)
    return folder, variables


def test_a_recognizer_starts_from_the_backbone(run, monkeypatch):
    folder, variables = run
    charset = english_charset()
    spec = RecognizerSpec(network="crnn_lcnet", options={"num_classes": charset.num_classes, "scale": 0.5})
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variable_shapes(spec))
    monkeypatch.setattr("ppocr_jax.training.trained.initialize", lambda model, spec, key: zeros)
    model = build_model(spec.network, ops=native_ops, **spec.options)
    started = initial_variables(model, spec, TrainConfig(init=str(folder)), charset=charset)
    for kind in ("params", "batch_stats"):
        jax.tree.map(np.testing.assert_array_equal, started[kind]["backbone"], variables[kind]["backbone"])
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(started["params"]["head"]))
    with pytest.raises(UserError, match="contains a 'image' network, not 'rec'"):
        load_trained(folder, task="rec")


def test_it_is_no_part_of_a_model_folder(run, tmp_path):
    folder, _ = run
    with pytest.raises(UserError, match="the 'image' network reads no text"):
        export_to_folder([load_trained(folder)], tmp_path)
    assert isinstance(load_trained(folder), TrainedNetwork)
    assert json.loads((folder / "config.json").read_text())["model"]["num_classes"] == 3
