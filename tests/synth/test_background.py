import numpy as np
import pytest

from ppocr_jax.synth import background
from ppocr_jax.synth.background import normal_window

COLOR = np.array([120.0, 140.0, 90.0], np.float32)


@pytest.mark.parametrize("draw", [background.gradient, background.paper, background.plaster, background.print_pattern])
def test_grounds_are_about_their_color_and_not_flat(draw):
    images = [draw(np.random.default_rng(seed), COLOR, 32, 160) for seed in range(40)]
    for image in images:
        assert image.shape == (32, 160, 3)
        assert image.dtype == np.float32
        np.testing.assert_allclose(image.mean(axis=(0, 1)), COLOR, atol=32)
        assert image.std(axis=(0, 1)).max() < 32
    assert np.mean([p.std(axis=(0, 1)).max() > 0.5 for p in images]) > 0.9


def test_a_flat_ground_has_one_color():
    np.testing.assert_array_equal(np.unique(background.flat(COLOR, 5, 9).reshape(-1, 3), axis=0), COLOR[None])


def test_a_ramp_is_even_and_spans_its_range():
    for seed in range(20):
        ramp = background.ramp(np.random.default_rng(seed), 30, 70)
        assert ramp.shape == (30, 70)
        for axis in (0, 1):
            steps = np.diff(ramp, axis=axis)
            np.testing.assert_allclose(steps, steps.flat[0], atol=1e-5)
        assert abs(ramp.mean()) < 0.03
        assert 0.9 < np.ptp(ramp) < 1.45  # one along an axis, the root of two along the diagonal


@pytest.mark.parametrize("size", [(40, 200), (1024, 10), (1200, 30)])
def test_noise_is_standard_normal_and_a_function_of_the_generator(size):
    windows = [normal_window(np.random.default_rng(seed), *size) for seed in (1, 1, 2)]
    assert windows[0].shape == size
    assert windows[0].dtype == np.float32
    assert abs(windows[0].mean()) < 0.06
    assert windows[0].std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(windows[0], windows[1])
    assert not np.array_equal(windows[0], windows[2])
