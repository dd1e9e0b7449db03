import numpy as np
import pytest

from ppocr_jax.synth.examples import EXAMPLES, write_examples


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_reproducible(name, faces):
    first, second = EXAMPLES[name](faces), EXAMPLES[name](faces)
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.uint8


def test_files_are_small_pictures(faces, tmp_path):
    import cv2

    paths = write_examples(tmp_path / "new", faces)
    assert [path.name for path in paths] == ["receipt.jpg", "form.jpg", "sign.jpg"]
    for path in paths:
        assert path.stat().st_size <= 250_000
        assert min(cv2.imread(str(path)).shape[:2]) >= 600
