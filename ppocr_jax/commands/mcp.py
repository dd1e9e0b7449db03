"""`ppocr-jax mcp`: run a Model Context Protocol server over standard input and output."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from ppocr_jax.commands.common import positive
from ppocr_jax.errors import UserError
from ppocr_jax.signals import ending_signals


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `mcp`."""
    parser.add_argument(
        "--root", type=Path, required=True, metavar="DIR", help="folder to serve; no file outside it is read"
    )
    parser.add_argument(
        "--model",
        nargs="+",
        default=["en"],
        metavar="NAME_OR_DIR",
        help="models on offer; the first one is used unless a call names another (default: en)",
    )
    parser.add_argument(
        "--max-pages", type=positive, default=20, metavar="N", help="maximum pages per call (default: 20)"
    )
    parser.add_argument(
        "--max-pixels",
        type=positive,
        default=50_000_000,
        metavar="N",
        help="maximum pixels per page (default: 50,000,000)",
    )
    parser.add_argument(
        "--max-file-mib", type=positive, default=64, metavar="N", help="maximum file size in MiB (default: 64)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until standard input ends.

    Raises:
        UserError: The folder or a package is missing.
    """
    try:
        from ppocr_jax.integrations.mcp_server import McpSettings, make_server
    except ImportError as error:
        raise UserError(f'mcp needs version 2 of the package mcp ({error}): pip install "ppocr-jax[mcp]"') from error
    settings = McpSettings(
        args.root,
        tuple(args.model),
        max_pages=args.max_pages,
        max_pixels=args.max_pixels,
        max_file_mib=args.max_file_mib,
    )
    for number in (signal.SIGINT, *ending_signals()):  # a thread that waits for standard input would delay the end
        signal.signal(number, signal.SIG_DFL)
    make_server(settings).run("stdio")
    return 0
