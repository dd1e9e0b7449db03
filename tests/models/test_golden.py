"""The networks against outputs of the reference implementation with deterministic weights."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.convert.paddle import network_of, paddle_names, variables_from_paddle
from ppocr_jax.models.ops import cpu_ops, native_ops
from tests.helpers import QUICK_COMPILE, golden_tensors
from tests.models.reference import GOLDEN, description, model_and_shapes

OPS = {"cpu": cpu_ops, "native": native_ops}
# The forms that each network is differentiated in. Compiled well they all agree with the reference; compiled quickly,
# rounding moves an activation of the detector across a kink, and with it a gradient by 1.1e-3 in the CPU forms.
TRAINED = {"det_student": "native", "rec_v2_c97": "cpu", "cls": "cpu"}


@cache
def golden(name):
    with np.load(GOLDEN / "nets.npz") as arrays:
        return {k.removeprefix(name + "."): arrays[k] for k in arrays.files if k.startswith(name + ".")}


@cache
def model_and_variables(name, ops="cpu"):
    model, shapes = model_and_shapes(name, OPS[ops])
    return model, variables_from_paddle(golden_tensors(description(name)), shapes)


def nhwc(name):
    return golden(name)["x"].transpose(0, 2, 3, 1)


@cache
def evaluated(name, ops="cpu"):
    model, variables = model_and_variables(name, ops)
    apply = jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=QUICK_COMPILE)
    return {k: np.asarray(v) for k, v in apply(variables, nhwc(name)).items()}


@cache
def trained(name):
    """Train-mode outputs, running statistics after one forward pass, loss and gradients."""
    model, variables = model_and_variables(name, TRAINED[name])

    def loss_of(params):
        outputs, changed = model.apply(
            {"params": params, "batch_stats": variables["batch_stats"]}, nhwc(name), train=True, mutable=["batch_stats"]
        )
        maps = [outputs[k] for k in ("probability", "threshold", "binary") if k in outputs]
        output = jnp.stack(maps, axis=1) if maps else outputs["logits"]
        return (output**2).mean(), (output, changed["batch_stats"])

    # Without any optimization sums run in order, and their rounding shows as well.
    quick = {**QUICK_COMPILE, "xla_backend_optimization_level": 1}
    step = jax.jit(jax.value_and_grad(loss_of, has_aux=True), compiler_options=quick)
    (loss, (output, stats)), gradients = step(variables["params"])
    return float(loss), np.asarray(output), stats, gradients


@pytest.mark.parametrize("ops", OPS)
def test_detector_map(ops):
    np.testing.assert_allclose(
        evaluated("det_student", ops)["probability"], golden("det_student")["eval_out"][:, 0], atol=1e-4
    )


@pytest.mark.parametrize("ops", OPS)
def test_recognizer_outputs(ops):
    ours, theirs = evaluated("rec_v2_c97", ops), golden("rec_v2_c97")
    np.testing.assert_allclose(ours["backbone"], theirs["eval_backbone"][:, :, 0].transpose(0, 2, 1), atol=1e-4)
    np.testing.assert_allclose(ours["features"], theirs["eval_fc1"], atol=1e-4)
    np.testing.assert_allclose(ours["logits"], theirs["eval_logits"], atol=1e-4)
    np.testing.assert_allclose(ours["probabilities"], theirs["eval_out"], atol=1e-4)


def test_recognizer_with_the_chinese_set():
    ours, theirs = evaluated("rec_v2")["probabilities"], golden("rec_v2")
    np.testing.assert_allclose(ours.max(-1), theirs["eval_out_max"], atol=1e-4)
    np.testing.assert_allclose(ours[..., :64], theirs["eval_out_first64"], atol=1e-4)
    assert (ours.argmax(-1) == theirs["eval_out_argmax"]).mean() > 0.99


def test_classifier_outputs():
    np.testing.assert_allclose(evaluated("cls")["probabilities"], golden("cls")["eval_out"], atol=1e-4)


@pytest.mark.parametrize("name", TRAINED)
def test_train_mode_outputs(name):
    _, ours, _, _ = trained(name)
    theirs = golden(name)["train_out"]
    if name == "det_student":
        np.testing.assert_allclose(ours[:, :2], theirs[:, :2], atol=1e-3)
        # The binary map multiplies differences by k = 50.
        assert np.abs(ours[:, 2] - theirs[:, 2]).mean() < 1e-3
    else:
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("name", TRAINED)
def test_running_statistics_after_one_step(name):
    _, variables = model_and_variables(name)
    names = _paddle_to_ours(variables, "batch_stats")
    stats = traverse_util.flatten_dict(trained(name)[2])
    for buffer, norm in zip(description(name)["bn_after"], golden(name)["bn_after_norm"], strict=True):
        assert np.linalg.norm(stats[names[buffer]]) == pytest.approx(float(norm), rel=1e-4), buffer


@pytest.mark.parametrize("name", TRAINED)
def test_gradients(name):
    loss, _, _, gradients = trained(name)
    theirs = golden(name)
    assert loss == pytest.approx(float(theirs["train_loss"]), rel=1e-3)
    _, variables = model_and_variables(name)
    names = _paddle_to_ours(variables, "params", with_direction=True)
    flat = traverse_util.flatten_dict(gradients)
    for tensor, norm in zip(description(name)["grad_names"], theirs["grad_norm"], strict=True):
        path, direction = names[tensor]
        ours = flat[path] if direction is None else flat[path][direction]
        if norm > 1e-6:  # smaller ones are rounding noise: biases in front of batch norm
            assert np.linalg.norm(ours) == pytest.approx(float(norm), rel=1e-3), tensor


def _paddle_to_ours(variables, collection, *, with_direction=False):
    network = network_of(variables)
    names = {}
    for path in traverse_util.flatten_dict(variables[collection]):
        tensors = paddle_names(path, network)
        for i, tensor in enumerate(tensors):
            names[tensor] = (path, i if len(tensors) > 1 else None) if with_direction else path
    return names
