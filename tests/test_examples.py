"""The images of `examples/` can be drawn anew."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.synth.fonts import NoFontsError, find_fonts

DRAW = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "draw.py"))
EXAMPLES = DRAW["EXAMPLES"]


@pytest.fixture(scope="module")
def faces():
    try:
        return find_fonts()
    except NoFontsError:
        pytest.skip("no scalable fonts on this machine")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_reproducible(name, faces):
    first, second = EXAMPLES[name](faces), EXAMPLES[name](faces)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8


def test_files_are_small_images(faces, tmp_path):
    import cv2

    paths = DRAW["write_examples"](tmp_path / "new", faces)
    assert [path.name for path in paths] == ["receipt.jpg", "form.jpg", "sign.jpg"]
    for path in paths:
        assert path.stat().st_size <= 250_000
        assert min(cv2.imread(str(path)).shape[:2]) >= 600
