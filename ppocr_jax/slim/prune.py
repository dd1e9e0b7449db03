"""Pruning a trained detector: whole channels leave it, in every layer that makes, passes on or takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flax import traverse_util

from ppocr_jax.errors import UserError
from ppocr_jax.slim.fpgm import filter_importance, kept_channels
from ppocr_jax.slim.groups import PRUNABLE, ChannelGroup, detector_groups
from ppocr_jax.training.network import TrainedNetwork

Kept = Mapping[str, np.ndarray]
"""Group -> indices of the channels that stay."""


def groups_of(network: TrainedNetwork) -> list[ChannelGroup]:
    """The groups of channels that can be pruned.

    Raises:
        UserError: the network is of another kind.
    """
    if network.spec.network != PRUNABLE:
        raise UserError(f"only {PRUNABLE} can be pruned, not {network.spec.network}")
    return detector_groups(network.spec.options)


def choose_channels(
    variables: Mapping[str, Any], groups: Sequence[ChannelGroup], ratios: Mapping[str, float], *, multiple: int
) -> dict[str, np.ndarray]:
    """The channels that stay, by FPGM.

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
    """Variables of the same shapes, in which the group's other channels are zero wherever they are seen.

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
    """The network without the channels that do not stay; it knows its widths and can be exported and trained.

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
    options = {**network.spec.options, "widths": widths(groups, kept)}
    return replace(
        network,
        spec=replace(network.spec, options=options),
        variables={name: traverse_util.unflatten_dict(arrays, sep="/") for name, arrays in trees.items()},
        origin={**network.origin, "pruned": True},
    )


def widths(groups: Sequence[ChannelGroup], kept: Kept) -> dict[str, Any]:
    """The builder's option `widths` of the pruned network, in plain types."""
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
    """Parameters that reading needs: all but those of the threshold branch."""
    params = _flat(network.variables["params"])
    return sum(int(np.size(value)) for name, value in params.items() if not name.startswith("threshold/"))


def _flat(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    flat: dict[str, Any] = traverse_util.flatten_dict(dict(tree), sep="/")
    return {name: np.asarray(value) for name, value in flat.items()}
