"""`ppocr-jax extract-centers`: compute the class centers of Enhanced CTC with a trained recognizer."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

from ppocr_jax.commands.common import make_folder_of, positive
from ppocr_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `extract-centers`."""
    add = parser.add_argument
    add("trained", type=Path, metavar="RUN_OR_WEIGHTS", help="run folder or .safetensors file of a recognizer")
    add(
        "--labels",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="label file of training lines; may be repeated",
    )
    add("--output", type=Path, required=True, metavar="FILE", help=".safetensors file to write, for loss.centers")
    add("--charset", metavar="NAME_OR_FILE", help="characters of the recognizer, if its folder does not state them")
    add("--limit", type=positive, metavar="N", help="use only the first N lines")
    add(
        "--seed",
        type=int,
        default=0,
        help="random seed for the centers of characters that were never read (default: 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Compute the centers, save them, and print how many classes have one.

    Raises:
        UserError: The network or the labels cannot be read, no line was read correctly, or the file cannot be written.
    """
    from ppocr_jax.data.labels import LabelError, read_labels
    from ppocr_jax.evaluation.lines import line_samples
    from ppocr_jax.training.centers import extract_centers, save_centers
    from ppocr_jax.training.trained import load_trained

    make_folder_of(args.output)
    network = load_trained(args.trained, task="rec", charset=args.charset)
    try:
        records = [record for path in args.labels for record in read_labels(path).records]
    except (LabelError, OSError) as error:
        raise UserError(f"cannot read the labels: {error}") from error
    samples = islice(line_samples(records), args.limit)
    centers = extract_centers(network, samples, seed=args.seed)
    assert network.charset is not None
    try:
        save_centers(args.output, centers, network.charset)
    except OSError as error:
        raise UserError(f"cannot write {args.output}: {error.strerror}") from error
    seen = int((centers.counts > 0).sum())
    print(
        f"{centers.correct} of {centers.lines} lines read right; {seen} of {len(centers.counts)} classes have a center"
    )
    return 0
