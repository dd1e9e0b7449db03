"""Channel pruning of a trained detector: removes whole channels from all layers that produce, transform or use them.

FPGM (He et al., arXiv 1811.00250) chooses the channels: a filter near the geometric median of its layer's filters is
redundant, however large its weights are. The number of channels to remove per layer can follow from its sensitivity
(PaddleSlim): how much the detector's score drops if only that layer is pruned.
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
_BACKBONE = "backbone"
_NORM = ("scale", "bias", "mean", "var")

Kept = Mapping[str, np.ndarray]
"""Group -> indices of the kept channels."""
Losses = dict[float, float]
"""Pruned share -> relative loss of the score."""


@dataclass
class ChannelGroup:
    """Channels that are pruned together.

    Attributes:
        name: "expansions/3", "features/1" or "last": their place in `BackboneWidths`.
        made: Blocks (convolution and batch norm) that produce the channels; more than one if shortcuts join them.
        followed: Depthwise blocks that process each channel separately.
        taken: Blocks that use the channels as input.
    """

    name: str
    made: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def detector_groups(options: Mapping[str, Any]) -> list[ChannelGroup]:
    """Return the channel groups of `db_mobilenet_v3`'s backbone; for neck and heads see `narrow_neck`.

    Args:
        options: Options of its builder.
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
    """Return the stages whose maps the neck uses: those before a reduction, except the one to stride 4."""
    return [stages[i - 1] for i, unit in enumerate(LARGE) if unit.strides == (2, 2) and i > 1]


def filter_importance(kernel: np.ndarray) -> np.ndarray:
    """Return the importance of each filter: sum over j of ||w_i - w_j||, divided by the layer's mean.

    Args:
        kernel: Weights (..., C) of C filters.

    Returns:
        (C,) float64; the mean is 1, so that layers can be compared; all 1 if the filters are equal.
    """
    filters = kernel.reshape(-1, kernel.shape[-1]).T.astype(np.float64)
    filters = filters - filters.mean(axis=0)  # does not change distances, but reduces rounding errors
    squares = (filters**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * filters @ filters.T, 0))
    np.fill_diagonal(distances, 0)
    sums = distances.sum(axis=1)
    return sums / sums.mean() if sums.any() else np.ones(len(sums))


def kept_channels(importances: Sequence[np.ndarray], ratio: float, *, multiple: int = 1) -> np.ndarray:
    """Return the channels to keep if a share of them is pruned.

    Args:
        importances: (C,) of each convolution that produces these channels; their mean decides.
        ratio: Share of the channels to prune, 0 <= ratio < 1.
        multiple: The number of kept channels is rounded to a multiple of this, at least one multiple, at most C.

    Returns:
        Sorted indices of the most important channels.

    Raises:
        ValueError: If the ratio or the multiple is out of range.
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
    """Return the channel groups that can be pruned.

    Raises:
        UserError: If the network's architecture cannot be pruned.
    """
    if network.spec.network != PRUNABLE:
        raise UserError(f"only {PRUNABLE} can be pruned, not {network.spec.network}")
    return detector_groups(network.spec.options)


def choose_channels(
    variables: Mapping[str, Any], groups: Sequence[ChannelGroup], ratios: Mapping[str, float], *, multiple: int
) -> dict[str, np.ndarray]:
    """Return the channels to keep, chosen by FPGM.

    Args:
        variables: Variables of the network.
        groups: Its channel groups.
        ratios: Group -> share of its channels to prune; other groups are kept whole.
        multiple: Numbers of channels are rounded to multiples of this, see `kept_channels`.
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
    """Return variables of unchanged shapes in which the group's other channels are always zero.

    Batch norm zeroes them and every activation of the backbone maps zero to zero, so the network's outputs equal those
    of the pruned network.
    """
    params = _flat(variables["params"])
    for block in (*group.made, *group.followed):
        for name in ("scale", "bias"):
            values = np.zeros_like(params[f"{block}/bn/{name}"])
            values[kept] = params[f"{block}/bn/{name}"][kept]
            params[f"{block}/bn/{name}"] = values
    return {**variables, "params": traverse_util.unflatten_dict(params, sep="/")}


def prune(network: TrainedNetwork, kept: Kept) -> TrainedNetwork:
    """Return the network without the other channels; its options contain its widths, so it can be exported and trained.

    Raises:
        UserError: If the network's architecture cannot be pruned.
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
    """Return the network with a neck of `channels` channels and heads of a quarter of them, chosen by FPGM.

    Neck and heads take half of the detector's time. Unlike in the backbone, their widths depend on each other: laterals
    are added, and the four smoothed maps, with a quarter of the channels each, are concatenated.

    Args:
        network: A detector; its backbone may be pruned.
        channels: New width of the neck, a multiple of 4, at most the current one.

    Raises:
        UserError: If the network's architecture cannot be pruned, or `channels` is out of range.
    """
    groups_of(network)
    params = _flat(network.variables["params"])
    before = params["neck/in2/kernel"].shape[-1]
    if channels % 4 or not 4 <= channels <= before:
        raise UserError(f"the neck has {before} channels: {channels} must be a multiple of 4, from 4 to {before}")
    quarter = channels // 4
    levels = (2, 3, 4, 5)

    def chosen(names: Sequence[str], count: int) -> np.ndarray:
        """Return the kept channels among those that these kernels produce together."""
        importances = [filter_importance(params[f"{name}/kernel"]) for name in names]
        return _most_important(np.mean(importances, axis=0), count)

    lateral = chosen([f"neck/in{level}" for level in levels], channels)
    smooth = {level: chosen([f"neck/p{level}"], quarter) for level in levels}
    # Concatenated coarse to fine, see `DBFPN`.
    fused = np.concatenate([smooth[level] + i * (before // 4) for i, level in enumerate((5, 4, 3, 2))])
    # (array, axis) -> kept indices
    kept = {(f"neck/in{level}/kernel", -1): lateral for level in levels}
    kept |= {(f"neck/p{level}/kernel", -2): lateral for level in levels}
    kept |= {(f"neck/p{level}/kernel", -1): smooth[level] for level in levels}
    for branch in {"probability", "threshold"} & {name.split("/")[0] for name in params}:
        first = chosen([branch], quarter)
        second = chosen([f"{branch}/up1"], quarter)
        kept |= {(f"{branch}/kernel", -2): fused, (f"{branch}/kernel", -1): first}
        kept |= {(f"{branch}/bn1/{name}", -1): first for name in _NORM}
        kept |= {(f"{branch}/up1/kernel", 0): first, (f"{branch}/up1/kernel", -1): second}
        kept |= {(f"{branch}/{name}", -1): second for name in ("up1/bias", *(f"bn2/{n}" for n in _NORM))}
        kept[f"{branch}/up2/kernel", 0] = second
    trees = {name: _flat(tree) for name, tree in network.variables.items()}
    for arrays in trees.values():
        for (name, axis), indices in kept.items():
            if name in arrays:
                arrays[name] = np.take(arrays[name], indices, axis=axis)
    return _replaced(network, trees, {"channels": channels})


def widths(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Any]:
    """Return the pruned network's builder option `widths`, in plain types."""
    counts = {group.name: len(kept[group.name]) for group in groups}
    listed = {
        kind: [n for name, n in counts.items() if name.startswith(f"{kind}/")] for kind in ("expansions", "features")
    }
    return {**listed, "last": counts["last"]}


def channel_counts(network: TrainedNetwork) -> dict[str, int]:
    """Return the number of channels of each group."""
    params = _flat(network.variables["params"])
    return {group.name: params[f"{group.made[0]}/kernel"].shape[-1] for group in groups_of(network)}


def parameter_count(network: TrainedNetwork) -> int:
    """Return the number of parameters used at inference: all but those of the threshold branch."""
    params = _flat(network.variables["params"])
    return sum(int(np.size(value)) for name, value in params.items() if not name.startswith("threshold/"))


def sensitivity(
    score: Callable[[Mapping[str, Any]], float],
    variables: Mapping[str, Any],
    group: ChannelGroup,
    base: float,
    *,
    ratios: Sequence[float] = RATIOS,
    max_loss: float,
    multiple: int,
) -> Losses:
    """Return the score's relative losses if only this group is pruned, without training afterwards.

    Args:
        score: Function from variables of the network's shapes to a score; higher is better.
        variables: Variables of the network.
        group: One of its channel groups.
        base: Score of `variables`, above 0.
        ratios: Shares to try in ascending order; it stops after the first loss above `max_loss`.
        max_loss: Largest acceptable loss.
        multiple: Numbers of channels are rounded to multiples of this; the result has the shares that were really
            pruned.
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


def largest_ratio(losses: Losses, max_loss: float) -> float:
    """Return the largest share to prune whose loss is at most `max_loss`, by linear interpolation."""
    points = [(0.0, 0.0), *sorted(losses.items())]
    for (low, before), (high, after) in pairwise(points):
        if after > max_loss:
            return low + (high - low) * max(0.0, (max_loss - before) / (after - before))
    return points[-1][0]


def _flat(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    flat: dict[str, Any] = traverse_util.flatten_dict(dict(tree), sep="/")
    return {name: np.asarray(value) for name, value in flat.items()}
