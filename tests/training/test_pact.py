"""PACT: the rounding against formulas written out, and whole runs whose int8 files compute what was trained."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from flax import linen as nn

from ppocr_jax.config import ClsConfig, DetConfig, OptimizerConfig, SlimConfig, TrainConfig
from ppocr_jax.config_io import find_config, load_config
from ppocr_jax.errors import UserError
from ppocr_jax.export.model_folder import export_to_folder
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.jax_backend import pad_to_bucket
from ppocr_jax.inference.model_folder import DetectorSpec, load_model_folder
from ppocr_jax.models import MODELS
from ppocr_jax.models.db import DBBranch, NeckConv
from ppocr_jax.models.layers import ConvBN, hard_swish
from ppocr_jax.models.mobilenet_v3 import InvertedResidual, Unit
from ppocr_jax.models.ops import Ops, default_ops
from ppocr_jax.onnx_graph.int8 import LEAST_STORED
from ppocr_jax.training.network import NetworkInTraining, TrainedNetwork
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.pact import QuantizedNetwork, clip, round_map, round_weights, without_clips
from ppocr_jax.training.run import Task, check, fit, prepare
from tests.helpers import QUICK_COMPILE

RNG = np.random.default_rng(0)


def test_clip_and_its_gradients():
    x, alpha = RNG.normal(0, 2, (5, 7)).astype(np.float32), np.float32(1.3)
    assert np.allclose(clip(x, alpha), np.clip(x, -alpha, alpha), atol=1e-6)
    weights = RNG.normal(0, 1, x.shape).astype(np.float32)
    to_x, to_alpha = jax.grad(lambda x, alpha: (weights * clip(x, alpha)).sum(), argnums=(0, 1))(x, alpha)
    assert np.allclose(to_x, weights * (np.abs(x) <= alpha))
    sides = np.where(x > alpha, 1, np.where(x < -alpha, -1, 0))
    assert to_alpha == pytest.approx((weights * sides).sum(), abs=1e-5)


@pytest.mark.parametrize(("low", "high"), [(0.0, 2.5), (-0.375, 6.0), (-3.0, 3.0)])
def test_feature_maps_take_one_of_256_values(low, high):
    x = np.linspace(low - 1, high + 1, 2001, dtype=np.float32)
    step = (high - low) / 255
    zero = round(-low / step)
    expected = (np.clip(np.round(x.astype(np.float64) / step) + zero, 0, 255) - zero) * step
    got = np.asarray(round_map(x, low, high))
    assert len(np.unique(np.round(got / step))) == 256
    assert np.mean(np.abs(got - expected) < 1e-4) > 0.99
    assert np.abs(got - expected).max() <= step * 1.001  # just between two steps
    assert 0.0 in got
    assert np.allclose(jax.grad(lambda x: (3 * round_map(x, low, high)).sum())(x), 3)


def test_weights_of_each_output_have_a_scale_of_their_own():
    weights = RNG.normal(0, 1, (3, 3, 4, 5)).astype(np.float32) * np.array([1, 100, 0.01, 0, 1], np.float32)
    got = np.asarray(round_weights(weights, (0, 1, 2)))
    for k in range(5):
        largest = np.abs(weights[..., k]).max()
        steps = np.round(weights[..., k].astype(np.float64) / largest * 127) if largest else np.zeros((3, 3, 4))
        assert np.allclose(got[..., k], steps * largest / 127, atol=1e-6 * max(largest, 1))
    assert np.allclose(jax.grad(lambda w: (2 * round_weights(w, (0, 1, 2))).sum())(weights), 2)


def test_clip_values_have_an_l2_of_their_own():
    params = {"clips": {"unit": {"map_0": jnp.float32(20)}}, "unit": {"kernel": jnp.ones(2)}}
    tx = make_optimizer(OptimizerConfig(l2=0.0, schedule="constant", learning_rate=0.1), 10, clip_l2=2e-5)
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    assert updates["clips"]["unit"]["map_0"] == pytest.approx(-0.1, rel=1e-2)  # the first step of Adam
    assert np.all(updates["unit"]["kernel"] == 0)


def test_what_a_run_needs_is_asked_for_before_it_begins(tmp_path):
    pact = SlimConfig(pact=True)
    with pytest.raises(UserError, match=r"slim\.pact needs a trained network"):
        check(ClsConfig(slim=pact, train=TrainConfig(work_dir=str(tmp_path))))
    train = TrainConfig(work_dir=str(tmp_path), init="en", compute="bfloat16", key_metric="hmean")
    with pytest.raises(UserError, match=r"requires train\.compute float32"):
        check(DetConfig(slim=pact, train=train))
    with pytest.raises(UserError, match=r"slim\.initial_clip must be positive, not -1"):
        SlimConfig(initial_clip=-1)


class Backbone(nn.Module):
    """The stem, and a unit with squeeze-and-excitation, hard swish and a shortcut; at stride 4."""

    ops: Ops

    @nn.compact
    def __call__(self, images, *, train):
        x = images
        for i, stride in enumerate((2, 1, 2, 1)):
            conv = ConvBN(16, self.ops, kernel=3, strides=(stride, stride), activation=hard_swish, name=f"stem_{i}")
            x = conv(x, train=train)
        unit = Unit(3, 32, 16, True, "hard_swish", (1, 1))
        return InvertedResidual(unit, self.ops, squeeze_excite=True, name="unit")(x, train=train)


class Stem(nn.Module):
    """The four convolutions that compute in float32; the last two have enough weights to be stored as int8."""

    ops: Ops

    @nn.compact
    def __call__(self, images, *, train):
        x = images
        for i, features in enumerate((16, 16, 32, 32)):
            x = ConvBN(features, self.ops, kernel=3, strides=(2, 2), activation=nn.relu, name=f"stem_{i}")(
                x, train=train
            )
        return {"probability": x}


def test_large_weights_of_the_stem_are_rounded_as_the_file_stores_them(monkeypatch):
    monkeypatch.setitem(MODELS, "stem", Stem)
    network, spec = QuantizedNetwork(Stem), DetectorSpec(network="stem")
    images = RNG.normal(0, 1, (1, 32, 32, 3)).astype(np.float32)
    plain = jax.device_get(network.init(jax.random.key(0), images, train=False))
    sizes = [plain["params"][f"stem_{i}"]["kernel"].size for i in range(4)]
    assert [size >= LEAST_STORED for size in sizes] == [False, False, True, True]
    got = network.apply(network.with_clips(plain, spec, 20.0), images, train=False)["probability"]
    rounded = dict(plain["params"])
    for i in (2, 3):
        kernel = round_weights(plain["params"][f"stem_{i}"]["kernel"], (0, 1, 2))
        rounded[f"stem_{i}"] = {**plain["params"][f"stem_{i}"], "kernel": kernel}
    expected = Stem(default_ops()).apply({**plain, "params": rounded}, images, train=False)["probability"]
    unrounded = Stem(default_ops()).apply(plain, images, train=False)["probability"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.abs(expected - unrounded).max() > 1e-3


class Detector(nn.Module):
    """A pyramid of two levels with the real head."""

    ops: Ops

    @nn.compact
    def __call__(self, images, *, train):
        x = Backbone(self.ops, name="backbone")(images, train=train)
        coarse = NeckConv(8, self.ops, kernel=3, strides=(2, 2), name="coarse")(x)
        x = NeckConv(8, self.ops, name="fine")(x) + self.ops.upsample(coarse, 2)
        x = NeckConv(8, self.ops, kernel=3, name="smooth")(x)
        return {"probability": nn.sigmoid(DBBranch(self.ops, name="probability")(x, train=train))}


def objective(network):
    def minimized(params, frozen, batch_stats, batch, rng, step):
        outputs, changed = network.apply(
            {"params": params, "batch_stats": batch_stats}, batch["images"], train=True, mutable=["batch_stats"]
        )
        loss = (next(iter(outputs.values())) ** 2).mean()
        return loss, (changed["batch_stats"], {"squares": loss})

    return minimized


def test_a_run_goes_on_and_is_exported_as_it_was_trained(tmp_path, monkeypatch):
    """Two steps with every kind of layer, in two runs; ONNX Runtime computes the file in integers, and the same."""
    monkeypatch.setitem(MODELS, "small", Detector)
    network, spec = QuantizedNetwork(Detector), DetectorSpec(network="small")
    initialize = jax.jit(partial(network.init, train=False), compiler_options=QUICK_COMPILE)
    plain = jax.device_get(initialize(jax.random.key(0), jnp.zeros((1, 32, 64, 3))))
    variables = network.with_clips(plain, spec, 20.0)

    with pytest.raises(UserError, match="no ranges for int8 yet"):
        TrainedNetwork(spec, variables).function(cut=True)(jnp.zeros((1, 32, 64, 3)))

    def run(steps):
        train = TrainConfig(steps=steps, log_every=1, work_dir=str(tmp_path / "run"), key_metric="score")
        optimizer = OptimizerConfig(learning_rate=1e-3, schedule="constant")  # of one program for any number of steps
        config = DetConfig(slim=SlimConfig(pact=True), optimizer=optimizer, train=train)

        def batches(step):
            return {"images": np.random.default_rng(step).normal(0, 1, (2, 32, 64, 3)).astype(np.float32)}

        parts = {"objective": objective(network), "batches": batches, "evaluate": lambda variables: {}}
        return fit(config, Task(variables=variables, **parts))

    first, second = run(1), run(2)
    for trained, seen in ((first, 1), (second, 1.9)):  # batches, those before count .9
        ranges = jax.tree.leaves(trained["batch_stats"]["ranges"])
        assert all(leaf[0] == pytest.approx(seen) and leaf[1] < leaf[2] for leaf in ranges)
        statistics = without_clips(trained)["batch_stats"]
        assert all(jax.tree.leaves(jax.tree.map(np.array_equal, plain["batch_stats"], statistics)))
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), plain["params"], without_clips(second)["params"])
    assert min(jax.tree.leaves(moved)) > 0  # gradients reach everything through the rounding

    trained = TrainedNetwork(spec, second)
    export_to_folder([trained], tmp_path / "model")
    model = load_model_folder(tmp_path / "model")
    assert model.det.safetensors is None
    assert model.provenance["det"]["int8"] == "pact"
    images = np.random.default_rng(9).normal(0, 1, (2, 32, 96, 3)).astype(np.float32)
    expected, got = trained.compiled()(images), OnnxBackend(model.file("det", "onnx"))(images)
    # While it trains it is scored on images that are padded, which it must not see.
    assert images.shape != pad_to_bucket(images, "det").shape
    read = NetworkInTraining(network, "det").with_variables(second)
    np.testing.assert_allclose(read(images), expected, atol=1e-5)
    rounded = np.abs(expected - TrainedNetwork(spec, without_clips(second)).compiled()(images)).mean()
    # Biases are whole steps in the file alone, so that here and there a value is rounded to its neighbor.
    assert np.abs(got - expected).mean() < 0.4 * rounded

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    file = model.file("det", "onnx").read_bytes()
    onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("QLinearConv") == 7


def test_clip_values_of_a_detector_start_above_those_of_others():
    """Feature maps of the detector's neck are of hundreds, and must not be cut before anything is trained."""
    config = load_config(DetConfig, find_config("det/tiny"))
    for given, start in ((None, 500), (30.0, 30)):
        slim, train = SlimConfig(pact=True, initial_clip=given), replace(config.train, init="en")
        clips = prepare(replace(config, slim=slim, train=train)).variables["params"]["clips"]
        assert {float(leaf) for leaf in jax.tree.leaves(clips)} == {start}
