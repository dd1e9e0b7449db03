"""`ppocr-jax convert`: convert PaddleOCR checkpoints and inference files to weights of ppocr_jax."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ppocr_jax.commands.common import make_folder_of, require
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.convert.identify import Identified
    from ppocr_jax.convert.inference_file import Converted
    from ppocr_jax.training.network import TrainedNetwork

# Files that describe the weights in the same folder; they take precedence over the metadata of a weights file.
_DESCRIPTIONS = ("model.json", "config.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `convert`."""
    add = parser.add_argument
    add("weights", type=Path, metavar="FILE", help="checkpoint (.pdparams) or inference model (.onnx, .pdmodel, .json)")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="file to write: .safetensors, or .onnx for Paddle inference models",
    )
    add(
        "--charset",
        metavar="FILE_OR_NAME",
        help="characters of a recognizer: PaddleOCR's dictionary, one character per line",
    )
    add(
        "--learner",
        metavar="NAME",
        help="network to take from a checkpoint of several (default: Student, if there is one)",
    )
    add("--network", metavar="NAME", help="architecture, such as crnn_lcnet (default: detected from the tensors)")


def run(args: argparse.Namespace) -> int:
    """Convert a file and print a summary.

    Raises:
        UserError: The file cannot be read or contains no known network, its characters are missing or do not match, the
            outputs of the file and of the converted network differ, or the result cannot be written.
    """
    require("convert", ("jax", "flax", "safetensors"), "train")
    _check_output(args.output)
    data = _inference_file(args)
    if data is not None and args.output.suffix == ".onnx":
        _write(args.output, data)
        print(f"{args.weights} -> {args.output} (an ONNX file for --det, --rec or --cls)")
        return 0
    found = _checkpoint(args) if data is None else _inference_network(args, data)
    network, notes = _with_characters(found, args)
    network.save(args.output)
    print("\n".join([_summary(network, [*notes, *found.notes], args.output), *found.remarks]))
    return 0


class _Found(NamedTuple):
    """The network in a file.

    Attributes:
        network: The network.
        characters: Its characters, if the file contains them.
        notes, remarks: For the summary, on its line and after it.
    """

    network: Identified | Converted
    characters: list[str] | None = None
    notes: Sequence[str] = ()
    remarks: Sequence[str] = ()


def _checkpoint(args: argparse.Namespace) -> _Found:
    """Return the network in a checkpoint, which has no characters."""
    from ppocr_jax.convert.identify import identify, select_learner
    from ppocr_jax.convert.paddle import learner_names
    from ppocr_jax.convert.pdparams import load_pdparams

    checkpoint = load_pdparams(args.weights)
    learner, tensors = select_learner(checkpoint, args.learner)
    notes = [f"learner {learner} of {', '.join(learner_names(checkpoint))}"] if learner is not None else []
    return _Found(identify(tensors, args.network), notes=notes)


def _inference_file(args: argparse.Namespace) -> bytes | None:
    """Return an inference file as ONNX; None if `weights` is not an inference file.

    Raises:
        UserError: The file cannot be read or converted to ONNX.
    """
    from ppocr_jax.convert.paddle_inference import paddle_to_onnx
    from ppocr_jax.convert.paddle_program import find_paddle_model
    from ppocr_jax.models.io import WeightsError

    try:
        model = find_paddle_model(args.weights)
        if model is not None:
            return paddle_to_onnx(*(file.read_bytes() for file in model))
        return args.weights.read_bytes() if args.weights.suffix == ".onnx" else None
    except OSError as error:
        raise UserError(f"cannot read {args.weights}: {error.strerror or error}") from error
    except WeightsError as error:
        raise UserError(f"{args.weights} cannot be converted: {error}") from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def _inference_network(args: argparse.Namespace, data: bytes) -> _Found:
    """Return the network in an inference file.

    Raises:
        UserError: The file cannot be converted, or the outputs of the file and of the converted network differ.
    """
    from ppocr_jax.convert.inference_file import convert_inference_file, parity
    from ppocr_jax.onnx_graph.graph import Graph
    from ppocr_jax.onnx_graph.messages import OnnxFileError

    if args.learner is not None:
        raise UserError(f"{args.weights} is an inference file with a single network: omit --learner")
    try:
        converted = convert_inference_file(data, args.network)
        characters = Graph(data).metadata.get("character")
        difference = parity(data, converted)
    except OnnxFileError as error:
        raise UserError(f"{args.weights} cannot be converted: {error}") from error
    remarks = [
        f"all {converted.tensors} tensors of the file are used; outputs differ by {difference:.1e} on a test image"
    ]
    remarks += [f"not in the file, so random until trained: {part}" for part in converted.initialized]
    lines = characters.removesuffix("\n").split("\n") if characters else None
    return _Found(converted, lines, remarks=remarks)


def _check_output(path: Path) -> None:
    """Create the output's folder and check that the file can be written and no description of other weights is there.

    Raises:
        UserError: It cannot be written, or the folder contains a description of other weights.
    """
    make_folder_of(path)
    for name in _DESCRIPTIONS:
        if (path.parent / name).exists():
            raise UserError(f"{path.parent} contains {name}, which describes other weights: choose another folder")


def _with_characters(found: _Found, args: argparse.Namespace) -> tuple[TrainedNetwork, list[str]]:
    """Return the network, with its charset if it is a recognizer, and notes.

    Raises:
        UserError: The characters are missing, cannot be read, or do not fit the number of classes.
    """
    from dataclasses import replace

    from ppocr_jax.charset import BUILTIN_CHARSETS, fit_dictionary, read_dictionary
    from ppocr_jax.convert.identify import without_unused_classes
    from ppocr_jax.training.network import TrainedNetwork

    spec, variables, lines = found.network.spec, found.network.variables, found.characters
    if spec.task != "rec":
        if args.charset is not None:
            raise UserError(f"{args.weights} contains a network without characters ({spec.network}): omit --charset")
        return TrainedNetwork(spec, variables), []
    num_classes = spec.options["num_classes"]
    try:
        if args.charset in BUILTIN_CHARSETS:
            lines = BUILTIN_CHARSETS[args.charset]().characters
        elif args.charset is not None:
            lines = read_dictionary(args.charset)
        if lines is None:
            message = f"a recognizer with {num_classes} classes: add --charset FILE with its dictionary"
            raise UserError(message)
        classes, notes = fit_dictionary(lines, num_classes, args.charset or args.weights)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(str(error)) from error
    variables, charset, unused = without_unused_classes(variables, classes.characters)
    spec = replace(spec, options={**spec.options, "num_classes": charset.num_classes})
    left_out = [f"without the unused classes {', '.join(map(str, unused))}"] if unused else []
    return TrainedNetwork(spec, variables, charset), [*notes, *left_out]


def _summary(network: TrainedNetwork, notes: list[str], path: Path) -> str:
    """Return e.g. "db_mobilenet_v3 (scale 0.5, channels 96): 260 tensors, 583,234 parameters -> det.safetensors"."""
    import jax

    options = ", ".join([f"{name} {value}" for name, value in network.spec.options.items()] + notes)
    tensors = len(jax.tree.leaves(network.variables))
    parameters = sum(array.size for array in jax.tree.leaves(network.variables["params"]))
    return f"{network.spec.network} ({options}): {tensors} tensors, {parameters:,} parameters -> {path}"
