"""The shifted depthwise convolution and its two hand-written gradients against XLA's grouped convolution."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.models.depthwise import depthwise_conv_shifted
from ppocr_jax.models.ops import depthwise_conv_native
from tests.helpers import QUICK_COMPILE

KERNELS = (3, 5)
STRIDES = ((1, 1), (2, 1), (2, 2))
CHANNELS = 3
# Sums of up to 25 taps and, for the kernel, of a few thousand pixels, in another order than XLA's.
TOLERANCE = 2e-5


# Every case compiles anew and runs once, so optimizing would only cost time.
@partial(jax.jit, static_argnums=(0, 4), compiler_options=QUICK_COMPILE)
def value_and_gradients(convolve, x, kernel, cotangent, strides):
    """Output, input gradient and kernel gradient of a depthwise convolution."""
    y, pull_back = jax.vjp(lambda x, k: convolve(x, k, strides), x, kernel)
    return y, *pull_back(cotangent)


def assert_agrees_with_native(batch: int, height: int, width: int, kernel: int, strides: tuple[int, int]) -> None:
    rng = np.random.default_rng([batch, height, width, kernel, *strides])
    x = rng.normal(size=(batch, height, width, CHANNELS)).astype(np.float32)
    weights = rng.normal(size=(kernel, kernel, CHANNELS)).astype(np.float32)
    out_shape = (batch, -(-height // strides[0]), -(-width // strides[1]), CHANNELS)
    cotangent = rng.normal(size=out_shape).astype(np.float32)
    ours = value_and_gradients(depthwise_conv_shifted, x, weights, cotangent, strides)
    native = value_and_gradients(depthwise_conv_native, x, weights, cotangent, strides)
    for name, got, expected in zip(("output", "input gradient", "kernel gradient"), ours, native, strict=True):
        assert got.shape == expected.shape, name
        scale = float(np.abs(expected).max())
        np.testing.assert_allclose(got, expected, rtol=0, atol=TOLERANCE * scale, err_msg=name)


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [
        pytest.param(4, 8, 12, id="even"),
        pytest.param(3, 9, 7, id="odd"),
        pytest.param(8, 2, 10, id="two-rows"),
        pytest.param(2, 1, 5, id="one-row"),
    ],
)
def test_value_and_gradients_agree_with_the_native_convolution(batch, height, width, kernel, strides):
    assert_agrees_with_native(batch, height, width, kernel, strides)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 9),
    height=st.integers(1, 11),
    width=st.integers(1, 13),
    kernel=st.sampled_from(KERNELS),
    strides=st.sampled_from(STRIDES),
)
def test_agrees_for_any_size(batch, height, width, kernel, strides):
    assert_agrees_with_native(batch, height, width, kernel, strides)


@pytest.mark.parametrize("height", [3, 4, 5])
def test_agrees_on_both_sides_of_the_row_unrolling(height):
    assert_agrees_with_native(6, height, 9, 5, (1, 1))


def test_a_single_tap_moves_the_image():
    """By hand: a kernel with a 1 beside its center copies the neighbor and leaves zeros at the border."""
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    right_neighbor = np.zeros((3, 3, 1), np.float32)
    right_neighbor[1, 2] = 1
    moved = np.asarray(depthwise_conv_shifted(x, right_neighbor, (1, 1)))[0, :, :, 0]
    np.testing.assert_array_equal(moved, [[1, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]])
