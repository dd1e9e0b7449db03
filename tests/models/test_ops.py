"""The CPU forms of the basic operations against XLA's, Flax's and a step-by-step NumPy LSTM."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.models.ops import (
    LSTMWeights,
    bilstm_scan,
    conv_as_product,
    conv_native,
    max_pool_2x2,
    max_pool_3x3,
    upsample_nearest,
)
from tests.helpers import QUICK_COMPILE

TOLERANCE = 2e-5


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


@partial(jax.jit, static_argnums=(0, 4), compiler_options=QUICK_COMPILE)
def value_and_gradients(convolve, x, kernel, cotangent, strides):
    """Output, input gradient and kernel gradient of a convolution."""
    y, pull_back = jax.vjp(lambda x, k: convolve(x, k, strides), x, kernel)
    return y, *pull_back(cotangent)


def assert_convolutions_agree(shape: tuple[int, ...], side: int, features: int, strides: tuple[int, int]) -> None:
    batch, height, width, channels = shape
    rng = np.random.default_rng([*shape, side, features, *strides])
    x, kernel = normal(rng, *shape), normal(rng, side, side, channels, features)
    cotangent = normal(rng, batch, -(-height // strides[0]), -(-width // strides[1]), features)
    ours = value_and_gradients(conv_as_product, x, kernel, cotangent, strides)
    native = value_and_gradients(conv_native, x, kernel, cotangent, strides)
    for name, got, expected in zip(("output", "input gradient", "kernel gradient"), ours, native, strict=True):
        assert got.shape == expected.shape, name
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)


@pytest.mark.parametrize(
    ("shape", "side", "features", "strides"),
    [
        pytest.param((2, 8, 10, 3), 3, 8, (2, 2), id="stem"),
        pytest.param((3, 7, 5, 3), 3, 8, (2, 2), id="stem-odd"),
        pytest.param((2, 6, 8, 12), 1, 5, (1, 1), id="pointwise"),
        pytest.param((2, 7, 9, 4), 1, 6, (2, 2), id="pointwise-strided"),
        pytest.param((2, 6, 8, 12), 3, 3, (1, 1), id="narrowing"),
        pytest.param((1, 5, 7, 12), 3, 3, (1, 1), id="narrowing-odd"),
        pytest.param((2, 6, 5, 4), 3, 4, (1, 1), id="same-width"),
        pytest.param((2, 9, 7, 12), 3, 3, (2, 2), id="narrowing-strided"),
    ],
)
def test_convolution_as_product_agrees_with_the_native_one(shape, side, features, strides):
    assert_convolutions_agree(shape, side, features, strides)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)),
    side=st.sampled_from((1, 3, 5)),
    features=st.integers(1, 6),
    strides=st.sampled_from(((1, 1), (2, 1), (2, 2))),
)
def test_convolutions_agree_for_any_size(shape, side, features, strides):
    assert_convolutions_agree(shape, side, features, strides)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_repeats_every_pixel(factor):
    x = normal(np.random.default_rng(factor), 2, 3, 5, 4)
    np.testing.assert_array_equal(upsample_nearest(x, factor), x.repeat(factor, 1).repeat(factor, 2))


@pytest.mark.parametrize("size", [(2, 8), (5, 7), (4, 9)])
def test_max_pooling_and_its_gradient_agree_with_flax(size):
    rng = np.random.default_rng(size)
    x, cotangent = normal(rng, 2, *size, 3), normal(rng, 2, size[0] // 2, size[1] // 2, 3)

    @partial(jax.jit, static_argnums=0, compiler_options=QUICK_COMPILE)
    def value_and_gradient(pool, x):
        y, pull_back = jax.vjp(pool, x)
        return y, pull_back(cotangent)[0]

    flax_pool = partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
    jax.tree.map(np.testing.assert_array_equal, value_and_gradient(max_pool_2x2, x), value_and_gradient(flax_pool, x))


@pytest.mark.parametrize("size", [(2, 8), (5, 7), (4, 9), (1, 1)])
def test_bordered_max_pooling_agrees_with_flax(size):
    x = np.abs(normal(np.random.default_rng(size), 2, *size, 3))
    expected = nn.max_pool(x, window_shape=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    np.testing.assert_array_equal(max_pool_3x3(x), expected)


def lstm_by_hand(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """One direction, one sample and one time step after another, in float64; gates input, forget, cell, output."""

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    hidden = recurrent.shape[0]
    outputs = np.zeros((*x.shape[:2], hidden))
    for sample, sequence in enumerate(x.astype(np.float64)):
        h, c = np.zeros(hidden), np.zeros(hidden)
        for time, frame in enumerate(sequence):
            gates = frame @ kernel + h @ recurrent + bias
            i, f, g, o = (gates[n * hidden : (n + 1) * hidden] for n in range(4))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs[sample, time] = h
    return outputs


def random_weights(rng: np.random.Generator, channels: int, hidden: int) -> LSTMWeights:
    shapes = ((2, channels, 4 * hidden), (2, hidden, 4 * hidden), (2, 4 * hidden))
    return LSTMWeights(*(normal(rng, *shape) for shape in shapes))


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 7), (2, 12)])
def test_bilstm_agrees_with_a_step_by_step_one(batch, steps):
    rng = np.random.default_rng([batch, steps])
    x, weights = normal(rng, batch, steps, 6), random_weights(rng, 6, 5)
    forward = lstm_by_hand(x, *(w[0] for w in weights))
    backward = lstm_by_hand(x[:, ::-1], *(w[1] for w in weights))[:, ::-1]
    expected = np.concatenate([forward, backward], axis=-1)
    np.testing.assert_allclose(jax.jit(bilstm_scan, compiler_options=QUICK_COMPILE)(x, weights), expected, atol=2e-6)


def test_bilstm_gradient_agrees_with_finite_differences():
    rng = np.random.default_rng(5)
    x, weights, cotangent = normal(rng, 2, 4, 3), random_weights(rng, 3, 2), normal(rng, 2, 4, 4)

    def oracle(x: np.ndarray, weights: LSTMWeights) -> float:
        sides = [lstm_by_hand(x, *(w[0] for w in weights)), lstm_by_hand(x[:, ::-1], *(w[1] for w in weights))]
        return float((np.concatenate([sides[0], sides[1][:, ::-1]], axis=-1) * cotangent).sum())

    gradient = jax.grad(lambda x, w: (bilstm_scan(x, w) * cotangent).sum(), argnums=(0, 1))
    gradients = jax.jit(gradient, compiler_options=QUICK_COMPILE)(x, weights)
    leaves, tree = jax.tree.flatten((x, weights))
    directions = [rng.normal(size=leaf.shape) for leaf in leaves]

    def moved(epsilon: float) -> float:
        shifted = [leaf.astype(np.float64) + epsilon * d for leaf, d in zip(leaves, directions, strict=True)]
        return oracle(*jax.tree.unflatten(tree, shifted))

    slope = sum(float((g * d).sum()) for g, d in zip(jax.tree.leaves(gradients), directions, strict=True))
    assert slope == pytest.approx((moved(1e-4) - moved(-1e-4)) / 2e-4, rel=1e-4)
