"""Weights files."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from safetensors import safe_open

from ppocr_jax.models.io import WeightsError, check_same_structure, load_safetensors, save_safetensors
from tests.models.reference import model_and_shapes


@pytest.fixture(scope="module")
def variables():
    """Of the direction classifier, random."""
    rng = np.random.default_rng(0)
    _, shapes = model_and_shapes("cls")
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)


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


def test_equal_contents_give_equal_files(tmp_path):
    arrays = {"params": {"a": {"kernel": np.ones((2, 3), np.float32)}}}
    metadata = {name: f"{name} – ä" for name in ["spec", "task", "version", "charset", "origin"]}
    for i in range(8):
        save_safetensors(tmp_path / f"{i}.safetensors", arrays, metadata=metadata)
    files = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 1
    with safe_open(tmp_path / "0.safetensors", "numpy") as stored:
        assert stored.metadata() == metadata
    np.testing.assert_array_equal(load_safetensors(tmp_path / "0.safetensors")["params"]["a"]["kernel"], 1)
