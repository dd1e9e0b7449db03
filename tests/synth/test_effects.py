import numpy as np
import pytest

from ppocr_jax.synth.effects import FINISHES, LUMINANCE, contrasting_color, finished, two_color_ink

INK, PAPER = np.array([30.0, 60.0, 20.0], np.float32), np.array([190.0, 180.0, 200.0], np.float32)
HEIGHT = 40.0


@pytest.fixture(scope="module")
def bar():
    """Opacity of an upright bar 12 pixels wide in the middle of an image."""
    opacity = np.zeros((60, 80), np.float32)
    opacity[10:50, 34:46] = 1
    return opacity


def draw(name, seed, opacity, ink=INK, paper=PAPER):
    ground = np.broadcast_to(paper, (*opacity.shape, 3)).copy()
    return finished(np.random.default_rng(seed), name, ground, opacity, ink, HEIGHT)


@pytest.mark.parametrize("name", FINISHES)
def test_only_the_surroundings_of_letters_change(name, bar):
    for seed in range(10):
        image = draw(name, seed, bar)
        assert image.shape == (60, 80, 3)
        assert image.dtype == np.uint8
        # Farther off than any edge or shadow reaches (shadows: 0.12 + 4 x 0.08 text heights).
        np.testing.assert_array_equal(image[:, :14], np.broadcast_to(PAPER.astype(np.uint8), (60, 14, 3)))


@pytest.mark.parametrize("name", ["plain", "outline", "shadow"])
def test_filled_letters_have_the_color_of_the_ink(name, bar):
    for seed in range(5):
        np.testing.assert_allclose(draw(name, seed, bar)[28:32, 38:42].reshape(-1, 3), np.tile(INK, (16, 1)), atol=1)


def test_an_outline_stands_out_from_its_letter(bar):
    for seed in range(20):
        image = draw("outline", seed, bar).astype(float) @ LUMINANCE
        assert abs(image[30, 33] - image[30, 40]) > 60
        assert abs(image[30, 46] - image[30, 40]) > 60


def test_hollow_letters_have_edges_of_ink_and_a_face_like_their_ground(bar):
    for seed in range(20):
        image = draw("hollow", seed, bar).astype(float)
        np.testing.assert_allclose(image[30, 33], INK, atol=1)
        np.testing.assert_allclose(image[30, 46], INK, atol=1)
        face = image[30, 40] @ LUMINANCE
        assert face > (0.3 * INK + 0.7 * PAPER) @ LUMINANCE


def test_raised_and_cut_letters_are_lit_from_opposite_sides(bar):
    for seed in range(10):
        raised, cut = (draw(name, seed, bar).astype(float)[30] @ LUMINANCE for name in ("emboss", "engrave"))
        slope_raised, slope_cut = raised[32:36].mean() - raised[44:48].mean(), cut[32:36].mean() - cut[44:48].mean()
        assert slope_raised * slope_cut <= 0
        # One of the letter's two pairs of sides, at least, is far from the other in brightness.
        column = draw("emboss", seed, bar).astype(float)[:, 40] @ LUMINANCE
        assert max(abs(slope_raised), abs(column[8:12].mean() - column[48:52].mean())) > 20


def test_a_shadow_is_darker_than_the_ground_and_brighter_than_dark_ink(bar):
    for seed in range(20):
        image = draw("shadow", seed, bar).astype(float) @ LUMINANCE
        outside = image[bar == 0]
        assert outside.min() < PAPER @ LUMINANCE - 10
        assert outside.min() > INK @ LUMINANCE + 40


@pytest.mark.parametrize(("ink", "paper"), [(INK, PAPER), (PAPER, INK)])
def test_both_colors_of_an_ink_stand_out_from_the_paper(ink, paper):
    side = np.sign((ink - paper) @ LUMINANCE)
    fields = [two_color_ink(np.random.default_rng(seed), ink, paper, 20, 60) for seed in range(40)]
    for field in fields:
        assert field.shape == (20, 60, 3)
        assert (side * ((field - paper) @ LUMINANCE)).min() > 69
    varied_down = [np.abs(f[0] - f[-1]).max() > 1 for f in fields]
    varied_along = [np.abs(f[:, 0] - f[:, -1]).max() > 1 for f in fields]
    assert any(varied_down)
    assert any(varied_along)
    assert not any(np.logical_and(varied_down, varied_along))


def test_contrasting_colors_are_far_in_luminance():
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(300):
        color = rng.uniform(0, 255, 3)
        gaps.append(abs(float((contrasting_color(rng, color) - color) @ LUMINANCE)))
    assert min(gaps) > 69
    assert max(gaps) > 150
