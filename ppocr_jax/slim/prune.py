"""Pruning a trained detector: whole channels leave it, in every layer that makes, passes on or takes them.

Which go is FPGM's choice (He et al., arXiv 1811.00250): a filter near the geometric median of all filters of its layer
says little that the others do not, however large its weights are. How many go of each layer its sensitivity can tell
(PaddleSlim): how much worse the detector reads when that layer alone is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from flax import traverse_util

from ppocr_jax.errors import UserError
from ppocr_jax.models.mobilenet_v3 import LARGE, large_stages
from ppocr_jax.training.network import TrainedNetwork

PRUNABLE = "db_mobilenet_v3"
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MAX_LOSS = 0.02
_BACKBONE = "backbone"
_NORM = ("scale", "bias", "mean", "var")

Kept = Mapping[str, np.ndarray]
"""Group -> indices of the channels that stay."""
Losses = dict[float, float]
"""Pruned share -> relative loss of the score."""


@dataclass
class ChannelGroup:
    """Channels that are pruned together.

    Attributes:
        name: "expansions/3", "features/1" or "last": their place among `BackboneWidths`.
        made: blocks (convolution and batch norm) whose filters they are; more than one where shortcuts join them.
        followed: depthwise blocks that work on each of them alone.
        taken: blocks that take them as input.
    """

    name: str
    made: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def detector_groups(options: Mapping[str, Any]) -> list[ChannelGroup]:
    """Return the groups of `db_mobilenet_v3`'s backbone; `narrow_neck` prunes neck and heads, whose widths are one.

    Args:
        options: of its builder.
    """
    stages = large_stages(options.get("scale", 0.5))
    features = {stage: ChannelGroup(f"features/{stage}") for stage in stages}
    features[0].made.append(f"{_BACKBONE}/conv")
    inner = []
    before = features[0]
    for i, stage in enumerate(stages):
        unit = f"{_BACKBONE}/unit_{i}"
        before.taken.append(f"{unit}/expand")
        inner.append(ChannelGroup(f"expansions/{i}", [f"{unit}/expand"], [f"{unit}/depthwise"], [f"{unit}/project"]))
        before = features[stage]
        before.made.append(f"{unit}/project")
    for level, stage in enumerate(_lateral_stages(stages), start=2):
        features[stage].taken.append(f"neck/in{level}")
    before.taken.append(f"{_BACKBONE}/last")
    return [*inner, *features.values(), ChannelGroup("last", [f"{_BACKBONE}/last"], [], ["neck/in5"])]


def _lateral_stages(stages: Sequence[int]) -> list[int]:
    """Return the stages whose maps the neck takes: those before a reduction, but for the step to stride 4."""
    return [stages[i - 1] for i, unit in enumerate(LARGE) if unit.strides == (2, 2) and i > 1]


def filter_importance(kernel: np.ndarray) -> np.ndarray:
    """Return the importance of each filter: sum over j of ||w_i - w_j||, as a share of the layer's mean.

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
    """Return which channels stay when a share of them is pruned.

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
    return _most_important(mean, kept)


def _most_important(importance: np.ndarray, count: int) -> np.ndarray:
    return np.sort(np.argsort(-importance, kind="stable")[:count])


def groups_of(network: TrainedNetwork) -> list[ChannelGroup]:
    """Return the groups of channels that can be pruned.

    Raises:
        UserError: the network is of another kind.
    """
    if network.spec.network != PRUNABLE:
        raise UserError(f"only {PRUNABLE} can be pruned, not {network.spec.network}")
    return detector_groups(network.spec.options)


def choose_channels(
    variables: Mapping[str, Any], groups: Sequence[ChannelGroup], ratios: Mapping[str, float], *, multiple: int
) -> dict[str, np.ndarray]:
    """Return the channels that stay, by FPGM.

    Args:
        variables: of the network.
        groups: of its channels.
        ratios: group -> share of its channels to be pruned; a group that is not there stays whole.
        multiple: what numbers of channels are rounded to, see `fpgm.kept_channels`.
    """
    params = _flat(variables["params"])
    return {
        group.name: kept_channels(
            [filter_importance(params[f"{block}/kernel"]) for block in group.made],
            ratios.get(group.name, 0.0),
            multiple=multiple,
        )
        for group in groups
    }


def masked(variables: Mapping[str, Any], group: ChannelGroup, kept: np.ndarray) -> dict[str, Any]:
    """Return the variables of the same shapes, in which the group's other channels are zero wherever they are seen.

    Batch norm makes them so, and every activation of the backbone leaves zero as it is: the network's outputs are those
    of the pruned one.
    """
    params = _flat(variables["params"])
    for block in (*group.made, *group.followed):
        for name in ("scale", "bias"):
            values = np.zeros_like(params[f"{block}/bn/{name}"])
            values[kept] = params[f"{block}/bn/{name}"][kept]
            params[f"{block}/bn/{name}"] = values
    return {**variables, "params": traverse_util.unflatten_dict(params, sep="/")}


def prune(network: TrainedNetwork, kept: Kept) -> TrainedNetwork:
    """Return the network without the channels that do not stay; it knows its widths and can be exported and trained.

    Raises:
        UserError: the network is of a kind that cannot be pruned.
    """
    groups = groups_of(network)
    trees = {name: _flat(tree) for name, tree in network.variables.items()}
    for group in groups:
        channels = kept[group.name]
        for arrays in trees.values():
            for name, value in arrays.items():
                block = name.removesuffix("/kernel").rsplit("/bn/")[0]
                if block in group.made or block in group.followed:
                    arrays[name] = value[..., channels]
        for block in group.taken:
            trees["params"][f"{block}/kernel"] = trees["params"][f"{block}/kernel"][:, :, channels]
    return _replaced(network, trees, {"widths": widths(groups, kept)})


def _replaced(
    network: TrainedNetwork, trees: Mapping[str, Mapping[str, np.ndarray]], options: Mapping[str, Any]
) -> TrainedNetwork:
    return replace(
        network,
        spec=replace(network.spec, options={**network.spec.options, **options}),
        variables={name: traverse_util.unflatten_dict(arrays, sep="/") for name, arrays in trees.items()},
        origin={**network.origin, "pruned": True},
    )


def narrow_neck(network: TrainedNetwork, channels: int) -> TrainedNetwork:
    """Return the network with a neck of so many channels and heads of a quarter of them, chosen by FPGM.

    Neck and heads take half of the detector's time. Unlike groups of the backbone their widths depend on each other:
    laterals are added up, and the four smoothed maps, a quarter of the channels each, are concatenated.

    Args:
        network: a detector; one with a pruned backbone will do.
        channels: width of the neck, a multiple of 4, at most what it is.

    Raises:
        UserError: the network is of a kind that cannot be pruned, or has no more channels than that.
    """
    groups_of(network)
    params = _flat(network.variables["params"])
    before = params["neck/in2/kernel"].shape[-1]
    if channels % 4 or not 4 <= channels <= before:
        raise UserError(f"the neck has {before} channels: {channels} must be a multiple of 4, from 4 to {before}")
    quarter = channels // 4
    levels = (2, 3, 4, 5)

    def chosen(names: Sequence[str], count: int) -> np.ndarray:
        """Return the channels that stay of those which these kernels make together."""
        importances = [filter_importance(params[f"{name}/kernel"]) for name in names]
        return _most_important(np.mean(importances, axis=0), count)

    lateral = chosen([f"neck/in{level}" for level in levels], channels)
    smooth = {level: chosen([f"neck/p{level}"], quarter) for level in levels}
    # Concatenated coarse to fine, see `DBFPN`.
    fused = np.concatenate([smooth[level] + i * (before // 4) for i, level in enumerate((5, 4, 3, 2))])
    # (array, axis) -> what stays of it
    stays = {(f"neck/in{level}/kernel", -1): lateral for level in levels}
    stays |= {(f"neck/p{level}/kernel", -2): lateral for level in levels}
    stays |= {(f"neck/p{level}/kernel", -1): smooth[level] for level in levels}
    for branch in {"probability", "threshold"} & {name.split("/")[0] for name in params}:
        first = chosen([branch], quarter)
        second = chosen([f"{branch}/up1"], quarter)
        stays |= {(f"{branch}/kernel", -2): fused, (f"{branch}/kernel", -1): first}
        stays |= {(f"{branch}/bn1/{name}", -1): first for name in _NORM}
        stays |= {(f"{branch}/up1/kernel", 0): first, (f"{branch}/up1/kernel", -1): second}
        stays |= {(f"{branch}/{name}", -1): second for name in ("up1/bias", *(f"bn2/{n}" for n in _NORM))}
        stays[f"{branch}/up2/kernel", 0] = second
    trees = {name: _flat(tree) for name, tree in network.variables.items()}
    for arrays in trees.values():
        for (name, axis), indices in stays.items():
            if name in arrays:
                arrays[name] = np.take(arrays[name], indices, axis=axis)
    return _replaced(network, trees, {"channels": channels})


def widths(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Any]:
    """Return the builder's option `widths` of the pruned network, in plain types."""
    counts = {group.name: len(kept[group.name]) for group in groups}
    listed = {
        kind: [n for name, n in counts.items() if name.startswith(f"{kind}/")] for kind in ("expansions", "features")
    }
    return {**listed, "last": counts["last"]}


def channel_counts(network: TrainedNetwork) -> dict[str, int]:
    """Group -> its channels."""
    params = _flat(network.variables["params"])
    return {group.name: params[f"{group.made[0]}/kernel"].shape[-1] for group in groups_of(network)}


def parameter_count(network: TrainedNetwork) -> int:
    """Return the number of parameters that reading needs: all but those of the threshold branch."""
    params = _flat(network.variables["params"])
    return sum(int(np.size(value)) for name, value in params.items() if not name.startswith("threshold/"))


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
    """Return the losses of the score when this group alone is pruned, without training afterwards.

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
        share = 1 - len(kept) / _flat(variables["params"])[f"{group.made[0]}/kernel"].shape[-1]
        if share not in losses and share > 0:
            losses[share] = (base - score(masked(variables, group, kept))) / base
            if losses[share] > max_loss:
                break
    return losses


def largest_ratio(losses: Losses, max_loss: float = MAX_LOSS) -> float:
    """Return the largest share to prune that loses no more than `max_loss`, by straight lines between those tried."""
    points = [(0.0, 0.0), *sorted(losses.items())]
    for (low, before), (high, after) in pairwise(points):
        if after > max_loss:
            return low + (high - low) * max(0.0, (max_loss - before) / (after - before))
    return points[-1][0]


def _flat(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    flat: dict[str, Any] = traverse_util.flatten_dict(dict(tree), sep="/")
    return {name: np.asarray(value) for name, value in flat.items()}
