"""Image classifiers: PP-LCNet against the reference implementation, all of them against the papers' figures."""

from __future__ import annotations

import json
from functools import cache

import jax
import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.models import build_model
from ppocr_jax.models.ops import cpu_ops, native_ops
from ppocr_jax.models.systems import network_size
from tests.helpers import QUICK_COMPILE, golden_tensors
from tests.models.reference import GOLDEN

# Parameters with BatchNorm statistics and MACs of an image of 224 x 224, from running the reference implementation;
# millions of both as published: PP-LCNet counts a MAC as one operation, the others' papers as two.
SIZES = {
    ("pp_lcnet", 0.25): (1_523_936, 16.8e6, 1.5, 18),
    ("pp_lcnet", 0.35): (1_646_930, 27.4e6, 1.6, 29),
    ("pp_lcnet", 0.5): (1_885_048, 44.7e6, 1.9, 47),
    ("pp_lcnet", 0.75): (2_365_232, 94.8e6, 2.4, 99),
    ("pp_lcnet", 1.0): (2_963_464, 155.7e6, 3.0, 161),
    ("pp_lcnet", 1.5): (4_516_248, 334.2e6, 4.5, 342),
    ("pp_lcnet", 2.0): (6_543_400, 580.2e6, 6.5, 590),
    ("pp_lcnet", 2.5): (9_044_920, 893.7e6, 9.0, 906),
    ("mobilenet_v1", 0.75): (2_601_976, 325.4e6, 2.55, 630 / 2),
    ("mobilenet_v2", 0.75): (2_654_864, 186.7e6, 2.58, 350 / 2),
    ("mobilenet_v3_small", 1.0): (2_952_102, 60.1e6, 2.94, 123 / 2),
    ("mobilenet_v3_large", 0.5): (2_685_790, 66.7e6, 2.67, 138 / 2),
    ("ghostnet", 0.5): (2_601_776, 42.3e6, 2.6, 82 / 2),
}
LCNET_PARTS = {"dw_conv": "depthwise", "pw_conv": "pointwise", "se": "se", "conv": None, "bn": "bn"}
GROUPS = (1, 2, 2, 6, 2)  # blocks of blocks2 to blocks6


@pytest.mark.parametrize(("name", "scale"), SIZES)
def test_size_and_cost(name, scale):
    values, macs, published_values, published_macs = SIZES[name, scale]
    found = network_size(build_model(name, scale=scale, ops=native_ops), (224, 224))
    assert found.parameters + found.statistics == values
    assert found.macs == pytest.approx(macs, rel=2e-3)
    assert values / 1e6 == pytest.approx(published_values, rel=0.03)
    # Published counts hold the activations as well, or were rounded.
    assert macs / 1e6 == pytest.approx(published_macs, rel=0.08)


def our_path(name):
    """The path of a Paddle tensor among our arrays, in either collection."""
    top, *rest = name.split(".")
    if top == "last_conv":
        return "wide"
    if top == "fc":
        return {"weight": "fc/kernel", "bias": "fc/bias"}[rest[0]]
    place = "conv1"
    if top != "conv1":
        block = sum(GROUPS[: int(top.removeprefix("blocks")) - 2]) + int(rest.pop(0))
        place = f"block_{block}/{LCNET_PARTS[rest.pop(0)]}"
    if rest[0] == "bn":
        leaf = {"weight": "scale", "bias": "bias", "_mean": "mean", "_variance": "var"}[rest[1]]
        return f"backbone/{place}/bn/{leaf}"
    inner = f"/{rest[0]}" if place.endswith("/se") else ""
    return f"backbone/{place}{inner}/{'bias' if rest[-1] == 'bias' else 'kernel'}"


@cache
def golden():
    with np.load(GOLDEN / "pp_lcnet.npz") as arrays:
        return dict(arrays), json.loads((GOLDEN / "pp_lcnet.json").read_text())


@cache
def model_and_variables():
    _, description = golden()
    flat = {}
    for name, value in golden_tensors(description).items():
        path, array = our_path(name), value
        if value.ndim == 4:
            array = value.transpose(2, 3, 1, 0)
            if path.endswith("depthwise/kernel"):
                array = array[:, :, 0]
            elif path == "wide":
                array = array[0, 0]
        flat["batch_stats" if path.endswith(("/mean", "/var")) else "params", *path.split("/")] = array
    return build_model("pp_lcnet", ops=cpu_ops), traverse_util.unflatten_dict(flat)


def test_reading():
    arrays, _ = golden()
    model, variables = model_and_variables()
    apply = jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=QUICK_COMPILE)
    outputs = apply(variables, arrays["x"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(outputs["logits"], arrays["eval_out"], atol=1e-4)
    np.testing.assert_allclose(outputs["probabilities"].sum(-1), 1, atol=1e-5)


def test_training_moves_outputs_and_statistics_as_the_reference():
    arrays, description = golden()
    model, variables = model_and_variables()
    apply = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]), compiler_options=QUICK_COMPILE)
    outputs, changed = apply(variables, arrays["x"].transpose(0, 2, 3, 1))
    np.testing.assert_allclose(outputs["logits"], arrays["train_out"], atol=1e-3)
    stats = traverse_util.flatten_dict(changed["batch_stats"], sep="/")
    for buffer, norm in zip(description["bn_after"], arrays["bn_after_norm"], strict=True):
        assert np.linalg.norm(stats[our_path(buffer)]) == pytest.approx(float(norm), rel=1e-3), buffer


def test_backbones_are_those_of_the_text_networks():
    """Weights that an image classifier learned fit the network that they are meant for."""
    pairs = [
        ("pp_lcnet", {"scale": 1.0}, "crnn_lcnet", {"scale": 0.5, "num_classes": 7}),
        ("pp_lcnet", {"scale": 1.0}, "svtr_lcnet", {"scale": 0.5, "num_classes": 7}),
        ("mobilenet_v3_large", {"scale": 0.5}, "db_rse_fpn", {"scale": 0.5}),
        ("mobilenet_v3_small", {"scale": 0.35}, "direction_mobilenet_v3", {"scale": 0.35}),
    ]
    for image, image_options, text, text_options in pairs:
        ours, wanted = (
            traverse_util.flatten_dict(backbone_shapes(name, options), sep="/")
            for name, options in ((image, image_options), (text, text_options))
        )
        assert wanted.items() <= ours.items(), f"{image} does not start {text}"


def backbone_shapes(name, options):
    model = build_model(name, ops=native_ops, **options)
    images = jax.ShapeDtypeStruct((1, 32, 64, 3), "float32")
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    return jax.tree.map(lambda leaf: leaf.shape, {kind: tree["backbone"] for kind, tree in shapes.items()})


def test_dropout_scales_when_reading():
    model = build_model("mobilenet_v3_small", scale=0.35, num_classes=3, ops=native_ops)
    images = jax.ShapeDtypeStruct((2, 64, 64, 3), "float32")
    init = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    pooled = np.full((2, 8), 2.0, np.float32)
    dropped = model.apply({}, pooled, train=True, rngs={"dropout": jax.random.key(0)}, method="_dropout")
    assert set(np.unique(dropped)) == {0, 2}
    np.testing.assert_allclose(model.apply({}, pooled, train=False, method="_dropout"), 1.6)
    np.testing.assert_array_equal(model.apply({}, pooled, train=True, method="_dropout"), pooled)
    assert init["params"]["fc"]["kernel"].shape == (1280, 3)
