"""Networks for which no reference outputs exist, against a slow second implementation from the published layers."""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.convert.paddle import variables_from_paddle
from ppocr_jax.models.ops import average_pool, native_ops
from ppocr_jax.models.resnet_vd import ResNetVdDet
from tests.helpers import QUICK_COMPILE, golden_tensors
from tests.models import oracle
from tests.models.reference import description, model_and_shapes

RESNET18, RESNET34 = (2, 2, 2, 2), (3, 4, 6, 3)
RECOGNIZERS = {
    "rec_v1_mobile": oracle.mobilenet_v3_text,
    "rec_server": lambda t, x: oracle.pool(
        oracle.resnet_vd(t, x, RESNET34, stem=(1, 1), down=(2, 1))[-1], "max", (2, 2), (2, 2)
    ),
}
SIZES = {"det_teacher": (64, 96), "rec_v1_mobile": (32, 48), "rec_server": (32, 24)}


@cache
def tensors(name):
    return golden_tensors(description(name))


@cache
def exact_tensors(name):
    return {key: value.astype(np.float64) for key, value in tensors(name).items()}


@cache
def model_and_variables(name):
    model, shapes = model_and_shapes(name, native_ops)
    return model, variables_from_paddle(tensors(name), shapes)


def noise(batch, height, width):
    return np.random.default_rng([batch, height, width]).normal(size=(batch, height, width, 3)).astype(np.float32)


def nchw(images):
    return images.transpose(0, 3, 1, 2).astype(np.float64)


@cache
def evaluated(name):
    """Images and eval-mode outputs."""
    model, variables = model_and_variables(name)
    images = noise(2, *SIZES[name])
    apply = jax.jit(partial(model.apply, train=False), compiler_options=QUICK_COMPILE)
    return images, {key: np.asarray(value) for key, value in apply(variables, images).items()}


def test_teacher_detector():
    images, outputs = evaluated("det_teacher")
    t = exact_tensors("det_teacher")
    expected = oracle.db_probability(t, oracle.resnet_vd(t, nchw(images), RESNET18, stem=(2, 2), down=(2, 2)))
    assert set(outputs) == {"probability"}
    assert np.quantile(expected, 0.9) - np.quantile(expected, 0.1) > 0.2, "a constant map would show nothing"
    np.testing.assert_allclose(outputs["probability"], expected, atol=1e-4)


def test_teacher_backbone_at_odd_sizes():
    """51 x 74 becomes 13 x 19, 7 x 10, 4 x 5 and 2 x 3 cells: average windows reach over both edges."""
    _, variables = model_and_variables("det_teacher")
    images = noise(1, 51, 74)
    apply = jax.jit(partial(ResNetVdDet(native_ops).apply, train=False), compiler_options=QUICK_COMPILE)
    maps = apply({kind: tree["backbone"] for kind, tree in variables.items()}, images)
    expected = oracle.resnet_vd(exact_tensors("det_teacher"), nchw(images), RESNET18, stem=(2, 2), down=(2, 2))
    for ours, theirs in zip(maps, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.transpose(0, 2, 3, 1), atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("name", RECOGNIZERS)
def test_recognizers(name):
    images, outputs = evaluated(name)
    t = exact_tensors(name)
    expected = oracle.read(t, RECOGNIZERS[name](t, nchw(images)))
    for key, value in expected.items():
        assert value.std() > 0.05 * np.abs(value).max(), f"{key} that is constant would show nothing"
        np.testing.assert_allclose(outputs[key], value, atol=1e-4 * np.abs(value).max(), err_msg=key)
    np.testing.assert_array_equal(outputs["features"], outputs["neck"])


def test_average_pooling_at_edges_by_hand():
    x = np.arange(1, 16, dtype=np.float32).reshape(1, 3, 5, 1)  # rows 1-5, 6-10, 11-15
    pooled = np.asarray(average_pool(x, (2, 2)))[0, :, :, 0]
    np.testing.assert_allclose(pooled, [[4, 6, 7.5], [11.5, 13.5, 15]])
    np.testing.assert_allclose(np.asarray(average_pool(x, (2, 1)))[0, 1, :, 0], [11, 12, 13, 14, 15])


@pytest.mark.parametrize("name", SIZES)
def test_train_mode(name):
    """Finite outputs, every running statistic moved, the stem's by a tenth of the way to the batch's."""
    model, variables = model_and_variables(name)
    images = noise(2, *SIZES[name])
    apply = jax.jit(partial(model.apply, train=True, mutable=["batch_stats"]), compiler_options=QUICK_COMPILE)
    outputs, changed = apply(variables, images)
    assert set(outputs) == (
        {"probability", "threshold", "binary"} if name == "det_teacher" else {"logits", "features", "backbone", "neck"}
    )
    assert all(np.isfinite(value).all() for value in outputs.values())
    before = traverse_util.flatten_dict(variables["batch_stats"])
    after = traverse_util.flatten_dict(changed["batch_stats"])
    assert all(np.abs(after[path] - before[path]).max() > 1e-6 for path in before)
    _assert_stem_statistics(name, nchw(images), before, after)


def _assert_stem_statistics(name, images, before, after):
    first = description(name)["entries"][0]["name"]
    strides = (1, 1) if name == "rec_server" else (2, 2)
    batch = oracle.conv(images, exact_tensors(name)[first], strides)
    norm = ("backbone", "conv1" if name == "rec_v1_mobile" else "conv1_1", "bn")
    for leaf, statistic in (("mean", batch.mean((0, 2, 3))), ("var", batch.var((0, 2, 3)))):
        expected = 0.9 * before[*norm, leaf] + 0.1 * statistic
        np.testing.assert_allclose(after[*norm, leaf], expected, rtol=1e-4, atol=1e-6)
