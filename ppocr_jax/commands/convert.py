"""`ppocr-jax convert`: weights of PaddleOCR as weights of ppocr_jax."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.convert.identify import Identified
    from ppocr_jax.training.network import TrainedNetwork

_NEEDED = ("jax", "flax", "safetensors")
# Files that describe the weights beside them, before the description inside these is looked at.
_DESCRIPTIONS = ("model.json", "config.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `convert`."""
    add = parser.add_argument
    add("weights", type=Path, metavar="FILE.pdparams", help="checkpoint of a PaddleOCR training")
    add("--output", type=Path, required=True, metavar="FILE", help="a .safetensors file, which says what it holds")
    add("--charset", metavar="FILE_OR_NAME", help="of a recognizer: PaddleOCR's dictionary, one character a line")
    add("--no-space", action="store_true", help="no space follows the dictionary's characters (use_space_char: False)")
    add("--learner", metavar="NAME", help="of a checkpoint of several networks; default: Student, where there is one")
    add("--network", metavar="NAME", help="such as crnn_lcnet; default: what names and shapes of the tensors say")


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was found.

    Raises:
        UserError: the checkpoint cannot be read or holds no network of ours, its characters are missing or others, or
            the file cannot be written.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"needs {', '.join(missing)}: pip install 'ppocr-jax[train]'")
    from ppocr_jax.convert.identify import identify, select_learner
    from ppocr_jax.convert.paddle import learner_names
    from ppocr_jax.convert.pdparams import load_pdparams

    _check_output(args.output)
    checkpoint = load_pdparams(args.weights)
    learner, tensors = select_learner(checkpoint, args.learner)
    network, notes = _with_characters(identify(tensors, args.network), args)
    if learner is not None:
        notes.append(f"learner {learner} of {', '.join(learner_names(checkpoint))}")
    _save(args.output, network)
    print(_summary(network, notes, args.output))
    return 0


def _check_output(path: Path) -> None:
    """Refuse a place that cannot be written, or where the file would be taken for another network."""
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"cannot write {path}: {'it is a folder' if path.is_dir() else f'no folder {path.parent}'}")
    for name in _DESCRIPTIONS:
        if (path.parent / name).exists():
            raise UserError(f"{path.parent} holds {name}, which says what its weights are: choose another folder")


def _with_characters(found: Identified, args: argparse.Namespace) -> tuple[TrainedNetwork, list[str]]:
    """The network, a recognizer with its characters; and what else there is to say."""
    from dataclasses import replace

    from ppocr_jax.convert.dictionary import check_classes, read_classes, without_unused_classes
    from ppocr_jax.training.network import TrainedNetwork

    spec = found.spec
    if spec.task != "rec":
        if args.charset is not None:
            raise UserError(f"{args.weights} holds a network that reads no characters ({spec.network}): no --charset")
        return TrainedNetwork(spec, found.variables), []
    num_classes = spec.options["num_classes"]
    if args.charset is None:
        raise UserError(f"a recognizer of {num_classes} classes: add --charset FILE, the dictionary of its characters")
    classes = read_classes(args.charset, space=not args.no_space)
    check_classes(num_classes, classes, args.charset, space=not args.no_space)
    variables, charset, unused = without_unused_classes(found.variables, classes)
    spec = replace(spec, options={**spec.options, "num_classes": charset.num_classes})
    notes = [f"without the unused classes {', '.join(map(str, unused))}"] if unused else []
    return TrainedNetwork(spec, variables, charset), notes


def _save(path: Path, network: TrainedNetwork) -> None:
    from safetensors import SafetensorError

    from ppocr_jax.export.metadata import weights_metadata
    from ppocr_jax.models.io import save_safetensors

    try:
        save_safetensors(path, network.variables, metadata=weights_metadata(network))
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot write {path}: {error}") from error


def _summary(network: TrainedNetwork, notes: list[str], path: Path) -> str:
    """Such as "db_mobilenet_v3 (scale 0.5, channels 96): 260 tensors, 583,234 parameters -> det.safetensors"."""
    import jax

    options = ", ".join([f"{name} {value}" for name, value in network.spec.options.items()] + notes)
    tensors = len(jax.tree.leaves(network.variables))
    parameters = sum(array.size for array in jax.tree.leaves(network.variables["params"]))
    return f"{network.spec.network} ({options}): {tensors} tensors, {parameters:,} parameters -> {path}"
