"""`ppocr-jax language-model`: make a language model of texts, for reading uncertain lines."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from ppocr_jax.commands.common import make_folder_of, positive
from ppocr_jax.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `language-model`."""
    add = parser.add_argument
    add(
        "--texts",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE_OR_DIR",
        help="UTF-8 text files with one text per line, or folders of .txt files",
    )
    add(
        "--labels",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="label files, of which the texts are used; leave out labels without spaces",
    )
    add(
        "--label-weight",
        type=positive,
        default=3,
        metavar="N",
        help="how often to count a text of --labels, relative to one of --texts (default: %(default)s)",
    )
    add("--output", type=Path, required=True, metavar="FILE.npz", help="file to write, for --language-model")
    add("--order", type=positive, default=6, metavar="N", help="length of the longest n-grams (default: %(default)s)")
    add(
        "--ngrams",
        type=positive,
        default=400_000,
        metavar="N",
        help="number of n-grams to keep; a file takes about 3 bytes for each (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the model, save it, and print its size.

    Raises:
        UserError: The texts or labels cannot be read, there are none, or the file cannot be written.
    """
    from ppocr_jax.language_model import train_language_model

    if not args.texts and not args.labels:
        raise UserError("pass text files with --texts, or label files with --labels")
    make_folder_of(args.output)
    texts = [*_lines_of(args.texts), *((text, args.label_weight) for text in _labeled(args.labels))]
    model = train_language_model(texts, order=args.order, most=args.ngrams)
    try:
        model.save(args.output)
    except OSError as error:
        raise UserError(f"cannot write {args.output}: {error.strerror}") from error
    size = args.output.stat().st_size / 1e6
    print(f"{args.output}: {len(model.keys)} n-grams of {len(texts)} texts, {size:.2f} MB")
    return 0


def _lines_of(paths: Sequence[Path]) -> Iterator[tuple[str, float]]:
    from ppocr_jax.synth.corpus import Corpus

    try:
        files = Corpus.from_files(paths).files if paths else ()
        for file in files:
            with open(file, encoding="utf-8-sig") as lines:
                yield from ((line, 1.0) for line in lines)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the texts: {error}") from error


def _labeled(paths: Sequence[Path]) -> Iterator[str]:
    from ppocr_jax.data.labels import DetectionRecord, LabelError, read_labels

    for path in paths:
        try:
            records = read_labels(path).records
        except (LabelError, OSError) as error:
            raise UserError(f"cannot read the labels: {error}") from error
        for record in records:
            if isinstance(record, DetectionRecord):
                yield from (region.text for region in record.regions if not region.ignore and region.text)
            else:
                yield record.text
