import numpy as np
import pytest

from ppocr_jax.synth.lighting import cast_shadow, glare, uneven_light


@pytest.mark.parametrize("function", [uneven_light, cast_shadow, glare])
@pytest.mark.parametrize("size", [(24, 90), (10, 7), (60, 400)])
def test_shape_type_and_input_are_kept(function, size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = picture.copy()
    for seed in range(8):
        out = function(np.random.default_rng(seed), picture, 0.8 * size[0])
        assert out.shape == picture.shape
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(picture, before)


def gray(level):
    return np.full((30, 200, 3), level, np.uint8)


@pytest.mark.parametrize("function", [uneven_light, cast_shadow])
def test_light_multiplies_so_that_contrast_relative_to_brightness_is_kept(function):
    """Under the same light a picture half as bright stays half as bright, everywhere."""
    for seed in range(20):
        bright, dark = (function(np.random.default_rng(seed), gray(v), 24.0).astype(float) for v in (160, 80))
        np.testing.assert_allclose(bright[bright < 254] / 2, dark[bright < 254], atol=1)


def test_light_is_uneven_and_smooth():
    for seed in range(30):
        out = uneven_light(np.random.default_rng(seed), gray(160), 24.0).astype(float)
        assert 6 < np.ptp(out) < 140
        assert np.abs(np.diff(out, axis=1)).max() < 12
        assert np.abs(np.diff(out, axis=0)).max() < 12
        assert out.min() > 0.4 * 160


def test_shadows_darken_a_part_at_most_by_half():
    outs = [cast_shadow(np.random.default_rng(seed), gray(200), 24.0) for seed in range(60)]
    assert all(out.max() <= 200 and out.min() >= 99 for out in outs)
    partly = [out.max() > 195 and out.min() < 185 for out in outs]
    assert np.mean(partly) > 0.4


def test_glare_brightens_spots_and_leaves_ink_darker_than_paper():
    for seed in range(40):
        ink, paper = (glare(np.random.default_rng(seed), gray(v), 24.0).astype(float) for v in (20, 200))
        assert (ink >= 20).all()
        assert (paper >= 199).all()
        assert ink.max() > 40
        assert (paper - ink).min() > 0.4 * 180
