import inspect
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppocr_jax.losses.db import balanced_bce_loss, db_loss, dice_loss, masked_l1_loss

GOLDEN = dict(np.load(Path(__file__).parents[1] / "golden" / "db_loss.npz"))
NAMES = ("probability", "threshold", "binary")
EMPTY = {"shrink_map": np.zeros_like(GOLDEN["det_shrink_map"])}
FULL = {"shrink_map": np.ones_like(GOLDEN["det_shrink_map"]), "shrink_mask": np.ones_like(GOLDEN["det_shrink_mask"])}
CASES: dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]] = {
    "db_dice": ({}, {}),
    "db_dice_nopos": ({}, EMPTY),
    "db_bce": ({"main": "bce"}, {}),
    "db_bce_nopos": ({"main": "bce"}, EMPTY),
    "db_bce_ratio1": ({"main": "bce", "alpha": 1.0, "negative_ratio": 1.0}, {}),
    "db_bce_allpos": ({"main": "bce"}, FULL),
    "db_l1main": ({"main": "l1"}, {}),
}


def golden_outputs() -> dict[str, jax.Array]:
    return {name: jnp.asarray(GOLDEN["det_student"][:, i]) for i, name in enumerate(NAMES)}


def golden_targets(**changes: np.ndarray) -> dict[str, np.ndarray]:
    names = ("shrink_map", "shrink_mask", "threshold_map", "threshold_mask")
    return {name: GOLDEN[f"det_{name}"] for name in names} | changes


@pytest.mark.parametrize("case", CASES)
def test_loss_and_gradients_equal_the_reference(case: str) -> None:
    options, changes = CASES[case]
    targets = golden_targets(**changes)

    @jax.jit
    def value_and_grad(outputs: dict[str, jax.Array]) -> Any:
        return jax.value_and_grad(lambda o: db_loss(o, targets, **options), has_aux=True)(outputs)

    (loss, terms), gradients = value_and_grad(golden_outputs())
    alpha = options.get("alpha", 5.0)
    assert loss == pytest.approx(GOLDEN[f"{case}.loss"], rel=1e-5)
    assert alpha * terms["probability"] == pytest.approx(GOLDEN[f"{case}.loss_shrink_maps"], rel=1e-5)
    assert 10 * terms["threshold"] == pytest.approx(GOLDEN[f"{case}.loss_threshold_maps"], rel=1e-5)
    assert terms["binary"] == pytest.approx(GOLDEN[f"{case}.loss_binary_maps"], rel=1e-5)
    for i, name in enumerate(NAMES):
        expected = GOLDEN[f"{case}_grad"][:, i]
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max() + 1e-12)


def slow_balanced_bce(pred: np.ndarray, target: np.ndarray, mask: np.ndarray, negative_ratio: float) -> float:
    """Pixel by pixel with a full sort, in float64."""
    positive, negative = [], []
    for p, g, m in zip(pred.ravel().tolist(), target.ravel().tolist(), mask.ravel().tolist(), strict=True):
        q = p if g else float(np.float32(1) - np.float32(p))
        loss = -max(np.log(q), -100.0) if q > 0 else 100.0
        if m:
            (positive if g else negative).append(loss)
    count = int(min(len(negative), negative_ratio * len(positive)))
    hardest = sorted(negative, reverse=True)[:count]
    return (sum(positive) + sum(hardest)) / (len(positive) + count + 1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    text_share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    mask_share=st.sampled_from([0.0, 0.5, 1.0]),
    negative_ratio=st.sampled_from([0.0, 1.0, 2.5, 3.0]),
    levels=st.sampled_from([2, 5, 1000]),
)
@example(seed=0, text_share=0.3, mask_share=0.5, negative_ratio=3.0, levels=5)  # less background than asked for
def test_balanced_bce_equals_a_slow_oracle(
    seed: int, text_share: float, mask_share: float, negative_ratio: float, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = (2, 6, 7)
    pred = (rng.integers(0, levels + 1, shape) / levels).astype(np.float32)  # few levels: many ties, exact 0 and 1
    target = (rng.random(shape) < text_share).astype(np.uint8)
    mask = (rng.random(shape) < mask_share).astype(np.uint8)
    got = BALANCED_BCE(pred, target, mask, negative_ratio=negative_ratio)
    assert got == pytest.approx(slow_balanced_bce(pred, target, mask, negative_ratio), rel=1e-5, abs=1e-6)


BALANCED_BCE = jax.jit(balanced_bce_loss, static_argnames="negative_ratio")


def test_balanced_bce_gradient_runs_through_text_and_hardest_background_only() -> None:
    pred = jnp.array([[[0.6, 0.9, 0.2, 0.8, 0.1, 0.7]]])
    target = jnp.array([[[1, 0, 0, 0, 0, 0]]])
    mask = jnp.array([[[1, 0, 1, 1, 1, 1]]])  # the hardest of all, 0.9, is masked
    gradient = jax.grad(balanced_bce_loss)(pred, target, mask, negative_ratio=2.0)
    expected = np.array([-1 / 0.6, 0, 0, 1 / 0.2, 0, 1 / 0.3]) / 3
    np.testing.assert_allclose(gradient[0, 0], expected, rtol=1e-5)


def test_balanced_bce_shares_the_last_place_among_ties() -> None:
    pred = jnp.array([[[0.6, 0.5, 0.5, 0.5, 0.5]]])
    target = jnp.array([[[1, 0, 0, 0, 0]]])
    gradient = jax.grad(balanced_bce_loss)(pred, target, jnp.ones_like(target), negative_ratio=2.0)
    np.testing.assert_allclose(gradient[0, 0, 1:], np.full(4, 2 / 4 / 0.5 / 3), rtol=1e-5)


def test_hand_computed_values() -> None:
    pred = jnp.array([[[0.5, 1.0, 0.25]]])
    target = jnp.array([[[1, 1, 0]]])
    mask = jnp.array([[[1, 0, 1]]])
    assert dice_loss(pred, target, mask) == pytest.approx(1 - 2 * 0.5 / (0.75 + 1), rel=1e-5)
    assert masked_l1_loss(pred, target, mask) == pytest.approx((0.5 + 0.25) / 2, rel=1e-5)


@pytest.mark.parametrize("main", ["dice", "bce", "l1"])
@pytest.mark.parametrize("kind", ["no text", "all ignored", "saturated"])
def test_edge_batches_have_finite_losses_and_gradients(main: Any, kind: str) -> None:
    targets = golden_targets()
    outputs = golden_outputs()
    if kind == "no text":
        targets |= {name: np.zeros_like(targets[name]) for name in ("shrink_map", "threshold_mask")}
    elif kind == "all ignored":
        targets |= {name: np.zeros_like(targets[name]) for name in ("shrink_mask", "threshold_mask")}
    else:  # a network that is utterly sure, and wrong
        outputs = dict.fromkeys(NAMES, jnp.asarray(1.0 - targets["shrink_map"]))

    def loss(outputs: dict[str, jax.Array]) -> jax.Array:
        return db_loss(outputs, targets, main=main)[0]

    value, gradients = jax.value_and_grad(loss)(outputs)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


def test_number_types_of_targets_do_not_matter() -> None:
    targets = golden_targets()
    integers = {name: v if name == "threshold_map" else v.astype(np.uint8) for name, v in targets.items()}
    assert db_loss(golden_outputs(), integers, main="bce")[0] == db_loss(golden_outputs(), targets, main="bce")[0]


def test_bfloat16_outputs_are_summed_in_float32() -> None:
    outputs = {name: value.astype(jnp.bfloat16) for name, value in golden_outputs().items()}
    rounded = {name: value.astype(jnp.float32) for name, value in outputs.items()}
    loss, terms = db_loss(outputs, golden_targets())
    assert loss.dtype == jnp.float32
    assert loss == db_loss(rounded, golden_targets())[0]
    assert all(term.dtype == jnp.float32 for term in terms.values())


def test_unknown_main_loss_is_refused() -> None:
    with pytest.raises(ValueError, match='"dice", "bce" or "l1", not \'focal\''):
        inspect.unwrap(db_loss)(golden_outputs(), golden_targets(), main="focal")  # as without the tests' type checks


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_negatives_are_no_fault_to_jax_debug_nans(share):
    """Without text, or without background, the hardest none of the pixels are summed up."""
    target, mask = np.full((1, 4, 4), share, np.float32), np.ones((1, 4, 4), np.float32)
    with jax.debug_nans(True):
        loss, gradient = jax.value_and_grad(balanced_bce_loss)(mask / 2, target, mask)
    assert float(loss) == pytest.approx(share * np.log(2), rel=1e-4)
    assert np.isfinite(gradient).all()
