"""Centers are the mean features of the lines read right, class by class."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ppocr_jax.charset import Charset
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.models import MODELS
from ppocr_jax.training.centers import extract_centers, load_centers, save_centers
from ppocr_jax.training.network import TrainedNetwork

CHARSET = Charset(("a", "b", "c"))
LEVELS = {"a": 60, "b": 120, "c": 180}


class Reader(nn.Module):
    """Reads the gray level of each column of 4 pixels; its feature is (level, 1). Nothing to learn."""

    @nn.compact
    def __call__(self, images, *, train):
        level = (images.mean((1, 3)) + 1) / 2 * 255
        level = level.reshape(*level.shape[:1], -1, 4).mean(-1)
        distances = [abs(level - target) for target in (128, *LEVELS.values())]
        logits = -jnp.stack(distances, axis=-1)
        features = jnp.stack([level, jnp.ones_like(level)], axis=-1)
        return {"logits": logits, "features": features, "probabilities": nn.softmax(logits)}


def _line(text: str) -> np.ndarray:
    """8 pixels of each character's level, 8 of the blank's between them."""
    columns = [value for character in text for value in [LEVELS[character]] * 8 + [128] * 8]
    return np.repeat(np.tile(np.array(columns, np.uint8), (32, 1))[..., None], 3, axis=2)


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setitem(MODELS, "reader", lambda ops: Reader())
    return TrainedNetwork(RecognizerSpec(network="reader", min_width=64), {}, CHARSET)


def test_only_lines_read_right_count(network, tmp_path):
    samples = [(_line("abca"), "abca"), (_line("bb"), "bb"), (_line("cc"), "ca")]
    found = extract_centers(network, samples)
    assert (found.lines, found.correct) == (3, 2)
    assert found.counts.tolist()[1:] == [4, 6, 2]  # two frames a character; none of the third line's
    for index, level in enumerate(LEVELS.values(), start=1):
        np.testing.assert_allclose(found.values[index], [level, 1], atol=0.6)
    save_centers(tmp_path / "c.safetensors", found, CHARSET)
    np.testing.assert_array_equal(load_centers(str(tmp_path / "c.safetensors"), CHARSET), found.values)


def test_a_class_never_read_keeps_a_random_center_of_the_seed(network):
    samples = [(_line("ab"), "ab")]
    first, again, other = (extract_centers(network, samples, seed=seed) for seed in (1, 1, 2))
    assert first.counts[3] == 0
    np.testing.assert_array_equal(first.values[3], again.values[3])
    assert not np.allclose(first.values[3], other.values[3])


def test_a_recognizer_that_reads_nothing_right_gives_no_centers(network):
    with pytest.raises(UserError, match="none of 1 lines was recognized as labeled"):
        extract_centers(network, [(_line("ab"), "ba")])
