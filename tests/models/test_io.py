"""Weights files."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppocr_jax.convert.paddle import variables_from_paddle
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError, check_same_structure, load_safetensors, save_safetensors


@pytest.fixture(scope="module")
def variables():
    model = build_model("direction_mobilenet_v3")
    return jax.jit(lambda key: model.init(key, jnp.zeros((1, 48, 192, 3)), train=False))(jax.random.key(0))


def test_round_trip(tmp_path, variables):
    save_safetensors(tmp_path / "w.safetensors", variables)
    loaded = load_safetensors(tmp_path / "w.safetensors")
    check_same_structure(loaded, variables, "w")
    jax.tree.map(np.testing.assert_array_equal, loaded, dict(variables))


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights file .*none\.safetensors"):
        load_safetensors(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_safetensors(tmp_path / "text.safetensors")


def test_other_network_is_refused(variables):
    other = {"params": {"head": {"kernel": np.zeros((200, 3))}}}
    with pytest.raises(WeightsError, match=r"does not fit the network: .* and \d+ more"):
        check_same_structure(other, variables, "weights")


def test_paddle_weights_that_lack_a_tensor_are_refused(variables):
    with pytest.raises(WeightsError, match="lack 'backbone"):
        variables_from_paddle({}, variables)


def test_unknown_network_name():
    with pytest.raises(ValueError, match="no network 'nope'; there are crnn_lcnet"):
        build_model("nope")
