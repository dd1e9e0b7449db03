"""`ppocr-jax slim prune`: a narrower detector, to be trained further."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppocr_jax.commands.common import positive, require, share
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.slim.prune import ChannelGroup
    from ppocr_jax.training.network import TrainedNetwork

_MAX_LOSS = 0.02


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim prune`."""
    add = parser.add_argument
    add("trained", type=Path, metavar="RUN_OR_WEIGHTS", help="training folder or .safetensors file of a detector")
    add("--output", type=Path, required=True, metavar="OUT.safetensors", help="the narrower network")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--ratio", type=_part, metavar="R", help="share of every layer's channels to leave out; default: 0.1"
    )
    how.add_argument(
        "--labels",
        type=Path,
        action="append",
        metavar="FILE",
        help="of each layer as many as its loss on these pictures allows; may be repeated",
    )
    add("--neck", type=positive, metavar="N", help="channels of the neck, whose heads get a quarter; default: as it is")
    add(
        "--max-loss",
        type=share,
        default=_MAX_LOSS,
        metavar="L",
        help="with --labels: of Hmean, relative; default: %(default)s",
    )
    add("--limit", type=positive, metavar="N", help="with --labels: only so many pictures of each file")
    add(
        "--multiple",
        type=positive,
        default=8,
        metavar="N",
        help="numbers of channels are multiples of it; default: 8, which CPUs like",
    )


def _part(text: str) -> float:
    value = share(text)
    if value == 1:
        raise argparse.ArgumentTypeError("nothing would be left")
    return value


def run(args: argparse.Namespace) -> int:
    """Prune, and print what is left.

    Raises:
        UserError: there is no such detector, labels cannot be read, or the result cannot be written.
    """
    require("slim prune", ("jax", "flax", "safetensors"), "train")
    from ppocr_jax.slim.prune import choose_channels, groups_of, narrow_neck, prune
    from ppocr_jax.training.trained import load_trained

    network = load_trained(args.trained, task="det")
    groups = groups_of(network)
    if args.labels:
        ratios = _ratios_by_loss(args, network, groups)
    else:
        ratios = dict.fromkeys((group.name for group in groups), 0.1 if args.ratio is None else args.ratio)
    kept = choose_channels(network.variables, groups, ratios, multiple=args.multiple)
    smaller = prune(network, kept)
    if args.neck is not None:
        smaller = narrow_neck(smaller, args.neck)
    _save(args.output, smaller)
    print(_report(network, smaller, kept, args.output))
    return 0


def _ratios_by_loss(
    args: argparse.Namespace, network: TrainedNetwork, groups: Sequence[ChannelGroup]
) -> dict[str, float]:
    """How much of each group can go; says what it found as it goes on, since this takes a while."""
    from ppocr_jax.slim.prune import largest_ratio, sensitivity

    score = _scorer(args, network)
    base = score(network.variables)
    if base <= 0:
        raise UserError("the detector finds nothing in these pictures: no loss can be measured")
    print(f"Hmean {base:.4f}")
    ratios = {}
    for group in groups:
        losses = sensitivity(score, network.variables, group, base, max_loss=args.max_loss, multiple=args.multiple)
        ratios[group.name] = largest_ratio(losses, args.max_loss)
        tried = ", ".join(f"{pruned:.0%}: {loss:+.1%}" for pruned, loss in losses.items())
        print(f"{group.name:<14} prune {ratios[group.name]:.0%} (loss at {tried or 'nothing tried'})", flush=True)
    return ratios


def _scorer(args: argparse.Namespace, network: TrainedNetwork) -> Any:
    from ppocr_jax.config import DetConfig, DetDataConfig, DetReadingConfig, LabelSource
    from ppocr_jax.inference.model_folder import DetectorSpec
    from ppocr_jax.models import build_model
    from ppocr_jax.training import detection

    assert isinstance(network.spec, DetectorSpec)
    reading = network.spec.postprocess
    config = DetConfig(
        data=DetDataConfig(val_labels=tuple(LabelSource(str(path)) for path in args.labels), val_limit=args.limit),
        reading=DetReadingConfig(reading.threshold, reading.box_threshold, reading.unclip_ratio),
    )
    evaluate = detection.evaluation(build_model(network.spec.network, **network.spec.options), config)
    return lambda variables: evaluate(variables)["hmean"]


def _save(path: Path, network: TrainedNetwork) -> None:
    from safetensors import SafetensorError

    from ppocr_jax.export.metadata import weights_metadata
    from ppocr_jax.models.io import save_safetensors

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_safetensors(path, network.variables, metadata=weights_metadata(network))
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def _report(
    network: TrainedNetwork,
    smaller: TrainedNetwork,
    kept: Mapping[str, np.ndarray],
    output: Path,
) -> str:
    """What became of the channels, and how to go on."""
    from ppocr_jax.slim.prune import channel_counts, parameter_count

    before, after = parameter_count(network), parameter_count(smaller)
    counts = channel_counts(network)
    lines = [f"{name:<14} {counts[name]:>4} -> {len(channels)}" for name, channels in kept.items()]
    return "\n".join(
        [
            "channels",
            *lines,
            f"parameters: {before:,} -> {after:,} ({after / before - 1:+.0%})",
            f"train it further: python train_det.py --config CONFIG.toml --train.init {output}",
        ]
    )
