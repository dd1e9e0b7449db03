"""The attention head's loss, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppocr_jax.losses.cross_entropy import attention_loss

LABELS = np.array([[2, 1, 0], [3, 0, 0]])
LENGTHS = np.array([2, 1])
LOGITS = np.random.default_rng(0).normal(size=(2, 4, 5)).astype(np.float32)  # 3 characters, unknown, end


def cross_entropy(line, place, target):
    row = LOGITS[line, place].astype(np.float64)
    return np.log(np.exp(row).sum()) - row[target]


def test_mean_over_characters_and_the_end():
    parts = [cross_entropy(*at) for at in ((0, 0, 1), (0, 1, 0), (0, 2, 4), (1, 0, 2), (1, 1, 4))]
    loss = attention_loss(LOGITS, LABELS, LENGTHS, np.array([True, True]))
    assert float(loss) == pytest.approx(np.mean(parts), rel=1e-5)


def test_lines_that_do_not_count():
    parts = [cross_entropy(*at) for at in ((1, 0, 2), (1, 1, 4))]
    assert float(attention_loss(LOGITS, LABELS, LENGTHS, np.array([False, True]))) == pytest.approx(
        np.mean(parts), rel=1e-5
    )
    assert float(attention_loss(LOGITS, LABELS, LENGTHS, np.array([False, False]))) == 0
