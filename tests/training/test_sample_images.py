"""Images for TensorBoard show what they say."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ppocr_jax.charset import Charset
from ppocr_jax.config import DetConfig, RecConfig
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, LINE_NORMALIZATION
from ppocr_jax.training import detection, recognition


class SeesTheDark(nn.Module):
    """Text where the image is dark."""

    @nn.compact
    def __call__(self, images, *, train):
        return {"probability": (images.mean(-1) < 0).astype(jnp.float32)}


class ReadsA(nn.Module):
    """Always the first character."""

    @nn.compact
    def __call__(self, images, *, train):
        return {"probabilities": jnp.zeros((len(images), images.shape[2] // 4, 3)).at[..., 1].set(1.0)}


def test_normalized_images_come_back():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for normalization in (DETECTOR_NORMALIZATION, LINE_NORMALIZATION):
        np.testing.assert_array_equal(normalization.inverse(normalization(image)), image)


def test_boxes_and_maps_stand_side_by_side():
    image = np.full((64, 64, 3), 255, np.uint8)
    image[20:44, 10:54] = 0
    target = np.zeros((1, 64, 64), np.uint8)
    target[0, 24:40, 14:50] = 1
    batch = {
        "images": DETECTOR_NORMALIZATION(image)[None],
        "shrink_map": target,
        "threshold_map": np.full((1, 64, 64), 0.5, np.float32),
    }
    show = detection.images(SeesTheDark(), DetConfig())
    (sheet,) = show({}, batch).values()
    assert sheet.shape == (64, 4 * 64, 3)
    red = (sheet[:, :64, 0] > 200) & (sheet[:, :64, 1] < 120)
    rows, columns = np.nonzero(red)
    assert 5 < rows.min() <= 20  # around the dark block, grown a little
    assert 44 <= rows.max() + 1 < 60
    assert columns.min() <= 10
    assert columns.max() + 1 >= 54
    np.testing.assert_array_equal(sheet[:, 64:128, 0], target[0] * 255)
    np.testing.assert_array_equal(sheet[20:44, 128 + 10 : 128 + 54, 0], 255)
    np.testing.assert_array_equal(sheet[:, 192:, 0], 127)


def test_lines_have_their_label_and_reading_below():
    batch = {
        "images": np.zeros((2, 32, 96, 3), np.float32),
        "labels": np.array([[1, 2], [2, 0]], np.int32),
        "lengths": np.array([2, 1], np.int32),
    }
    show = recognition.images(ReadsA(), RecConfig(), Charset(("a", "b")))
    (sheet,) = show({}, batch).values()
    assert sheet.shape == (2 * (32 + 14 + 14), 96, 3)
    label, read = sheet[32:46], sheet[46:60]
    assert (label < 128).sum() > (read < 128).sum() > 0  # "ab" has more ink than "a"
