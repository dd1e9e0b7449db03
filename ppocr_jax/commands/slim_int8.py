"""`ppocr-jax slim int8`: networks that compute with bytes, and what that costs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import PageCounter, positive, require, say
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.images import Input
    from ppocr_jax.slim.int8 import Comparison

_TASKS = ("det", "rec", "cls")
_USUAL_TASKS = ("det", "rec")  # the direction classifier is so narrow that it is slower in int8
_LEAST_TO_HOLD_OUT = 8
_HELD_OUT = 4  # one input of so many


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim int8`."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="built-in model or model folder")
    add("--pictures", nargs="+", required=True, metavar="PATH", help="such as it will read: files or folders")
    add("--output", type=Path, required=True, metavar="DIR", help="the new model folder")
    add("--tasks", nargs="+", metavar="TASK", help=f"networks, of {', '.join(_TASKS)}; default: det rec")
    add(
        "--no-vnni",
        action="store_true",
        help="for x86 CPUs that lack VNNI, such as AMD's before Zen 4: weights of 7 bits",
    )
    add("--limit", type=positive, metavar="N", help="read only N of the pictures, evenly spread")


def run(args: argparse.Namespace) -> int:
    """Calibrate, quantize, write the folder, and print a row for each network.

    Raises:
        UserError: a package is missing; the model, a network or a picture cannot be read; the pictures hold no text;
            or the folder cannot be written.
    """
    require("slim int8", ("onnx",), "export")
    from ppocr_jax.images import find_inputs
    from ppocr_jax.inference.model_folder import load_model_folder
    from ppocr_jax.slim.int8 import check_folder, compare, quantize_to_folder, record_inputs

    model = load_model_folder(args.model)
    tasks = _chosen(args.tasks, [task for task in _TASKS if getattr(model, task) is not None])
    check_folder(model, args.output)
    found = find_inputs(args.pictures)
    with PageCounter(None) as counter:
        inputs = record_inputs(model, _pictures(found, args.limit, counter), tasks)
    calibration, compared = {}, {}
    for task, seen in inputs.items():
        calibration[task], compared[task] = _split(seen)
    try:
        quantized = quantize_to_folder(model, calibration, args.output, seven_bits=args.no_vnni)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or args.output}: {error.strerror or error}") from error
    say(f"slim int8: {args.output} is written; it is compared with {args.model} now")
    print(format_comparisons([compare(model, quantized, task, compared[task]) for task in tasks]))
    return 0


def _chosen(tasks: Sequence[str] | None, present: Sequence[str]) -> list[str]:
    """The tasks asked for, each once; by default the usual ones that the model has.

    Raises:
        UserError: there is no such task, or nothing to do.
    """
    unknown = [task for task in tasks or () if task not in _TASKS]
    if unknown:
        raise UserError(f"--tasks knows no {unknown[0]!r}, only {', '.join(_TASKS)}")
    chosen = list(dict.fromkeys(tasks)) if tasks else [task for task in _USUAL_TASKS if task in present]
    if not chosen:
        raise UserError("the model has neither a detector nor a recognizer: name networks with --tasks")
    return chosen


def _pictures(found: Sequence[Input], limit: int | None, counter: PageCounter) -> Iterator[np.ndarray]:
    """Pages of the files as (H, W, 3) uint8."""
    from ppocr_jax.images import read_pages

    count = min(limit or len(found), len(found))
    for k in range(count):
        for page in read_pages(found[k * len(found) // count]):
            counter.count(page.name)
            yield page.image_rgb


def _split(seen: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs to calibrate with, and others to compare with; the same where there are few."""
    if len(seen) < _LEAST_TO_HOLD_OUT:
        return list(seen), list(seen)
    held_out = set(range(_HELD_OUT - 1, len(seen), _HELD_OUT))
    return [x for i, x in enumerate(seen) if i not in held_out], [x for i, x in enumerate(seen) if i in held_out]


def format_comparisons(rows: Sequence[Comparison]) -> str:
    """A table: sizes and times before and after, differences, and how often both give the same."""
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
