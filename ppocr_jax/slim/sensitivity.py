"""How much each group of channels can be pruned before the detector reads worse (PaddleSlim's sensitivity)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ppocr_jax.slim.groups import ChannelGroup
from ppocr_jax.slim.prune import choose_channels, masked

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MAX_LOSS = 0.02

Losses = dict[float, float]
"""Pruned share -> relative loss of the score."""


def sensitivity(
    score: Callable[[Mapping[str, Any]], float],
    variables: Mapping[str, Any],
    group: ChannelGroup,
    base: float,
    *,
    ratios: Sequence[float] = RATIOS,
    max_loss: float = MAX_LOSS,
    multiple: int = 1,
) -> Losses:
    """Losses of the score when this group alone is pruned, without training afterwards.

    Args:
        score: of variables of the network's shapes, higher is better.
        variables: of the network.
        group: of its channels.
        base: the score of `variables`, above 0.
        ratios: shares to try, from the smallest; the first that loses too much is the last.
        max_loss: what is too much.
        multiple: what numbers of channels are rounded to; the shares in the answer are those that were pruned.
    """
    losses: Losses = {}
    for ratio in sorted(ratios):
        kept = choose_channels(variables, [group], {group.name: ratio}, multiple=multiple)[group.name]
        share = 1 - len(kept) / _count(variables, group)
        if share not in losses and share > 0:
            losses[share] = (base - score(masked(variables, group, kept))) / base
            if losses[share] > max_loss:
                break
    return losses


def largest_ratio(losses: Losses, max_loss: float = MAX_LOSS) -> float:
    """The largest share to prune at which no more than `max_loss` is lost, between those tried by straight lines."""
    points = [(0.0, 0.0), *sorted(losses.items())]
    for (low, before), (high, after) in pairwise(points):
        if after > max_loss:
            return low + (high - low) * max(0.0, (max_loss - before) / (after - before))
    return points[-1][0]


def _count(variables: Mapping[str, Any], group: ChannelGroup) -> int:
    block: Any = variables["params"]
    for name in group.made[0].split("/"):
        block = block[name]
    return block["kernel"].shape[-1]
