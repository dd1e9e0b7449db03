"""`ppocr-jax slim`: smaller and faster networks from trained ones."""

from __future__ import annotations

import argparse

from ppocr_jax.commands import slim_int8, slim_prune

_WAYS = {
    "prune": ("leave the filters of a detector out that matter least (FPGM)", slim_prune),
    "int8": ("compute with numbers of eight bits", slim_int8),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `slim`, one set for each of its ways."""
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    for name, (text, module) in _WAYS.items():
        way = ways.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(way)


def run(args: argparse.Namespace) -> int:
    """Do it; gives the exit code.

    Raises:
        UserError: the network or the options do not fit, or the result cannot be written.
    """
    return _WAYS[args.way][1].run(args)
