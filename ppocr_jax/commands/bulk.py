"""`ppocr-jax bulk`: read large collections of documents, on one machine or a Ray cluster, to Parquet or JSON Lines."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import add_networks, add_read_options, network_options, positive, read_options
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.bulk.run import Tally

_PROGRESS_SECONDS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bulk`."""
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="files, folders, glob patterns, or Parquet files with the file contents; paths or URLs",
    )
    parser.add_argument(
        "--list",
        type=Path,
        metavar="FILE",
        help="file with one INPUT per line, or the output of `find -print0`; - for standard input",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder to write the parts to; path or URL")
    parser.add_argument(
        "--format", choices=["parquet", "jsonl"], default="parquet", help="file format of the parts (default: parquet)"
    )
    parser.add_argument(
        "--engine", choices=["local", "ray"], default="local", help="where to run (default: local, on this machine)"
    )
    parser.add_argument("--num-cpus", type=positive, metavar="N", help="CPU cores to use (default: all, of all nodes)")
    parser.add_argument(
        "--ray-address", metavar="ADDRESS", help="address of a Ray cluster (default: RAY_ADDRESS, or this machine)"
    )
    group = parser.add_argument_group("OCR options")
    add_networks(group, backends=("onnx", "openvino"))
    add_read_options(group)
    group.add_argument("--words", action="store_true", help="include words and characters")
    group.add_argument("--column", metavar="NAME", help="column of Parquet files that holds the file contents")
    group.add_argument("--password", help="password of encrypted PDF files")
    group.add_argument(
        "--dpi",
        type=float,
        metavar="N",
        help="resolution at which PDF pages are rendered (default: that of the scan, otherwise 200)",
    )


def run(args: argparse.Namespace) -> int:
    """Read the documents that are not in the output yet; return 1 if a page or document could not be read.

    Raises:
        UserError: An input cannot be found, the output cannot be written, or a package is missing.
    """
    try:
        from ppocr_jax.bulk.run import BulkSettings, run_bulk
    except ImportError as error:
        raise UserError(f'bulk needs {error.name}: pip install "ppocr-jax[bulk]"') from error
    inputs = [*args.inputs, *(_listed(args.list) if args.list is not None else [])]
    if not inputs:
        raise UserError("no input: pass files, folders or --list")
    settings = BulkSettings(
        model=args.model,
        networks=network_options(args),
        options=read_options(args),
        dpi=args.dpi,
        password=args.password,
        words=args.words,
        column=args.column,
    )
    begun = time.perf_counter()
    tally = run_bulk(
        inputs,
        args.output,
        settings=settings,
        engine=args.engine,
        file_format=args.format,
        workers=args.num_cpus,
        address=args.ray_address,
        progress=_Progress(begun),
    )
    seconds = time.perf_counter() - begun
    were = "was" if tally.skipped == 1 else "were"
    print(
        f"{_counted(tally.documents, 'document')}, {_counted(tally.pages, 'page')} in {seconds:.1f} s "
        f"({tally.pages / seconds:.2f} pages/s); {_counted(tally.errors, 'error')}; "
        f"{_counted(tally.skipped, 'document')} {were} already done"
    )
    return int(tally.errors > 0)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(path: Path) -> Iterator[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if "\0" in text:
        return (name for name in text.split("\0") if name)
    return (row.removesuffix("\r") for row in text.split("\n") if row.strip())


class _Progress:
    """Progress messages on standard error, at most one every `_PROGRESS_SECONDS`."""

    def __init__(self, begun: float) -> None:
        self._begun, self._said = begun, begun

    def __call__(self, tally: Tally) -> None:
        now = time.perf_counter()
        if now - self._said >= _PROGRESS_SECONDS:
            self._said = now
            sys.stderr.write(
                f"bulk: {_counted(tally.documents, 'document')}, {_counted(tally.pages, 'page')}, "
                f"{tally.pages / (now - self._begun):.2f} pages/s, {_counted(tally.errors, 'error')}\n"
            )
