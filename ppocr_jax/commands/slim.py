"""`ppocr-jax slim`: make trained networks smaller and faster by pruning or int8 quantization."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppocr_jax.commands.common import PageCounter, make_folder_of, positive, require, say, share
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.images import Input
    from ppocr_jax.slim.int8 import Comparison
    from ppocr_jax.slim.prune import ChannelGroup
    from ppocr_jax.training.network import TrainedNetwork

_MAX_LOSS = 0.02
_TASKS = ("det", "rec", "cls")
_USUAL_TASKS = ("det", "rec")  # the direction classifier is so narrow that it is slower in int8
_LEAST_TO_HOLD_OUT = 8  # with fewer inputs, calibration and comparison share all of them
_HELD_OUT = 4  # every fourth input is held out for comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim`, a subparser for each method."""
    methods = parser.add_subparsers(dest="method", required=True, metavar="METHOD")
    for name, (text, add_options, _) in _METHODS.items():
        add_options(methods.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))


def run(args: argparse.Namespace) -> int:
    """Run the chosen method; return the exit code.

    Raises:
        UserError: The network or an option is unsuitable, or the result cannot be written.
    """
    return _METHODS[args.method][2](args)


def _add_prune_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim prune`."""
    add = parser.add_argument
    add("trained", type=Path, metavar="RUN_OR_WEIGHTS", help="run folder, .safetensors file or model of a detector")
    add("--output", type=Path, required=True, metavar="OUT.safetensors", help="file to write the pruned network to")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--ratio", type=_part, metavar="R", help="share of the channels of every layer to remove (default: 0.1)"
    )
    how.add_argument(
        "--labels",
        type=Path,
        action="append",
        metavar="FILE",
        help="remove as many channels of each layer as --max-loss on these images allows; may be repeated",
    )
    add(
        "--neck",
        type=positive,
        metavar="N",
        help="channels of the neck; the heads get a quarter of it (default: unchanged)",
    )
    add(
        "--max-loss",
        type=share,
        default=_MAX_LOSS,
        metavar="L",
        help="with --labels, the largest relative loss of Hmean (default: %(default)s)",
    )
    add("--limit", type=positive, metavar="N", help="with --labels, use only N images of each file")
    add(
        "--multiple",
        type=positive,
        default=8,
        metavar="N",
        help="round channel counts to multiples of this (default: 8, which suits CPUs)",
    )


def _part(text: str) -> float:
    value = share(text)
    if value == 1:
        raise argparse.ArgumentTypeError("must be below 1, or nothing would be left")
    return value


def _run_prune(args: argparse.Namespace) -> int:
    """Prune a detector and print the remaining channels and parameters.

    Raises:
        UserError: The detector or the labels cannot be read, or the result cannot be written.
    """
    require("slim prune", ("jax", "flax", "safetensors"), "train")
    make_folder_of(args.output)
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
    smaller.save(args.output)
    print(_report(network, smaller, kept, args.output))
    return 0


def _ratios_by_loss(
    args: argparse.Namespace, network: TrainedNetwork, groups: Sequence[ChannelGroup]
) -> dict[str, float]:
    """Return the share of channels to prune from each group, printing each result because this takes long.

    Raises:
        UserError: The detector finds nothing in the images.
    """
    from ppocr_jax.slim.prune import largest_ratio, sensitivity

    score = _scorer(args, network)
    base = score(network.variables)
    if base <= 0:
        raise UserError("the detector finds nothing in these images, so no loss can be measured")
    print(f"Hmean {base:.4f}")
    ratios = {}
    for group in groups:
        losses = sensitivity(score, network.variables, group, base, max_loss=args.max_loss, multiple=args.multiple)
        ratios[group.name] = largest_ratio(losses, args.max_loss)
        tried = ", ".join(f"{pruned:.0%}: {loss:+.1%}" for pruned, loss in losses.items())
        why = f"loss at {tried}" if tried else "too few channels to prune any"
        print(f"{group.name:<14} prune {ratios[group.name]:.0%} ({why})", flush=True)
    return ratios


def _scorer(args: argparse.Namespace, network: TrainedNetwork) -> Callable[[Mapping[str, Any]], float]:
    """Return a function from variables of the network's shapes to Hmean on the labeled images."""
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


def _report(
    network: TrainedNetwork,
    smaller: TrainedNetwork,
    kept: Mapping[str, np.ndarray],
    output: Path,
) -> str:
    """Return a report of channels and parameters before and after, with the command to continue training."""
    from ppocr_jax.slim.prune import channel_counts, parameter_count

    before, after = parameter_count(network), parameter_count(smaller)
    counts = channel_counts(network)
    lines = [f"{name:<14} {counts[name]:>4} -> {len(channels)}" for name, channels in kept.items()]
    return "\n".join(
        [
            "channels",
            *lines,
            f"parameters: {before:,} -> {after:,} ({after / before - 1:+.0%})",
            f"continue training: python train_det.py --config CONFIG.toml --train.init {output} "
            "--train.work-dir NEW_FOLDER",
        ]
    )


def _add_int8_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim int8`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="built-in model or model folder")
    add(
        "--images",
        nargs="+",
        required=True,
        metavar="PATH",
        help="images for calibration, similar to those to be read: files or folders",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="model folder to write")
    add("--tasks", nargs="+", metavar="TASK", help=f"networks to quantize, of {', '.join(_TASKS)} (default: det rec)")
    add(
        "--no-vnni",
        action="store_true",
        help="use 7-bit weights, for x86 CPUs without VNNI, such as AMD before Zen 4",
    )
    add("--limit", type=positive, metavar="N", help="read only N of the images, evenly spread")


def _run_int8(args: argparse.Namespace) -> int:
    """Calibrate and quantize networks, write the model folder, and print a comparison of each network.

    Raises:
        UserError: A package is missing, the model, a network or an image cannot be read, the images contain no text, or
            the folder cannot be written.
    """
    require("slim int8", ("onnx",), "export")
    from ppocr_jax.images import find_inputs
    from ppocr_jax.inference.model_folder import METADATA_FILE, load_model_folder
    from ppocr_jax.slim.int8 import check_folder, compare, quantize_to_folder, record_inputs

    model = load_model_folder(args.model)
    tasks = _chosen(args.tasks, [task for task in _TASKS if getattr(model, task) is not None])
    check_folder(model, args.output)
    make_folder_of(args.output / METADATA_FILE if args.output.is_dir() else args.output)
    found = find_inputs(args.images)
    with PageCounter(None) as counter:
        inputs = record_inputs(model, _images(found, args.limit, counter), tasks)
    calibration, compared = {}, {}
    for task, seen in inputs.items():
        calibration[task], compared[task] = _split(seen)
    try:
        quantized = quantize_to_folder(model, calibration, args.output, seven_bits=args.no_vnni)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or args.output}: {error.strerror or error}") from error
    say(f"slim int8: wrote {args.output}; comparing it with {args.model}")
    print(format_comparisons([compare(model, quantized, task, compared[task]) for task in tasks]))
    return 0


def _chosen(tasks: Sequence[str] | None, present: Sequence[str]) -> list[str]:
    """Return the requested tasks without duplicates; by default the usual tasks for which the model has a network.

    Raises:
        UserError: A task is unknown, or the model has none of the usual networks.
    """
    unknown = [task for task in tasks or () if task not in _TASKS]
    if unknown:
        raise UserError(f"--tasks: no task {unknown[0]!r}; choose from {', '.join(_TASKS)}")
    chosen = list(dict.fromkeys(tasks)) if tasks else [task for task in _USUAL_TASKS if task in present]
    if not chosen:
        raise UserError("the model has neither a detector nor a recognizer: choose networks with --tasks")
    return chosen


def _images(found: Sequence[Input], limit: int | None, counter: PageCounter) -> Iterator[np.ndarray]:
    """Yield the pages of at most `limit` files, evenly spread, as (H, W, 3) uint8."""
    from ppocr_jax.data.images import evenly_spread
    from ppocr_jax.images import read_pages

    for source in evenly_spread(found, limit):
        for page in read_pages(source):
            counter.count(page.name)
            yield page.image_rgb


def _split(seen: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the inputs for calibration and for comparison; both are all inputs if there are few."""
    if len(seen) < _LEAST_TO_HOLD_OUT:
        return list(seen), list(seen)
    held_out = set(range(_HELD_OUT - 1, len(seen), _HELD_OUT))
    return [x for i, x in enumerate(seen) if i not in held_out], [x for i, x in enumerate(seen) if i in held_out]


def format_comparisons(rows: Sequence[Comparison]) -> str:
    """Return a table of sizes and times before and after, output differences, and agreement of the results."""
    cells = [("network", "MB", "int8", "ms", "int8", "faster", "mean diff", "max diff", "same result", "inputs")]
    for row in rows:
        (size, small), (slow, fast) = row.megabytes, row.milliseconds
        cells.append(
            (
                row.task,
                f"{size:.2f}",
                f"{small:.2f}",
                f"{slow:.1f}",
                f"{fast:.1f}",
                f"{slow / fast:.2f}x",
                f"{row.mean_difference:.5f}",
                f"{row.max_difference:.3f}",
                f"{row.agreement:.1%}",
                str(row.inputs),
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(lines)


_METHODS = {
    "prune": ("remove the least important filters of a detector (FPGM)", _add_prune_options, _run_prune),
    "int8": ("quantize networks to int8", _add_int8_options, _run_int8),
}
"""Name -> help text, function that declares the options, function that runs the method."""
