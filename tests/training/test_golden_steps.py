"""Three optimizer steps of whole networks against the reference implementation, from deterministic weights.

What they check together: network and BatchNorm in train mode, loss, gradients, coupled L2, Adam, and the step itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.config import OptimizerConfig
from ppocr_jax.convert.paddle import network_of, paddle_names, variables_from_paddle
from ppocr_jax.losses.ctc import ctc_loss
from ppocr_jax.losses.db import db_loss
from ppocr_jax.models import build_model
from ppocr_jax.training.optimizer import make_optimizer
from ppocr_jax.training.step import create_state, make_train_step
from tests.helpers import golden_tensors

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parents[1] / "golden"
LEARNING_RATE = 1e-3
MAPS = ("shrink_map", "shrink_mask", "threshold_map", "threshold_mask")


def _golden(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "training_steps.npz") as arrays:
        return {k.removeprefix(f"{case}."): arrays[k] for k in arrays.files if k.startswith(f"{case}.")}


def _train(network: str, model, batch, loss_of, optimizer: OptimizerConfig, **masks):
    """Terms of three steps, the tensors before, and the variables after them."""
    description = json.loads((GOLDEN / "nets.json").read_text())[network]
    size = batch["images"].shape[1:]
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *size)), train=False))
    tensors = golden_tensors(description)

    def objective(params, frozen, batch_stats, batch, rng, step):
        variables = {"params": params, "batch_stats": batch_stats}
        outputs, changed = model.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        loss, terms = loss_of(outputs, batch)
        return loss, (changed["batch_stats"], terms)

    tx = make_optimizer(optimizer, 3, **masks)
    state = create_state(variables_from_paddle(tensors, like), tx)
    train_step = make_train_step(objective, tx)
    history = []
    for _ in range(3):
        state, terms = train_step(state, batch, jax.random.key(0))
        history.append({name: float(value) for name, value in terms.items()})
    return history, tensors, state.variables


def _tensor(variables, name: str) -> np.ndarray:
    """One of our arrays in Paddle's name and layout."""
    network = network_of(variables)
    for path, value in traverse_util.flatten_dict(variables["params"]).items():
        names = paddle_names(path, network)
        if name in names:
            array = np.asarray(value[names.index(name)] if len(names) > 1 else value)
            if array.ndim == 4:
                return array.transpose(0, 3, 1, 2) if "binarize.conv3" in name else array.transpose(3, 2, 0, 1)
            return array.T if "lstm.weight" in name else array
    raise KeyError(name)


def _assert_same_run(golden, history, tensors, variables) -> None:
    """Losses, the first gradient, and the weights after three steps.

    Adam moves every weight by about the rate, however small its gradient, so rounding noise grows from step to step.
    """
    losses = [terms["loss"] for terms in history]
    for loss, expected, tolerance in zip(losses, golden["losses.loss"], (1e-5, 1e-3, 5e-3), strict=True):
        assert loss == pytest.approx(float(expected), rel=tolerance)
    assert history[0]["grad_norm"] == pytest.approx(float(golden["grad_norm"]), rel=1e-3)
    names = [key.removeprefix("after.") for key in golden if key.startswith("after.")]
    assert len(names) >= 3
    for name in names:
        moved = np.abs(golden[f"after.{name}"] - tensors[name])
        error = np.abs(golden[f"after.{name}"] - _tensor(variables, name))
        assert np.median(error) < 0.02 * np.median(moved), name
        assert np.quantile(error, 0.95) < 0.1 * np.median(moved), name


def test_detector():
    golden = _golden("det")
    batch = {"images": golden["x"].transpose(0, 2, 3, 1), **{name: golden[name] for name in MAPS}}
    history, tensors, variables = _train(
        "det_student",
        build_model("db_mobilenet_v3"),
        batch,
        lambda outputs, batch: db_loss(outputs, batch, main="dice"),
        OptimizerConfig(schedule="constant", learning_rate=LEARNING_RATE),
    )
    _assert_same_run(golden, history, tensors, variables)


def test_recognizer():
    golden = _golden("rec")
    batch = {
        "images": golden["x"].transpose(0, 2, 3, 1),
        "labels": golden["labels"],
        "lengths": golden["lengths"],
    }
    history, tensors, variables = _train(
        "rec_v2_c97",
        build_model("crnn_lcnet", num_classes=97),
        batch,
        lambda outputs, batch: (ctc_loss(outputs["logits"], batch["labels"], batch["lengths"]), {}),
        OptimizerConfig(schedule="constant", learning_rate=LEARNING_RATE, l2=2e-5),
        l2_exempt=lambda path: "/bn/" in path,
    )
    _assert_same_run(golden, history, tensors, variables)
