"""FPGM: the filters of a convolution that its others can best do without (He et al., arXiv 1811.00250).

A filter near the geometric median of all filters of its layer says little that the others do not: it goes first,
however large its weights are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def filter_importance(kernel: np.ndarray) -> np.ndarray:
    """Importance of each filter: sum over j of ||w_i - w_j||, as a share of the layer's mean.

    Args:
        kernel: weights (..., C) of C filters.

    Returns:
        (C,) float64; 1 on average, so that layers can be compared; all 1 where the filters are equal.
    """
    filters = kernel.reshape(-1, kernel.shape[-1]).T.astype(np.float64)
    filters = filters - filters.mean(axis=0)  # distances stay, and rounding does less harm
    squares = (filters**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * filters @ filters.T, 0))
    np.fill_diagonal(distances, 0)
    sums = distances.sum(axis=1)
    return sums / sums.mean() if sums.any() else np.ones(len(sums))


def kept_channels(importances: Sequence[np.ndarray], ratio: float, *, multiple: int = 1) -> np.ndarray:
    """Which channels stay when a share of them is pruned.

    Args:
        importances: (C,) of each convolution that makes these channels; their mean decides.
        ratio: share of the channels to be pruned, 0 <= ratio < 1.
        multiple: what the number that stays is rounded to, as long as there are so many; at least one multiple stays.

    Returns:
        sorted indices of the most important channels.

    Raises:
        ValueError: a ratio or multiple out of range.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"the pruned share must be at least 0 and below 1, not {ratio}")
    if multiple < 1:
        raise ValueError(f"multiple must be at least 1, not {multiple}")
    mean = np.mean(importances, axis=0)
    count = len(mean)
    kept = min(count, max(multiple, round(count * (1 - ratio) / multiple) * multiple))
    return np.sort(np.argsort(-mean, kind="stable")[:kept])
