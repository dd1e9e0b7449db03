"""How gradients are compared with those of the reference implementation."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np

MAPS = ("probability", "threshold", "binary")


def stacked(gradients: Mapping[str, jax.Array]) -> np.ndarray:
    """Gradients of the DB head's outputs -> (B, 3, H, W)."""
    return np.stack([gradients[name] for name in MAPS], axis=1)


def frames_first(x: np.ndarray) -> np.ndarray:
    """(B, C, 1, T) -> (B, T, C)."""
    return x[:, :, 0].transpose(0, 2, 1)


def assert_gradients_close(ours: jax.Array | np.ndarray, expected: np.ndarray, *, norm: float) -> None:
    """Within 1e-3 of the reference elementwise, but for what is below 2e-5 of the largest; and `norm` as a whole.

    Both sides are float32: where terms of opposite sign nearly cancel, single small elements differ by some per cent.
    """
    ours = np.asarray(ours)
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=2e-5 * np.abs(expected).max())
    assert np.linalg.norm(ours - expected) <= norm * np.linalg.norm(expected)


def assert_all_finite(tree: object) -> None:
    for leaf in jax.tree.leaves(tree):
        assert np.isfinite(leaf).all()
