"""Lines too long for the classifier, seen through windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.model_folder import ClassifierSpec
from ppocr_jax.preprocess import line_windows

WINDOWS = ClassifierSpec(long_lines="windows")


@given(st.integers(1, 200), st.integers(1, 4000), st.integers(1, 5))
def test_windows_fit_the_network_and_reach_both_ends(line_height: int, length: int, most: int) -> None:
    windows = line_windows((line_height, length), height=48, width=192, most=most)
    assert 1 <= len(windows) <= most
    assert windows == sorted(set(windows))
    assert windows[0][0] == 0
    assert max(end for _, end in windows) == length or len(windows) == most == 1
    for start, end in windows:
        assert (end - start - 1) * 48 < 192 * line_height or end - start == 1
    if len(windows) < most:
        assert all(next_start <= end for (_, end), (next_start, _) in itertools.pairwise(windows))


class Brightness:
    """Takes a line for turned with its mean brightness as the probability, and counts what it is asked."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.rows += len(images)
        turned = images.mean(axis=(1, 2, 3)) * 0.5 + 0.5
        return np.stack([1 - turned, turned], axis=1).astype(np.float32)


def stripes(*grays: int) -> np.ndarray:
    """A line of windows of equal length."""
    return np.concatenate([np.full((48, 192, 3), gray, np.uint8) for gray in grays], axis=1)


def test_windows_decide_by_their_geometric_mean() -> None:
    backend = Brightness()
    short, long = stripes(51), stripes(51, 204, 230)
    found = TextClassifier(backend, WINDOWS)([long, short])
    assert backend.rows == 4
    assert (found[1].angle, found[1].probability) == (0, pytest.approx(0.8, abs=1e-3))
    turned = np.array([51, 204, 230]) / 255
    odds = (turned.prod() / (1 - turned).prod()) ** (1 / 3)
    assert (found[0].angle, found[0].probability) == (180, pytest.approx(odds / (1 + odds), abs=1e-3))


def test_squeezed_lines_are_seen_once() -> None:
    backend = Brightness()
    (found,) = TextClassifier(backend, ClassifierSpec())([stripes(51, 51, 51, 255)])
    assert backend.rows == 1
    assert (found.angle, found.probability) == (0, pytest.approx(0.6, abs=1e-2))


def test_a_sure_window_stays_finite() -> None:
    (found,) = TextClassifier(Brightness(), WINDOWS)([stripes(0, 255)])
    assert found.probability == pytest.approx(0.5)
