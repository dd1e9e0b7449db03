"""Command line `ppocr-jax COMMAND ...`. The module of a command is imported when that command is called."""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ppocr_jax import __version__
from ppocr_jax.commands.common import say
from ppocr_jax.errors import UserError
from ppocr_jax.signals import ending_signals

COMMANDS = {
    "infer": ("read the text in images and documents", "ppocr_jax.commands.infer"),
    "eval": ("evaluate a model on labeled data", "ppocr_jax.commands.eval"),
    "train-det": ("train a text detector", "ppocr_jax.commands.training"),
    "train-rec": ("train a text recognizer", "ppocr_jax.commands.training"),
    "train-cls": ("train the direction classifier", "ppocr_jax.commands.training"),
    "train-image": ("train an image classifier, to pretrain a backbone", "ppocr_jax.commands.training"),
    "label": ("generate labels for images with a strong OCR model", "ppocr_jax.commands.label"),
    "check-labels": ("check label files for problems", "ppocr_jax.commands.check_labels"),
    "extract-centers": (
        "compute the Enhanced CTC centers of a trained recognizer",
        "ppocr_jax.commands.extract_centers",
    ),
    "language-model": (
        "make a language model of texts, for uncertain lines",
        "ppocr_jax.commands.language_model",
    ),
    "synth": ("generate synthetic training data", "ppocr_jax.commands.synth"),
    "screenshots": ("render HTML pages as labeled images", "ppocr_jax.commands.screenshots"),
    "serve": ("run an HTTP server with a web page", "ppocr_jax.commands.serve"),
    "bulk": ("process large numbers of documents, locally or on a cluster", "ppocr_jax.commands.bulk"),
    "mcp": ("run an MCP server for AI assistants", "ppocr_jax.commands.mcp"),
    "models": ("list the networks and systems with their size and cost", "ppocr_jax.commands.models"),
    "doctor": ("report what is installed and whether it works", "ppocr_jax.commands.doctor"),
    "slim": ("make trained networks smaller and faster", "ppocr_jax.commands.slim"),
    "convert": ("convert PaddleOCR weights to ppocr_jax weights", "ppocr_jax.commands.convert"),
    "export": ("export trained networks to a model folder", "ppocr_jax.commands.export"),
}
"""Name -> (help, module). A module has `add_arguments(parser)` and `run(args) -> exit code`, or `main(name, arguments,
prog=)` if its flags come from the fields of a config."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `ppocr-jax` with the given arguments (default: those of the process), and return the exit code."""
    rows = "\n".join(f"  {name:<16} {text}" for name, (text, _) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="ppocr-jax",
        description="Read text in images, and train the networks that do it.",
        epilog=f"commands:\n{rows}\n\nRun `ppocr-jax COMMAND --help` for the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ppocr-jax {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands listed below")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="...", help="options and arguments of the command"
    )
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        parser.print_help()
        return 2
    args = parser.parse_args(argv)
    return run_command(args.command, args.arguments)


def run_command(name: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Run one command and return the exit code: 1 after a user error (one line on standard error).

    Args:
        name: A key of `COMMANDS`.
        argv: Arguments of the command. Default: those of the process.
        prog: Name of the program in messages.

    Raises:
        SystemExit: With code 2 on wrong usage, 0 after --help.
    """
    description, module = COMMANDS[name]
    # Tracing a network creates hundreds of thousands of objects. With Python's default, a garbage collection every 700
    # new objects, this takes a tenth of the time until the first training step.
    gc.set_threshold(50_000, 20, 20)
    prog = prog or f"ppocr-jax {name}"
    try:
        command = importlib.import_module(module)
        if hasattr(command, "main"):
            return command.main(name, argv, prog=prog)
        parser = argparse.ArgumentParser(prog=prog, description=description[0].upper() + description[1:] + ".")
        command.add_arguments(parser)
        args = parser.parse_args(argv)
        logging.basicConfig(level=logging.WARNING, format="%(message)s")
        logging.getLogger("ppocr_jax").setLevel(logging.INFO)
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax warns about a file that it does not write itself
        with _terminable():
            code = command.run(args)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, and not when Python exits, so that a full disk is reported below
        return code
    except UserError as error:
        say(f"{prog}: {error}")
        return 1
    except ModuleNotFoundError as error:
        extra = _extra_with(error.name or "")
        if extra is None:
            raise
        say(f'{prog} needs {error.name}: pip install "ppocr-jax[{extra}]"')
        return 1
    except KeyboardInterrupt as interrupt:  # from Ctrl-C, or from a signal with its own exit code
        return getattr(interrupt, "exit_code", 130)
    except OSError as error:
        return _exit_code_of(error, prog)


def _exit_code_of(error: OSError, prog: str) -> int:
    """Return the exit code if our output could not be written. Raise other errors again."""
    if not isinstance(error, BrokenPipeError) and error.errno != errno.ENOSPC:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise, Python reports an error on exit
    if isinstance(error, BrokenPipeError):  # the reader, such as `head`, has stopped
        return 141
    say(f"{prog}: cannot write {error.filename or 'the output'}: {error.strerror}")
    return 1


class _Terminated(KeyboardInterrupt):
    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


@contextmanager
def _terminable() -> Iterator[None]:
    """Let `ending_signals` end a command as Ctrl-C does, so that its temporary files are removed."""

    def terminate(number: int, _: object) -> None:
        raise _Terminated(number)

    if threading.current_thread() is not threading.main_thread():  # only the main thread can catch signals
        yield
        return
    before = {number: signal.signal(number, terminate) for number in ending_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _extra_with(module: str) -> str | None:
    """Return the first declared extra of this package that provides a module, or None."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        declared = requires("ppocr-jax") or []
    except PackageNotFoundError:  # run from the repository without installation
        return None
    wanted = module.partition(".")[0].lower()
    for requirement in declared:
        found = re.match(r'([\w.-]+).*extra == "([\w-]+)"', requirement)
        if found and re.split(r"[-_]", found[1].lower())[0] == wanted:  # orbax-checkpoint provides the module orbax
            return found[2]
    return None
