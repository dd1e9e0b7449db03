"""Fine-tuning: what is taken from other weights, by name, by shape, and by character."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from ppocr_jax.charset import Charset
from ppocr_jax.config import RecConfig, RecDataConfig, RecModelConfig, TrainConfig
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.ops import native_ops
from ppocr_jax.training import trained
from ppocr_jax.training.centers import load_centers
from ppocr_jax.training.network import TrainedNetwork
from ppocr_jax.training.run import prepare, sized_as_start
from ppocr_jax.training.trained import initial_variables, load_start, transfer
from tests.training.tiny_networks import TinyRecognizer

SPEC = RecognizerSpec()
OLD, NEW = Charset(("a", "b", "c")), Charset(("c", "x", "a", " "))


def _head(classes: int, start: float) -> dict:
    kernel = start + np.arange(2 * classes, dtype=np.float32).reshape(2, classes)
    return {"fc2": {"kernel": kernel, "bias": start + np.arange(classes, dtype=np.float32)}}


def _variables(classes: int, start: float) -> dict:
    backbone = {"conv": {"kernel": np.full((3, 3), start, np.float32)}}
    return {"params": {"backbone": backbone, "head": _head(classes, start)}, "batch_stats": {"bn": np.full(2, start)}}


def test_classes_follow_their_characters(caplog):
    source, like = _variables(4, 100.0), _variables(5, 0.0)
    with caplog.at_level(logging.INFO, "ppocr_jax"):
        mapped = transfer(source, like, "old", OLD, NEW)
    head = mapped["params"]["head"]["fc2"]
    # new classes: blank, c, x, a, space <- old classes: blank 0, c 3, none, a 1, none
    np.testing.assert_array_equal(head["bias"], [100, 103, 2, 101, 4])
    np.testing.assert_array_equal(head["kernel"], [[100, 103, 2, 101, 4], [104, 107, 7, 105, 9]])
    np.testing.assert_array_equal(mapped["params"]["backbone"]["conv"]["kernel"], np.full((3, 3), 100))
    assert "characters: 2 kept, 2 (x ) new, 1 (b) dropped" in caplog.text


def test_equal_numbers_of_other_characters_are_mapped_too():
    swapped = Charset(("b", "a", "c"))
    mapped = transfer(_variables(4, 100.0), _variables(4, 0.0), "old", OLD, swapped)
    np.testing.assert_array_equal(mapped["params"]["head"]["fc2"]["bias"], [100, 102, 101, 103])


def test_what_does_not_fit_is_told(caplog):
    source, like = _variables(4, 1.0), _variables(4, 0.0)
    source["params"]["neck"] = {"w": np.ones(3, np.float32)}
    like["params"]["backbone"]["conv"]["kernel"] = np.zeros((5, 5), np.float32)
    with caplog.at_level(logging.WARNING, "ppocr_jax"):
        mapped = transfer(source, like, "run", OLD, OLD)
    assert mapped["params"]["backbone"]["conv"]["kernel"].shape == (5, 5)
    assert "not in run, or of another shape; stay random: params/backbone/conv/kernel" in caplog.text
    assert "in run, but not used: params/backbone/conv/kernel, params/neck/w" in caplog.text


def test_a_part_that_is_not_used_is_named_once(caplog):
    source, like = _variables(4, 1.0), _variables(4, 0.0)
    source["params"]["threshold"] = {f"conv_{i}": {"kernel": np.ones(3, np.float32)} for i in range(13)}
    with caplog.at_level(logging.WARNING, "ppocr_jax"):
        transfer(source, like, "run", OLD, OLD)
    assert [record.getMessage() for record in caplog.records] == ["in run, but not used: threshold (13 arrays)"]


def test_nothing_that_fits_is_an_error():
    with pytest.raises(WeightsError, match=r"nothing in other\.safetensors fits"):
        transfer({"params": {"z": np.ones(2)}}, _variables(4, 0.0), "other.safetensors", None, None)


def test_a_few_arrays_that_fit_by_chance_are_an_error():
    like = _variables(4, 0.0)
    like["params"]["backbone"] |= {f"layer_{i}": {"kernel": np.ones(i, np.float32)} for i in range(27)}
    source = {"params": {"head": _head(4, 1.0)}}
    with pytest.raises(WeightsError, match=r"only 2 of this network's 31 arrays fit in other\.safetensors"):
        transfer(source, like, "other.safetensors", None, None)
    source["batch_stats"], source["params"]["backbone"] = {"bn": np.full(2, 1.0)}, {"layer_3": {"kernel": np.ones(3)}}
    assert transfer(source, like, "other.safetensors", None, None)["batch_stats"]["bn"][0] == 1.0


@pytest.mark.parametrize(("task", "source"), [("det", " of en"), ("rec", "")])
def test_an_int8_network_is_no_start(task, source):
    with pytest.raises(
        UserError, match=rf"only an ONNX file; it is int8: use .* float network{source} \(docs/slimming"
    ):
        load_start("en_tiny", task)


def test_students_start_apart_and_only_the_first_takes_the_head(monkeypatch):
    model = TinyRecognizer(4)
    random = initial_variables(model, SPEC, TrainConfig(seed=3), students=2)
    alone = initial_variables(model, SPEC, TrainConfig(seed=3))
    for ours, stacked in zip(jax.tree.leaves(alone), jax.tree.leaves(random), strict=True):
        np.testing.assert_array_equal(ours, stacked[0])
    kernel = random["params"]["fc2"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01

    source = jax.tree.map(lambda x: jnp.full_like(x, 7.0), dict(alone))
    source = {name: {"backbone": tree, **tree} for name, tree in source.items()}
    network = TrainedNetwork(spec=None, variables=source, charset=OLD)  # type: ignore[arg-type]
    monkeypatch.setattr(trained, "load_trained", lambda path, task: network)

    class WithBackbone:
        def init(self, key, images, *, train):
            variables = model.init(key, images, train=train)
            return {name: {"backbone": tree, **tree} for name, tree in variables.items()}

    start = initial_variables(WithBackbone(), SPEC, TrainConfig(init="x"), students=2, charset=OLD)
    assert (start["params"]["backbone"]["conv"]["kernel"] == 7).all()
    head = np.asarray(start["params"]["fc2"]["kernel"])
    assert (head[0] == 7).all()
    assert not (head[1] == 7).any()


def test_centers_belong_to_characters(tmp_path):
    file = tmp_path / "centers.safetensors"
    save_file({"centers": np.ones((4, 2), np.float32)}, str(file), metadata={"charset": "abc"})
    assert load_centers(str(file), OLD).shape == (4, 2)
    with pytest.raises(WeightsError, match="of other characters"):
        load_centers(str(file), NEW)
    with pytest.raises(WeightsError, match="cannot read centers"):
        load_centers(str(tmp_path / "none.safetensors"), OLD)


def test_a_network_goes_on_with_the_activation_of_its_start(tmp_path, caplog):
    build = partial(build_model, "crnn_lcnet", num_classes=OLD.num_classes, ops=native_ops)
    options = {"num_classes": OLD.num_classes, "activation": "relu"}
    spec = RecognizerSpec(network="crnn_lcnet", options=options)
    lines = jnp.asarray(np.random.default_rng(0).normal(size=(2, 32, 64, 3)), jnp.float32)
    variables = build().init(jax.random.key(0), lines, train=False)
    TrainedNetwork(spec, variables, OLD).save(tmp_path / "relu.safetensors")
    config = RecConfig(train=TrainConfig(init=str(tmp_path / "relu.safetensors")), data=RecDataConfig(height=24))
    with caplog.at_level(logging.INFO, "ppocr_jax"):
        assert sized_as_start(config).model.activation == "relu"
    assert "reads lines 32 pixels high; this training uses 24 (data.height)" in caplog.text
    named = replace(config, model=RecModelConfig(activation="hard_swish"))
    assert sized_as_start(named).model.activation == "hard_swish"
    rows = {a: build(activation=a).apply(variables, lines, train=False)["backbone"] for a in ("relu", "hard_swish")}
    assert rows["relu"].min() == 0 > rows["hard_swish"].min()


def test_there_are_two_activations():
    with pytest.raises(UserError, match="hard_swish or relu, not 'gelu'"):
        prepare(RecConfig(model=RecModelConfig(activation="gelu")))


def test_no_student_starts_from_the_randomness_of_a_step():
    """Step k draws from the seed's key with k folded in."""
    model = TinyRecognizer(4)
    students = initial_variables(model, SPEC, TrainConfig(seed=3), students=3)["params"]["conv"]["kernel"]
    images = jnp.zeros((1, 32, 64, 3))
    for step in range(4):
        key = jax.random.fold_in(jax.random.key(3), step)
        of_step = model.init(key, images, train=False)["params"]["conv"]["kernel"]
        assert all(np.abs(student - of_step).max() > 0.01 for student in students)
