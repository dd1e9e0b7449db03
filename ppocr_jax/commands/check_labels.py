"""`ppocr-jax check-labels`: find problems in labels and draw a sheet of samples.

Exit code 0: no errors. Exit code 1: errors (with --strict also warnings), a recognizer could train on less than half
of the lines, or the labels could not be read.
"""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import check_image_output, positive, write_image
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.charset import Charset
    from ppocr_jax.config import RecConfig
    from ppocr_jax.data.label_check import LabelReport
    from ppocr_jax.data.labels import LabelSet

_CHARACTERS_SHOWN = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `check-labels`."""
    add = parser.add_argument
    add("labels", type=Path, metavar="FILE", help="label file, folder of label files, or LMDB database")
    add("--format", default="auto", metavar="NAME", help="label format, such as ppocr-det or icdar2015 (default: auto)")
    add("--images", type=Path, metavar="DIR", help="image folder (default: where the label format expects it)")
    add(
        "--config",
        metavar="FILE",
        help="recognizer configuration, such as rec/en, from which to take --charset and --max-length",
    )
    add("--charset", metavar="NAME_OR_FILE", help="built-in charset or file (default: that of --config, or en)")
    add("--space", action="store_true", help="add a space to a charset file, like use_space_char of PaddleOCR")
    add("--max-length", type=positive, metavar="N", help="longest text to train on (default: that of --config, or 25)")
    add("--examples", type=positive, default=5, metavar="N", help="examples to show of each problem (default: 5)")
    add("--sheet", type=Path, metavar="SHEET.png", help="draw a sample of the labels to this image")
    add("--sheet-count", type=positive, metavar="N", help="images on the sheet (default: 6 pages or 48 lines)")
    add("--strict", action="store_true", help="treat warnings as errors")


def run(args: argparse.Namespace) -> int:
    """Check labels and print a report; return 1 if there are errors or most lines cannot be used.

    Raises:
        UserError: The labels, the configuration or the charset cannot be read, the format is unknown, or the sheet
            cannot be written.
    """
    from ppocr_jax.config import RecConfig
    from ppocr_jax.config_io import find_config, load_config
    from ppocr_jax.data.label_check import check_labels

    if args.sheet is not None:
        check_image_output(args.sheet)
    config = RecConfig() if args.config is None else load_config(RecConfig, find_config(args.config))
    name = config.model.charset if args.charset is None else args.charset
    charset = _charset(name, space=args.space or config.charset_space)
    max_length = args.max_length or config.data.max_label_length or _longest_of_widest(config, charset)
    labels = _read(args)
    report = check_labels(labels, charset, max_length=max_length)
    print("\n".join(report_lines(labels, report, charset_name=name, examples=args.examples)))
    if args.sheet is not None:
        from ppocr_jax.data.sheets import draw_sheet

        write_image(args.sheet, draw_sheet(labels, report, count=args.sheet_count))
    warnings_count = args.strict and report.count("warning") > 0
    return int(report.count("error") > 0 or warnings_count or _mostly_unusable(report))


def _longest_of_widest(config: RecConfig, charset: Charset) -> int:
    """Return the maximum label length in training if the configuration leaves it to the network.

    Raises:
        UserError: JAX, which is needed to compute the number of frames per line, is not installed.
    """
    try:
        from ppocr_jax.training.recognition import frame_width
    except ModuleNotFoundError as error:
        raise UserError(
            f"the longest label depends on the network of --config, which needs {error.name}: "
            'pip install "ppocr-jax[train]", or pass --max-length'
        ) from error
    return config.data.longest_label(frame_width(config, charset))


def _mostly_unusable(report: LabelReport) -> bool:
    return 2 * report.trainable < report.texts


def report_lines(labels: LabelSet, report: LabelReport, *, charset_name: str, examples: int) -> Iterator[str]:
    """Yield the lines of the report: counts, characters, and each kind of problem with some examples."""
    from ppocr_jax.data.label_check import PROBLEMS
    from ppocr_jax.data.labels import FORMATS

    yield f"{labels.path}: {labels.format} ({FORMATS[labels.format].description})"
    unit = "regions" if labels.task == "det" else "lines"
    yield f"images {report.images}, {unit} {report.regions}, ignored {report.ignored}, without text {report.empty}"
    yield from _character_lines(report, charset_name)
    for kind, (severity, meaning) in PROBLEMS.items():
        found = report.of_kind(kind)
        if not found:
            continue
        yield f"{severity}: {len(found)} {meaning} ({kind})"
        yield from (f"  {problem}" for problem in found[:examples])
        if len(found) > examples:
            yield f"  ... and {len(found) - examples} more"
    if report.trainable < report.texts:
        found = f"a recognizer can train on {report.trainable:,} of {report.texts:,} lines"
        fitting = any(report.of_kind(kind) for kind in ("too-long", "unknown-characters"))
        advice = "; pass its --charset or --config" if fitting else ""
        yield f"error: {found}{advice}" if _mostly_unusable(report) else found
    yield f"{report.count('error')} errors, {report.count('warning')} warnings"


def _character_lines(report: LabelReport, charset_name: str) -> Iterator[str]:
    total, unknown = report.characters.total(), report.unknown.total()
    share = f" ({100 * (total - unknown) / total:.2f} %)" if total else ""
    yield f"characters {total}, in charset {charset_name} {total - unknown}{share}"
    if unknown:
        shown = report.unknown.most_common(_CHARACTERS_SHOWN)
        more = len(report.unknown) - len(shown)
        listed = ", ".join(f"{_described(c)} x{n}" for c, n in shown)
        yield f"unknown characters: {listed}" + (f" ... and {more} more" if more else "")


def _described(character: str) -> str:
    """Return a character with its code point, or the code point and name of an invisible character."""
    visible, code = unicodedata.category(character)[0] not in "CZM", f"U+{ord(character):04X}"
    return f"{character} {code}" if visible else f"{code} {unicodedata.name(character, '')}".strip()


def _charset(name: str, *, space: bool) -> Charset:
    from ppocr_jax.charset import load_charset

    try:
        return load_charset(name, space=space)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error


def _read(args: argparse.Namespace) -> LabelSet:
    from ppocr_jax.data.labels import detect_format, read_labels

    try:
        # Detected here because `read_labels` would log a message that repeats the report.
        format = detect_format(args.labels) if args.format == "auto" and args.labels.exists() else args.format
        labels = read_labels(args.labels, format, image_root=args.images, strict=False)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or args.labels}: {error.strerror}") from error
    if not labels.records and not labels.bad_entries:
        raise UserError(f"{args.labels}: contains no labels")
    return labels
