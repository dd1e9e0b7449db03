import numpy as np
import pytest

from ppocr_jax.synth import degrade
from ppocr_jax.synth.background import photo_crop, photo_paths, smooth_noise
from ppocr_jax.synth.degrade import cast_shadow, glare, uneven_light

INK_FUNCTIONS = [degrade.fade_ink, degrade.break_ink, degrade.spread_ink]
IMAGE_FUNCTIONS = [
    degrade.bleed_through,
    degrade.defocus_blur,
    degrade.fax,
    degrade.glare,
    degrade.gaussian_blur,
    degrade.jpeg,
    degrade.low_resolution,
    degrade.motion_blur,
    degrade.noise,
    degrade.scan_levels,
    degrade.cast_shadow,
    degrade.speckles,
    degrade.tone,
    degrade.uneven_light,
]


@pytest.fixture(scope="module")
def bars():
    image = np.full((24, 90, 3), 235, np.uint8)
    image[4:20, 6:84:8] = 30
    image[4:20, 7:84:8] = 30
    return image


@pytest.mark.parametrize("function", IMAGE_FUNCTIONS)
@pytest.mark.parametrize("size", [(24, 90), (10, 7), (60, 400)])
def test_images_keep_shape_and_type(function, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = image.copy()
    for seed in range(8):
        out = function(np.random.default_rng(seed), image, 0.8 * size[0])
        assert out.shape == image.shape
        assert out.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("function", INK_FUNCTIONS)
def test_ink_keeps_shape_and_stays_visible(function):
    ink = np.zeros((30, 120), np.uint8)
    ink[5:25, 10:110:10] = 255
    ink[5:25, 11:110:10] = 255
    ink[5:25, 12:110:10] = 255
    for seed in range(10):
        out = function(np.random.default_rng(seed), ink.copy(), 22.0)
        assert out.shape == ink.shape
        assert out.sum() > 0.3 * ink.sum()


@pytest.mark.parametrize("kind", ["receipt", "document", "scene"])
def test_bars_stay_apart_from_the_gaps_between_them(bars, kind):
    """Legible: after any combination, bars are on average clearly darker than the gaps."""
    for seed in range(200):
        out = degrade.degrade(np.random.default_rng(seed), bars, 16.0, kind=kind).astype(float)[8:16].mean(axis=(0, 2))
        on_bars, in_gaps = out[6:82:8].mean(), out[10:82:8].mean()
        assert in_gaps - on_bars > 25, seed


def test_degrade_is_reproducible_and_varied(bars):
    outs = [degrade.degrade(np.random.default_rng(s), bars, 16.0).tobytes() for s in (*range(20), *range(20))]
    assert outs[:20] == outs[20:]
    assert len(set(outs)) > 10


def test_paper_shines_through_and_signs_reflect():
    """Glare belongs to scenes, the other side's print and fading to paper."""

    def functions(events):
        return {f for _, choices in events for f in choices}

    paper = {k: functions(degrade.IMAGE_EVENTS[k]) for k in ("receipt", "document")}
    scene = functions(degrade.IMAGE_EVENTS["scene"])
    assert all(degrade.bleed_through in f and degrade.glare not in f for f in paper.values())
    assert degrade.glare in scene
    assert not scene & {degrade.bleed_through, degrade.fax}
    assert degrade.fade_ink not in functions(degrade.INK_EVENTS["scene"])


def test_the_other_side_shines_through_mirrored():
    """A bar near the left edge of the front darkens one place of the rest, and nothing becomes brighter."""
    front = np.full((30, 200, 3), 230, np.uint8)
    front[5:25, 20:26] = 20
    for seed in range(10):
        out = degrade.bleed_through(np.random.default_rng(seed), front, 20.0)
        assert (out <= front).all()
        darker = (front.astype(int) - out).max(axis=2) > 3
        columns = np.flatnonzero(darker.any(axis=0))
        assert 0 < len(columns) < 20
        assert (front.astype(int) - out).max() < 60


def test_smooth_noise_is_smooth_at_the_scale_asked_for():
    rng = np.random.default_rng(0)
    fine, coarse = (smooth_noise(rng, 64, 64, cell) for cell in (1.5, 20))
    assert np.abs(np.diff(coarse)).mean() < 0.3 * np.abs(np.diff(fine)).mean()


def test_photos_are_found_in_order_and_cut_to_size(tmp_path):
    import cv2

    for name, value in (("b.png", 200), ("a.jpg", 100)):
        cv2.imwrite(str(tmp_path / name), np.full((50, 70, 3), value, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    paths = photo_paths([tmp_path])
    assert [p[-5:] for p in paths] == ["a.jpg", "b.png"]
    crop = photo_crop(np.random.default_rng(0), paths[:1], 20, 90)
    assert crop.shape == (20, 90, 3)
    assert crop.mean() == pytest.approx(100, abs=2)
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist.*synthetic\.backgrounds"):
        photo_paths([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    for name in ("empty", "notes.txt"):
        with pytest.raises(ValueError, match=f"{name}: no images"):
            photo_paths([tmp_path, tmp_path / name])


def gray(level):
    return np.full((30, 200, 3), level, np.uint8)


@pytest.mark.parametrize("function", [uneven_light, cast_shadow])
def test_light_multiplies_so_that_contrast_relative_to_brightness_is_kept(function):
    """Under the same light an image half as bright stays half as bright, everywhere."""
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
