"""BatchNorm at its running statistics while the weights train, and detectors without their threshold branch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ppocr_jax.config import DetConfig, DetLossConfig, ImageConfig, TrainConfig
from ppocr_jax.inference.model_folder import DetectorSpec
from ppocr_jax.losses.db import db_loss
from ppocr_jax.losses.distillation import dilated_teacher_loss
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.training import detection, image
from ppocr_jax.training.learners import training_forward
from ppocr_jax.training.network import variable_shapes
from ppocr_jax.training.trained import load_trained
from tests.training.tiny_networks import TinyDetector

RNG = np.random.default_rng(3)
KEY = jax.random.key(1)
IMAGES = jnp.asarray(RNG.normal(size=(4, 16, 16, 3)), jnp.float32)


def _variables(model):
    variables = model.init(jax.random.key(0), IMAGES, train=False)
    draw = lambda leaf: jnp.asarray(RNG.uniform(0.5, 1.5, leaf.shape), jnp.float32)  # noqa: E731
    return {"params": variables["params"], "batch_stats": jax.tree.map(draw, variables["batch_stats"])}


def test_the_network_in_training_is_the_network_in_use():
    """All outputs, the threshold map among them, as in evaluation mode; the statistics stay."""
    model = TinyDetector()
    variables = _variables(model)
    forward = training_forward(model, frozen_statistics=True)
    outputs, statistics = forward(variables["params"], variables["batch_stats"], {"images": IMAGES}, KEY)
    used = model.apply(variables, IMAGES, train=False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), outputs, used)
    jax.tree.map(np.testing.assert_array_equal, statistics, variables["batch_stats"])
    by_batch, moved = training_forward(model)(variables["params"], variables["batch_stats"], {"images": IMAGES}, KEY)
    assert np.abs(by_batch["probability"] - outputs["probability"]).max() > 0.01
    assert np.abs(moved["bn"]["mean"] - statistics["bn"]["mean"]).max() > 0.01


def test_gradients_are_those_of_the_network_in_use():
    model = TinyDetector()
    variables = _variables(model)
    forward = training_forward(model, frozen_statistics=True)
    trained = jax.grad(lambda p: forward(p, variables["batch_stats"], {"images": IMAGES}, KEY)[0]["probability"].mean())
    used = jax.grad(lambda p: model.apply({**variables, "params": p}, IMAGES, train=False)["probability"].mean())
    for one, other in zip(
        *map(jax.tree.leaves, (trained(variables["params"]), used(variables["params"]))), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_without_beta_there_is_no_threshold_branch(tmp_path):
    options = detection.model_options(DetConfig(loss=DetLossConfig(beta=0.0)))
    assert options["threshold"] is False
    shapes = variable_shapes(DetectorSpec(network="db_mobilenet_v3", options=options))
    assert set(shapes["params"]) == {"backbone", "neck", "probability"}
    path = tmp_path / "det.safetensors"  # as a converted reading network is: it names no options
    save_safetensors(path, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes))
    assert load_trained(path, task="det").spec.options == {"threshold": False}


def test_losses_of_a_head_without_its_threshold_branch():
    maps = {name: RNG.random((2, 8, 8)).astype(np.float32) for name in ("probability", "threshold", "binary")}
    targets = {name: RNG.integers(0, 2, (2, 8, 8)).astype(np.uint8) for name in ("shrink_map", "shrink_mask")}
    targets |= {"threshold_map": maps["threshold"], "threshold_mask": targets["shrink_mask"]}
    alone = {"probability": maps["probability"]}
    loss, terms = db_loss(alone, targets, alpha=3.0)
    assert set(terms) == {"probability"}
    assert float(loss) == pytest.approx(3 * float(db_loss(maps, targets)[1]["probability"]))
    loss, terms = dilated_teacher_loss(alone, maps["binary"], targets["shrink_mask"], gamma=2.0)
    whole = dilated_teacher_loss(maps, maps["binary"], targets["shrink_mask"])[1]
    assert float(loss) == pytest.approx(2 * float(whole["probability"]))


@pytest.mark.parametrize("frozen", [False, True])
def test_an_image_classifier_keeps_them_where_it_shall(frozen):
    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            return {"logits": nn.BatchNorm(use_running_average=not train)(images).mean((1, 2))}

    model = Classifier()
    batch = {
        "images": np.random.default_rng(0).normal(size=(4, 2, 2, 3)).astype(np.float32),
        "labels": np.arange(4) % 3,
    }
    variables = model.init(jax.random.key(0), batch["images"], train=False)
    objective = image.objective(model, ImageConfig(train=TrainConfig(frozen_statistics=frozen)))
    before = variables["batch_stats"]
    _, (after, _) = objective(variables["params"], None, before, batch, jax.random.key(0), 0)
    same = jax.tree.map(np.array_equal, before, after)
    assert all(jax.tree.leaves(same)) == frozen
