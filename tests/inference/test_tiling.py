"""Maps of large pictures, tile by tile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.backends import make_backend
from ppocr_jax.inference.bundle import load_bundle
from ppocr_jax.inference.tiling import tiled_map


@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 9))
def test_every_pixel_comes_from_inside_a_tile(rows: int, columns: int, tile: int):
    """The network answers with the place of each pixel; near a tile's border inside the picture it answers nonsense."""
    height, width, side, margin = 32 * rows, 32 * columns, 32 * tile, 16
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    sizes = []

    def run(images: np.ndarray) -> np.ndarray:
        _, h, w, _ = images.shape
        sizes.append(max(h, w))
        y, x = images[0, ..., 0], images[0, ..., 1]
        answer = y * 2048 + x
        answer[:margin][y[:margin] >= margin] = answer[h - margin :][y[h - margin :] < height - margin] = -1
        answer[:, :margin][x[:, :margin] >= margin] = -1
        answer[:, w - margin :][x[:, w - margin :] < width - margin] = -1
        return answer[None]

    found = tiled_map(run, np.stack([ys, xs, ys], axis=2), whole=0, tile=side, overlap=64)
    np.testing.assert_array_equal(found, ys * 2048 + xs)
    assert max(sizes) <= side


@pytest.mark.parametrize("tile", [64, 100])
def test_useless_tiles_are_refused(tile: int):
    with pytest.raises(ValueError, match="multiple of 32"):
        tiled_map(lambda images: images[..., 0], np.zeros((320, 320, 3), np.float32), whole=0, tile=tile, overlap=64)


def test_the_detector_sees_in_tiles_what_it_sees_at_once():
    detector = make_backend(load_bundle("en"), "det", threads=1)
    picture = np.random.default_rng(0).normal(size=(96, 96, 3)).astype(np.float32).repeat(8, 0).repeat(8, 1)
    whole = detector(picture[None])[0]
    tiles = tiled_map(detector, picture, whole=0, tile=512, overlap=256)
    assert np.abs(tiles - whole).max() < 0.02
