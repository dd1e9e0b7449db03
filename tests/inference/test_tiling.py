"""Maps of large images, tile by tile."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.backends import make_backend
from ppocr_jax.inference.detect import tiled_map
from ppocr_jax.inference.model_folder import load_model_folder

OVERLAP = 64
MARGIN = OVERLAP // 4  # of an overlap, where a tile may be wrong


@given(st.integers(1, 40), st.integers(1, 40), st.integers(4, 9))
def test_every_pixel_comes_from_inside_a_tile(rows: int, columns: int, side: int):
    """The network answers with the place of each pixel; near a tile's border inside the image it answers nonsense."""
    height, width, most, margin = 32 * rows, 32 * columns, (32 * side) ** 2, MARGIN
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    areas = []

    def run(part: np.ndarray) -> np.ndarray:
        h, w, _ = part.shape
        areas.append(h * w)
        assert h % 32 == w % 32 == 0
        y, x = part[..., 0], part[..., 1]
        answer = y * 2048 + x
        answer[:margin][y[:margin] >= margin] = answer[h - margin :][y[h - margin :] < height - margin] = -1
        answer[:, :margin][x[:, :margin] >= margin] = -1
        answer[:, w - margin :][x[:, w - margin :] < width - margin] = -1
        return answer

    found = tiled_map(run, np.stack([ys, xs, ys], axis=2), most=most, overlap=OVERLAP)
    np.testing.assert_array_equal(found, ys * 2048 + xs)
    assert max(areas) <= most


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_tiles_are_joined_where_no_text_is(seed: int, across: bool):
    """Every tile sees its lines of text brighter than its neighbors do: a line that a seam crosses shows both."""
    rng = np.random.default_rng(seed)
    image = np.zeros((960, 160, 3), np.float32)
    pitch = int(rng.integers(12, 31))
    for top in range(int(rng.integers(0, pitch)), 960, pitch):
        image[top : top + pitch - 4, 16:144] = 0.5
    if across:
        image = image.transpose(1, 0, 2)
    calls = iter(range(1, 100))
    found = tiled_map(lambda part: part[..., 0] * (1 + 0.1 * next(calls)), image, most=320 * 160, overlap=OVERLAP)
    lines = (found.T if across else found)[:, 80]
    edges = np.flatnonzero(np.diff(lines)) + 1
    assert all(lines[a - 1] == 0 or lines[a] == 0 for a in edges)
    assert len(np.unique(lines)) > 3


@pytest.mark.parametrize(("height", "width", "tiles"), [(1472, 736, 2), (960, 736, 1), (736, 1472, 2), (1472, 1472, 4)])
def test_tiles_are_few(height: int, width: int, tiles: int):
    areas = []
    tiled_map(
        lambda part: areas.append(part.shape[0] * part.shape[1]) or part[..., 0],
        np.zeros((height, width, 3), np.float32),
    )
    assert len(areas) == tiles
    assert sum(areas) < 1.3 * height * width


def test_useless_tiles_are_refused():
    with pytest.raises(ValueError, match="too few for tiles"):
        tiled_map(lambda part: part[..., 0], np.zeros((320, 320, 3), np.float32), most=64 * 64, overlap=64)


def test_the_detector_sees_in_tiles_what_it_sees_at_once():
    detector = make_backend(load_model_folder("en"), "det", threads=1)
    image = np.random.default_rng(0).normal(size=(96, 96, 3)).astype(np.float32).repeat(8, 0).repeat(8, 1)
    whole = detector(image[None])[0]
    tiles = tiled_map(lambda part: detector(part[None])[0], image, most=512 * 512, overlap=256)
    # What lies beyond the overlap reaches the middle of a tile only through squeeze-and-excite, which sees all of it.
    assert np.abs(tiles - whole).max() < 0.04
