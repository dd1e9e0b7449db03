"""Padded networks against the same networks on the images alone; between them these four use every operation."""

from __future__ import annotations

from functools import cache, partial

import jax
import numpy as np
import pytest

from ppocr_jax.models import build_model, outputs_of
from ppocr_jax.models.ops import cpu_ops, native_ops
from ppocr_jax.models.padding import Extent
from tests.helpers import QUICK_COMPILE

READERS = {
    "crnn_lcnet": {"scale": 0.25, "hidden": 8},
    "svtr_lcnet": {"scale": 0.25, "hidden": 16},
}
DETECTORS = {
    "db_rse_fpn": {"scale": 0.35, "channels": 16},
    "db_resnet18": {"channels": 16},
}


@cache
def network(name: str, height: int):
    """Return a small network's options and random variables, in which nothing is zero."""
    options = READERS[name] | {"num_classes": 7} if name in READERS else DETECTORS[name]
    model = build_model(name, ops=native_ops, **options)
    images = jax.ShapeDtypeStruct((1, height, 64, 3), "float32")
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        if path[-1].key == "var":
            return rng.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
        fan = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 16
        return (rng.normal(0, 1, leaf.shape) / np.sqrt(fan) + (path[-1].key == "scale")).astype(np.float32)

    return options, jax.tree_util.tree_map_with_path(draw, shapes)


@partial(jax.jit, static_argnums=(0, 1), compiler_options=QUICK_COMPILE)
def padded_outputs(name, height, images, size):
    options, variables = network(name, height)
    true = {"width": size[1]} if name in READERS else {"height": size[0], "width": size[1]}
    extent = Extent(images.shape[1:3], **true)
    model = build_model(name, ops=extent.ops(cpu_ops), **options)
    output = outputs_of(model, variables, images)["probabilities" if name in READERS else "probability"]
    return output, extent.columns(output.shape[1])


@partial(jax.jit, static_argnums=(0, 1), compiler_options=QUICK_COMPILE)
def plain_output(name, height, images):
    options, variables = network(name, height)
    outputs = outputs_of(build_model(name, ops=native_ops, **options), variables, images)
    return outputs["probabilities" if name in READERS else "probability"]


@pytest.mark.parametrize("width", [67, 70])
@pytest.mark.parametrize("name", READERS)
def test_a_recognizer_does_not_see_columns_of_padding(name, width):
    height = 48 if name == "svtr_lcnet" else 32
    lines = np.random.default_rng(width).normal(size=(2, height, width, 3)).astype(np.float32)
    images = np.pad(lines, ((0, 0), (0, 0), (0, 80 - width), (0, 0)), constant_values=9)  # whatever is there
    expected = plain_output(name, height, lines)
    got, frames = padded_outputs(name, height, images, np.array([height, width]))
    assert int(frames) == expected.shape[1]
    np.testing.assert_allclose(got[:, : expected.shape[1]], expected, atol=1e-5)
    assert np.ptp(expected, axis=1).max() > 0.01  # frames differ, so a shift would be seen


@pytest.mark.parametrize("size", [(64, 96)])
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_does_not_see_rows_and_columns_of_padding(name, size):
    page = np.random.default_rng(size).normal(size=(1, *size, 3)).astype(np.float32)
    more = [128 - side for side in size]
    images = np.pad(page, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), constant_values=9)
    expected = plain_output(name, 64, page)
    got, _ = padded_outputs(name, 64, images, np.array(size))
    np.testing.assert_allclose(got[:, : size[0], : size[1]], expected, atol=1e-5)
    assert np.ptp(expected) > 0.01
