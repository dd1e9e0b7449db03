import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.config import ClsConfig, ClsModelConfig, RecConfig, RecModelConfig, TaskConfig, TrainConfig
from ppocr_jax.config_io import save_config, to_dict
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import ClassifierSpec, NetworkSpec, RecognizerSpec
from ppocr_jax.models import MODELS, build_model
from ppocr_jax.models.io import WeightsError, save_safetensors
from ppocr_jax.models.ops import native_ops
from ppocr_jax.training.network import input_size, variable_shapes
from ppocr_jax.training.tasks import TASKS
from ppocr_jax.training.trained import load_trained
from tests.export.conftest import random_variables

CLS = ClassifierSpec(network="direction_mobilenet_v3", options={"scale": 0.35})


@pytest.fixture(scope="module")
def variables() -> dict:
    return random_variables(CLS)


@pytest.fixture
def run_folder(tmp_path, variables):
    """What a finished training leaves, without its checkpoints."""
    save_config(ClsConfig(), tmp_path / "config.json")
    save_safetensors(tmp_path / "cls.safetensors", variables)
    return tmp_path


def test_folder_without_checkpoints(run_folder, variables):
    network = load_trained(run_folder)
    assert (network.spec, network.charset) == (CLS, None)
    np.testing.assert_equal(network.variables, variables)
    assert network.origin == {"from": "cls.safetensors"}


def test_best_checkpoint(tmp_path, variables):
    from ppocr_jax.training.checkpoint import Checkpointer
    from ppocr_jax.training.optimizer import make_optimizer
    from ppocr_jax.training.step import create_state

    config = ClsConfig(train=TrainConfig(steps=10))
    save_config(config, tmp_path / "config.json")
    state = jax.jit(lambda: create_state(variables, make_optimizer(config.optimizer, 10)))()
    with Checkpointer(tmp_path / "checkpoints", key_metric="accuracy", config=to_dict(config)) as checkpointer:
        for step, accuracy in ((1, 0.2), (2, 0.9), (3, 0.4)):
            params = {
                **state.params,
                "head": {"kernel": state.params["head"]["kernel"], "bias": np.full(2, step, np.float32)},
            }
            checkpointer.save(state.replace(step=np.int32(step), params=params), {"accuracy": accuracy})
    network = load_trained(tmp_path)
    assert network.origin["step"] == 2
    expected = {**variables["params"]["head"], "bias": np.full(2, 2, np.float32)}
    np.testing.assert_equal(network.variables["params"], variables["params"] | {"head": expected})


def test_weights_beside_a_config(run_folder):
    """Described by the run, whatever the file is called."""
    (run_folder / "cls.safetensors").rename(run_folder / "averaged.safetensors")
    assert load_trained(run_folder / "averaged.safetensors").spec == CLS


def test_lone_weights_need_a_task(tmp_path, variables):
    path = tmp_path / "weights.safetensors"
    save_safetensors(path, variables)
    with pytest.raises(UserError, match="add --task"):
        load_trained(path)
    assert load_trained(path, task="cls").spec == CLS
    with pytest.raises(WeightsError, match="does not fit the network"):
        load_trained(path, task="det")


def test_charset_of_a_recognizer(tmp_path):
    Charset(tuple("abc")).save(tmp_path / "abc.txt")
    config = RecConfig(model=RecModelConfig(charset=str(tmp_path / "abc.txt"), scale=0.25, hidden=8))
    options = {"num_classes": 4, "scale": 0.25, "hidden": 8}
    save_config(config, tmp_path / "config.json")
    save_safetensors(
        tmp_path / "rec.safetensors", random_variables(RecognizerSpec(network="crnn_lcnet", options=options))
    )
    network = load_trained(tmp_path)
    assert (network.spec.options, network.charset) == (options, Charset(tuple("abc")))
    with pytest.raises(WeightsError, match="head/fc2"):
        load_trained(tmp_path, charset="en")
    (tmp_path / "abc.txt").unlink()
    with pytest.raises(UserError, match="--charset"):
        load_trained(tmp_path)


def test_lone_recognizer_needs_a_charset(tmp_path):
    save_safetensors(tmp_path / "rec.safetensors", {"params": {"kernel": np.zeros(3, np.float32)}})
    with pytest.raises(UserError, match="add --charset"):
        load_trained(tmp_path / "rec.safetensors")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "is not a training run"),
        ("{", "is not a training run: .*is not valid json"),
        ("[]", "is not a training run: .*is not a table"),
        ('{"task": "seg"}', "does not state the task of the run"),
        ('{"model": {"name": "db_mobilenet_v3"}}', "does not state the task of the run"),
        ('{"task": "cls", "model": {"name": "direction_mobilenet_v3", "scal": 1}}', 'did you mean "scale"'),
        ('{"task": "cls", "model": {"name": "resnet"}}', "neither checkpoints nor cls.safetensors"),
        (json.dumps(to_dict(ClsConfig())), "neither checkpoints nor cls.safetensors"),
    ],
)
def test_folders_that_are_no_runs(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=message) as error:
        load_trained(tmp_path)
    assert "\n" not in str(error.value)


def test_networks_that_are_not_there(run_folder):
    config = ClsConfig(model=ClsModelConfig(name="resnet"))
    save_config(config, run_folder / "config.json")
    with pytest.raises(UserError, match=r"a network 'resnet', which this version does not know.*MODELS"):
        load_trained(run_folder)


def specs_of(name: str) -> Iterator[tuple[TaskConfig, NetworkSpec, dict]]:
    """Yield a configuration, a description and variables of zeros for each task that the network can be trained for."""
    for kind in TASKS.values():
        config = kind.config()
        config = replace(config, model=replace(config.model, name=name))
        charset = load_charset(config.charset_name) if config.charset_name else None
        spec = kind.network_spec(config, charset)
        try:
            model = build_model(spec.network, ops=native_ops, **spec.options)
            height, width = (side or 64 for side in input_size(spec))
            initialize = partial(
                model.init_with_output, images=np.zeros((1, height, width, 3), np.float32), train=False
            )
            outputs, shapes = jax.eval_shape(initialize, jax.random.key(0))
        except (TypeError, ValueError):  # the network lacks an option, wants another, or does not take such images
            continue
        if spec.output in outputs:
            yield config, spec, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


@pytest.mark.parametrize("name", MODELS)
def test_every_registered_network_is_found_again(tmp_path, name):
    """As a teacher, a start, an export: what a run of any network leaves is that network with its own options."""
    tasks = []
    for config, spec, zeros in specs_of(name):
        folder = tmp_path / config.task
        folder.mkdir()
        save_config(config, folder / "config.json")
        save_safetensors(folder / f"{config.task}.safetensors", zeros)
        assert load_trained(folder, task=config.task).spec == spec
        tasks.append(config.task)
    assert tasks


def test_files_that_are_no_weights(tmp_path, run_folder):
    with pytest.raises(UserError, match="no training run or weights file"):
        load_trained(tmp_path / "missing")
    with pytest.raises(UserError, match="contains a 'cls' network, not 'det'"):
        load_trained(run_folder, task="det")
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        load_trained(tmp_path / "broken.safetensors", task="cls")
    foreign = tmp_path / "best_accuracy.pdparams"
    foreign.write_bytes(b"a pickle")
    with pytest.raises(UserError, match=r"ppocr-jax convert .*best_accuracy\.pdparams --output best_accuracy\.saf"):
        load_trained(foreign, task="rec")
    half = tmp_path / "elsewhere" / "half.safetensors"
    half.parent.mkdir()
    save_safetensors(half, {"params": np.zeros(1, np.float32)}, metadata={"spec": "{}x", "task": "cls"})
    with pytest.raises(UserError, match=r"the description inside .* is broken"):
        load_trained(half)


def test_variable_shapes_agree_with_what_initializing_gives():
    shapes = variable_shapes(CLS)
    assert shapes["params"]["head"]["kernel"].shape == (200, 2)
