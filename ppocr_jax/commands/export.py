"""`ppocr-jax export`: write trained networks to a model folder, or as TensorFlow files."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import require
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.export.parity import ParityRow

_NEEDED = {
    "jax2onnx": (("jax", "flax", "onnx", "jax2onnx"), "export"),
    "jax2tf": (("jax", "flax", "onnx", "tensorflow", "tf2onnx"), "tensorflow"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `export`."""
    add = parser.add_argument
    add("trained", nargs="+", type=Path, metavar="RUN_OR_WEIGHTS", help="run folder or .safetensors file")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="model folder to write; networks of other tasks in it are kept",
    )
    add("--name", help="name of the model (default: that of the folder)")
    add("--task", choices=["det", "cls", "rec"], help="task of a .safetensors file that has no description")
    add("--charset", metavar="NAME_OR_FILE", help="characters of a recognizer, if its folder does not state them")
    add("--full-precision", action="store_true", help="keep the weights in full precision (default: half precision)")
    add(
        "--share",
        type=Path,
        metavar="DIR",
        help="model folder to share files with: identical files are referred to instead of written",
    )
    add("--alone", action="store_true", help="do not complete the folder with the networks of en")
    add(
        "--via",
        choices=list(_NEEDED),
        default="jax2onnx",
        help="export path; jax2tf writes SavedModel, TFLite and ONNX files of fixed size (default: jax2onnx)",
    )
    add(
        "--tflite",
        nargs="+",
        choices=["float16", "int8"],
        default=[],
        help="with --via jax2tf, also write smaller .tflite files",
    )
    add(
        "--shape",
        type=_shape,
        metavar="BxHxW",
        help="with --via jax2tf, the input shape (default: 1x640x640, 1x48x192 or 1x32x320, depending on the task)",
    )


def run(args: argparse.Namespace) -> int:
    """Export networks and print how much the outputs of the files differ from those of the networks.

    Raises:
        UserError: A network cannot be loaded or written, or the outputs of a file differ too much from its network's.
    """
    modules, extra = _NEEDED[args.via]
    require(f"--via {args.via}", modules, extra)
    if args.shape is not None and (args.via != "jax2tf" or len(args.trained) > 1):
        raise UserError("--shape requires --via jax2tf and a single network")
    if args.tflite and args.via != "jax2tf":
        raise UserError("--tflite requires --via jax2tf")
    from ppocr_jax.training.trained import load_trained

    networks = [load_trained(path, task=args.task, charset=args.charset) for path in args.trained]
    try:
        if args.via == "jax2tf":
            from ppocr_jax.export.tensorflow import export_fixed_size

            reports = {n.task: export_fixed_size(n, args.output, args.shape, smaller=args.tflite) for n in networks}
        else:
            from ppocr_jax.export.model_folder import export_to_folder

            reports = export_to_folder(
                networks,
                args.output,
                name=args.name,
                full_precision=args.full_precision,
                share=args.share,
                complete=not args.alone,
            )
    except OSError as error:
        raise UserError(f"cannot write {error.filename or args.output}: {error.strerror or error}") from error
    print(format_reports(reports))
    return 0


def format_reports(reports: Mapping[str, Sequence[ParityRow]]) -> str:
    """Return one row per network and input shape."""
    rows = [("network", "input (B, H, W, C)", "max |JAX - ONNX Runtime|")]
    rows += [(task, str(row.shape), f"{row.max_abs_diff:.1e}") for task, found in reports.items() for row in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _shape(text: str) -> tuple[int, int, int]:
    try:
        batch, height, width = (int(part) for part in text.lower().split("x"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must look like 1x640x640, not {text!r}") from error
    if min(batch, height, width) < 1:
        raise argparse.ArgumentTypeError(f"sizes must be at least 1, not {text!r}")
    return batch, height, width
