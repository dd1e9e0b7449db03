"""Center loss and the extraction of centers, against the reference implementation and slow oracles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.losses.center import (
    CenterSums,
    accumulate_centers,
    center_loss,
    empty_centers,
    finish_centers,
    random_centers,
)
from tests.losses.reference import assert_all_finite, assert_gradients_close

VALUE_AND_GRADIENTS = jax.jit(jax.value_and_grad(center_loss, argnums=(0, 1, 2)))
ACCUMULATE = jax.jit(accumulate_centers)


def test_loss_and_gradients_of_the_reference(reference) -> None:
    """The reference computes in float64; float32 loses nothing that matters."""
    loss, gradients = VALUE_AND_GRADIENTS(
        reference["center_feats"], reference["rec_logits"], reference["center_centers"]
    )
    assert float(loss) == pytest.approx(float(reference["center"]), rel=5e-7)
    assert_gradients_close(gradients[0], reference["center_grad_feats"], norm=5e-7)
    assert np.abs(gradients[1]).max() == np.abs(gradients[2]).max() == 0


def table_loss(features: np.ndarray, logits: np.ndarray, centers: np.ndarray) -> float:
    """As the reference: every frame against every class in float64, masked, clipped, summed."""
    frames = features.reshape(-1, features.shape[-1]).astype(np.float64)
    classes = logits.reshape(len(frames), -1).argmax(1)
    table = ((frames[:, None] - centers.astype(np.float64)) ** 2).sum(-1)
    table *= np.arange(len(centers)) == classes[:, None]
    return np.clip(table, 1e-12, 1e12).sum() / len(frames)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3, 1e7]),
    offset=st.sampled_from([0.0, 100.0]),
)
def test_loss_equals_the_full_table_of_distances(seed: int, scale: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    features = (offset + scale * rng.normal(size=(2, 5, 4))).astype(np.float32)
    centers = (offset + scale * rng.normal(size=(6, 4))).astype(np.float32)
    logits = rng.integers(0, 3, (2, 5, 6)).astype(np.float32)  # ties: the first of the largest is read
    loss, gradients = VALUE_AND_GRADIENTS(features, logits, centers)
    assert float(loss) == pytest.approx(table_loss(features, logits, centers), rel=1e-5, abs=1e-10)
    assert_all_finite(gradients)


def test_loss_by_hand() -> None:
    features = np.array([[[1.0, 2.0], [0.0, 0.0], [3.0, 3.0]]], np.float32)
    logits = np.array([[[0.0, 9.0], [9.0, 0.0], [0.0, 9.0]]], np.float32)
    centers = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert float(VALUE_AND_GRADIENTS(features, logits, centers)[0]) == pytest.approx((4 + 1 + 13) / 3)
    twice = [np.concatenate([x, x]) for x in (features, logits)]
    assert float(VALUE_AND_GRADIENTS(*twice, centers)[0]) == pytest.approx(6)


def test_feature_on_its_center_costs_nothing() -> None:
    logits = np.array([[[0.0, 1.0]]], np.float32)
    centers = np.array([[5.0], [7.0]], np.float32)
    loss, gradients = VALUE_AND_GRADIENTS(np.full((1, 1, 1), 7.0, np.float32), logits, centers)
    assert float(loss) == pytest.approx(1e-12)
    assert np.abs(gradients[0]).max() == 0


def test_misfits_are_refused() -> None:
    features, logits = jnp.zeros((1, 2, 3)), jnp.zeros((1, 2, 5))
    with pytest.raises(ValueError, match=r"\(4, 3\) for 5 classes and features of width 3"):
        center_loss(features, logits, jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\(4, 3\) for 5 classes and features of width 3"):
        accumulate_centers(empty_centers(4, 3), features, logits, jnp.ones(1, bool))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), correct_share=st.sampled_from([0.0, 0.5, 1.0]))
def test_centers_are_the_mean_features_of_what_was_read(seed: int, correct_share: float) -> None:
    rng = np.random.default_rng(seed)
    fallback = np.asarray(random_centers(jax.random.key(0), 8, 3))
    totals, seen = empty_centers(8, 3), {}
    for _ in range(3):
        features = rng.normal(size=(4, 5, 3)).astype(np.float32)
        logits = rng.normal(size=(4, 5, 8)).astype(np.float32)
        correct = rng.random(4) < correct_share
        features[~correct] = np.nan  # whatever a line read wrongly holds, it must not get in
        totals = ACCUMULATE(totals, features, logits, correct)
        for line in np.flatnonzero(correct):
            for feature, frame in zip(features[line], logits[line], strict=True):
                seen.setdefault(int(frame.argmax()), []).append(feature.astype(np.float64))
    expected = [np.mean(seen[k], axis=0) if k in seen else fallback[k] for k in range(8)]
    np.testing.assert_allclose(finish_centers(totals, fallback), expected, rtol=1e-5, atol=1e-6)
    assert totals.counts.tolist() == [len(seen.get(k, ())) for k in range(8)]


def test_random_centers_are_standard_normal_and_seeded() -> None:
    centers = np.asarray(random_centers(jax.random.key(3), 500, 40))
    np.testing.assert_array_equal(centers, random_centers(jax.random.key(3), 500, 40))
    assert abs(centers.mean()) < 0.03
    assert abs(centers.std() - 1) < 0.03


def test_totals_are_a_pytree() -> None:
    doubled = jax.tree.map(lambda x: x * 2, CenterSums(jnp.ones((2, 3)), jnp.ones(2, jnp.int32)))
    assert isinstance(doubled, CenterSums)
    assert doubled.counts.tolist() == [2, 2]
