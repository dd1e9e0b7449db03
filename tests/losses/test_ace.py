"""Aggregation cross-entropy against a slow oracle and its own properties."""

from __future__ import annotations

from collections import Counter

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.losses.cross_entropy import ace_loss
from tests.losses.reference import assert_all_finite

VALUE_AND_GRADIENT = jax.jit(jax.value_and_grad(ace_loss))


def slow_ace(logits: np.ndarray, labels: list[list[int]]) -> float:
    total, frames = 0.0, logits.shape[1]
    for line, label in zip(logits.astype(np.float64), labels, strict=True):
        if len(label) > frames:
            continue
        exponentials = np.exp(line - line.max(1, keepdims=True))
        mean = (exponentials / exponentials.sum(1, keepdims=True)).mean(0)
        counts = Counter(label) + Counter({0: frames - len(label)})
        total -= sum(n / frames * np.log(mean[k]) for k, n in counts.items())
    return total / len(labels)


def padded(labels: list[list[int]], width: int, filler: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rows = [label + [filler] * (width - len(label)) for label in labels]
    return np.array(rows, np.int32), np.array([len(label) for label in labels], np.int32)


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.lists(st.integers(1, 4), max_size=8), min_size=3, max_size=3),  # six frames: some do not fit
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.0, 1.0, 10.0]),
)
def test_loss_equals_a_slow_oracle(labels: list[list[int]], seed: int, scale: float) -> None:
    logits = (scale * np.random.default_rng(seed).normal(size=(3, 6, 5))).astype(np.float32)
    loss, gradient = VALUE_AND_GRADIENT(logits, *padded(labels, 8))
    assert float(loss) == pytest.approx(slow_ace(logits, labels), rel=1e-5, abs=1e-6)
    assert_all_finite(gradient)
    for line, label in zip(gradient, labels, strict=True):
        assert (np.abs(line).max() > 0) == (len(label) <= 6) or scale > 1  # a sure network may have no gradient left


def test_order_and_padding_do_not_matter() -> None:
    logits = np.random.default_rng(0).normal(size=(1, 6, 5)).astype(np.float32)
    losses = [
        float(VALUE_AND_GRADIENT(logits, *padded([label], 8, filler))[0])
        for label, filler in [([1, 2, 2, 4], 0), ([2, 4, 2, 1], 0), ([4, 2, 1, 2], 3)]
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] == pytest.approx(losses[2], rel=1e-6)


def test_right_counts_reach_the_entropy_of_the_label() -> None:
    logits = np.full((1, 4, 3), -50.0, np.float32)
    logits[0, [0, 1, 2, 3], [2, 0, 1, 0]] = 50.0  # "2 - 1 -"
    loss, gradient = VALUE_AND_GRADIENT(logits, *padded([[1, 2]], 4))
    assert float(loss) == pytest.approx(-(2 * 0.25 * np.log(0.25) + 0.5 * np.log(0.5)), rel=1e-6)
    assert np.abs(gradient).max() < 1e-6


def test_class_that_is_never_read_is_finite() -> None:
    logits = np.zeros((1, 4, 3), np.float32)
    logits[..., 2] = -1e5
    loss, gradient = VALUE_AND_GRADIENT(logits, *padded([[2]], 4))
    assert float(loss) == pytest.approx(1e5 / 4, rel=1e-3)
    assert_all_finite(gradient)
