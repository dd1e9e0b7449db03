"""Guided training of PP-OCRv3's recognizer: who learns from whom. (Its outputs are compared in `test_genuine`.)"""

from __future__ import annotations

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppocr_jax.models import build_model
from ppocr_jax.models.ops import native_ops
from ppocr_jax.models.svtr import MixingBlock, real_frames
from tests.helpers import QUICK_COMPILE

CLASSES = 9
IMAGES = np.random.default_rng(0).normal(size=(2, 48, 64, 3)).astype(np.float32)
LABELS = np.array([[1, 2, 3, 4, 5], [8, 7, 6, 0, 0]])


@cache
def guided():
    model = build_model(
        "svtr_lcnet", num_classes=CLASSES, scale=0.25, hidden=16, guided=True, guide_width=16, ops=native_ops
    )
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 48, 32, 3)), train=False))
    rng = np.random.default_rng(1)
    draw = {"params": lambda leaf: rng.normal(0, 0.2, leaf.shape), "batch_stats": lambda leaf: np.ones(leaf.shape)}
    return model, {kind: jax.tree.map(draw[kind], tree) for kind, tree in shapes.items()}


@partial(jax.jit, compiler_options=QUICK_COMPILE)
def training(params, labels, key):
    """Return the outputs in training mode, and how they move when the backbone's parameters do."""
    model, variables = guided()

    def forward(params):
        given = {"params": params, "batch_stats": variables["batch_stats"]}
        return model.apply(given, IMAGES, train=True, labels=labels, rngs={"dropout": key}, mutable=["batch_stats"])[0]

    along = {
        part: jax.tree.map(jnp.ones_like if part == "backbone" else jnp.zeros_like, tree)
        for part, tree in params.items()
    }
    return jax.jvp(forward, (params,), (along,))


def outputs_for(labels, key):
    return training(guided()[1]["params"], labels, jax.random.key(key))[0]


def test_ctc_leaves_the_backbone_to_the_guide():
    _, slopes = training(guided()[1]["params"], LABELS, jax.random.key(1))
    moved = {name: np.abs(slope).max() for name, slope in slopes.items()}
    assert moved["logits"] == moved["neck"] == 0
    assert min(moved["guide_logits"], moved["backbone"]) > 0


def test_the_guide_sees_only_what_stands_before():
    changed = LABELS.copy()
    changed[:, 2] = 4
    before, after = (outputs_for(labels, 1)["guide_logits"] for labels in (LABELS, changed))
    assert before.shape == (2, LABELS.shape[1] + 1, CLASSES + 1)  # one more place for the end, one class less: padding
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.abs(before[:, 3] - after[:, 3]).max(1).min() > 1e-5


def test_dropout_needs_a_key_and_training():
    model, variables = guided()
    outputs = [outputs_for(LABELS, key) for key in (1, 1, 2)]
    np.testing.assert_array_equal(outputs[0]["logits"], outputs[1]["logits"])
    assert np.abs(outputs[0]["logits"] - outputs[2]["logits"]).max() > 0
    np.testing.assert_array_equal(outputs[0]["backbone"], outputs[2]["backbone"])
    read = jax.eval_shape(lambda: model.apply(variables, IMAGES, train=False))
    assert read["probabilities"].shape == (2, 8, CLASSES)
    assert "guide_logits" not in read


def test_labels_are_asked_for():
    model, variables = guided()
    with pytest.raises(ValueError, match="guided training needs the labels"):
        jax.eval_shape(lambda: model.apply(variables, IMAGES, train=True, mutable=["batch_stats"]))


@pytest.mark.parametrize("width", [40, 61, 64, 67])
def test_frames_of_padding_are_told_from_the_image(width):
    """A frame is real where the image reaches into it, whatever the batch's width."""
    filled = np.array([0, 1, 9, 24, 33, width])
    images = np.zeros((len(filled), 48, width, 3), np.float32)
    for image, columns in zip(images, filled, strict=True):
        image[:, :columns] = np.random.default_rng(columns).choice([-1.0, 0.00392, 1.0], (48, columns, 3))
    real = np.asarray(real_frames(images, native_ops))
    assert real.shape == (len(filled), -(-width // 4) // 2)  # frames of the network
    np.testing.assert_array_equal(real.sum(1), np.minimum(-(-filled // 8), real.shape[1]))
    assert (np.diff(real.astype(int), axis=1) <= 0).all()  # what is real comes first


def test_mixing_does_not_look_at_frames_that_are_not_real():
    block = MixingBlock(native_ops, heads=2)
    x = np.random.default_rng(2).normal(size=(2, 9, 8)).astype(np.float32)
    variables = jax.jit(partial(block.init, train=False), compiler_options=QUICK_COMPILE)(jax.random.key(0), x)
    variables = jax.tree.map(lambda leaf: leaf + 0.3 * np.sin(np.arange(leaf.size)).reshape(leaf.shape), variables)
    real = np.arange(9) < np.array([[6], [9]])
    apply = jax.jit(partial(block.apply, train=False), compiler_options=QUICK_COMPILE)
    got = apply(variables, x, real=real)
    np.testing.assert_allclose(got[:1, :6], apply(variables, x[:1, :6]), atol=1e-5)
    np.testing.assert_allclose(got[1:], apply(variables, x[1:]), atol=1e-5)
    assert np.abs(got[0, :6] - apply(variables, x)[0, :6]).max() > 1e-3
