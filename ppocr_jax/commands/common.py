"""Functions shared by several commands: option types, OCR options, output files and progress."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.inference.ocr import OCR
    from ppocr_jax.inference.options import NetworkOptions, ReadOptions

_BACKENDS = ("onnx", "openvino", "jax")


def require(what: str, modules: Sequence[str], extra: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Args:
        what: The feature that needs them, for the message.
        modules: Names of the modules.
        extra: The extra of ppocr-jax that installs them.

    Raises:
        UserError: A module is missing.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UserError(f'{what} needs {", ".join(missing)}: pip install "ppocr-jax[{extra}]"')


def positive(text: str) -> int:
    """Return an option's value, an integer of at least 1.

    Raises:
        argparse.ArgumentTypeError: The value is less than 1.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def nonempty_path(text: str) -> Path:
    """Return an option's value, a path.

    Raises:
        argparse.ArgumentTypeError: It is empty. pathlib would take it for the current folder.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def share(text: str) -> float:
    """Return an option's value, a number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: The value is outside this range.
    """
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value


def add_networks(group: Any, *, models: Sequence[str] = (), backends: Sequence[str] = _BACKENDS) -> None:
    """Declare --model and the network options, which `network_options` returns.

    Args:
        group: Parser or argument group.
        models: Default models if --model accepts several; () if it accepts one.
        backends: Choices of --backend.
    """
    group.add_argument(
        "--model",
        "--lang",
        metavar="NAME_OR_DIR",
        help="built-in model (en, en_tiny, latin, ch), model folder, released PP-OCR model (ppocr-v2, -v3, -v4, -v6), "
        "or languages (fra, de+en)"
        + ("; of several, the first is used unless a request names another" if models else "")
        + " (default: en)",
        **({"nargs": "+", "default": models} if models else {"default": "en"}),
    )
    group.add_argument(
        "--det", metavar="FILE.onnx", help="use this detector instead of the model's, such as one of PP-OCR"
    )
    group.add_argument("--rec", metavar="FILE.onnx", help="use this recognizer instead of the model's")
    group.add_argument("--cls", metavar="FILE.onnx", help="use this direction classifier instead of the model's")
    group.add_argument(
        "--charset", metavar="NAME_OR_FILE", help="characters of the --rec network, if its file does not contain them"
    )
    group.add_argument(
        "--rec-height",
        type=positive,
        metavar="PIXELS",
        help="line height of the --rec network, if its file does not state it",
    )
    group.add_argument(
        "--letters",
        metavar="SET",
        help="read only these characters: a charset (en, latin, ch, alphanumeric), a file with one character per line, "
        'or the characters themselves, such as "0123456789.," (default: all that the recognizer knows)',
    )
    group.add_argument(
        "--language-model",
        metavar="FILE",
        help="language model (see `ppocr-jax language-model`) for uncertain lines; none: take the likeliest letters "
        "(default: that of the model)",
    )
    group.add_argument("--backend", choices=backends, default="onnx", help="runtime for the networks (default: onnx)")
    group.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="device of the onnx backend (default: auto)"
    )
    group.add_argument(
        "--precision",
        choices=["auto", "float32"],
        help="precision of the openvino backend; auto uses bfloat16 if the processor supports it (default: auto)",
    )
    group.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="folder in which the openvino backend caches compiled networks (default: no cache)",
    )


def add_reading(group: Any) -> None:
    """Declare the options that `make_ocr` uses."""
    add_networks(group)
    group.add_argument("--threads", type=positive, metavar="N", help="CPU cores to use (default: all)")
    add_read_options(group)


def add_read_options(group: Any) -> None:
    """Declare the reading options in a parser or argument group; `read_options` returns them."""
    group.add_argument(
        "--single-line",
        action="store_true",
        default=None,
        help="treat each image as a single text line; no detector is used",
    )
    group.add_argument(
        "--limit-side", type=positive, metavar="PIXELS", help="longest side of the image that the detector sees"
    )
    group.add_argument(
        "--threshold", type=share, metavar="P", help="count pixels with a text probability above this as text"
    )
    group.add_argument("--box-threshold", type=share, metavar="P", help="drop boxes with a lower score")
    group.add_argument(
        "--unclip-ratio", type=float, metavar="X", help="how far boxes are expanded beyond their text kernels"
    )
    group.add_argument("--drop-score", type=share, metavar="P", help="drop lines read with less confidence")
    group.add_argument(
        "--put-spaces",
        action=argparse.BooleanOptionalAction,
        help="restore spaces that a recognizer leaves out (default: only for third-party networks)",
    )
    group.add_argument(
        "--check-boxes",
        action=argparse.BooleanOptionalAction,
        help="write check boxes beside text as ☐ and ☑ (default: for recognizers of Latin letters without ideographs)",
    )
    group.add_argument("--max-pixels", type=positive, metavar="N", help="largest image accepted, width x height")
    group.add_argument("--batch-size", type=positive, metavar="N", help="lines per network call")


def network_options(args: argparse.Namespace) -> NetworkOptions:
    """Return the network options that were given, without the model, as arguments of `OCR`."""
    from ppocr_jax.inference.options import NetworkOptions

    return cast("NetworkOptions", _given(args, NetworkOptions.__annotations__))


def read_options(args: argparse.Namespace) -> ReadOptions:
    """Return the reading options that were given, as arguments of `OCR`."""
    from ppocr_jax.inference.options import ReadOptions

    return cast("ReadOptions", _given(args, ReadOptions.__annotations__))


def _given(args: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that the command has and that are not None."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def make_ocr(args: argparse.Namespace) -> OCR:
    """Return an `OCR` with the options that were given.

    Raises:
        UserError: The model cannot be loaded, or a value is invalid.
    """
    from ppocr_jax.inference.ocr import OCR

    try:
        return OCR(args.model, threads=args.threads, **network_options(args), **read_options(args))
    except UserError:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def make_folder_of(path: Path) -> None:
    """Create the folder of an output file and check that the file can be written, before long work.

    Raises:
        UserError: The folder cannot be created, the file cannot be written, or `path` is a folder.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            path.open("ab").close()
        elif not path.exists():  # devices and pipes are not opened
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error


def check_image_output(path: Path) -> None:
    """Check that an image file can be written, before long work; create its folder.

    Raises:
        UserError: As in `make_folder_of`, or the suffix of `path` is not that of an image format.
    """
    from PIL import Image

    make_folder_of(path)
    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise UserError(f"cannot write {path}: unknown file extension: {path.suffix}")


def write_image(path: Path, image_rgb: np.ndarray) -> None:
    """Write an image, (H, W, 3) uint8, in the format given by the suffix of `path`.

    Raises:
        UserError: The file cannot be written, or the suffix is unknown.
    """
    from PIL import Image

    try:
        Image.fromarray(image_rgb).save(path)
    except (OSError, ValueError) as error:  # ValueError: unknown suffix
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error


_SECONDS = 0.2  # between two updates of the counter
_WIDTH = 78  # characters; fits a terminal of 80 columns


def say(text: str) -> None:
    """Write a line to standard error. If it is closed or full, the message is lost and the work goes on."""
    _write(f"{text}\n")


def _write(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, or None (closed when Python started)
        pass


class PageCounter:
    """Page counter on standard error."""

    def __init__(self, shown: bool | None) -> None:
        """
        Args:
            shown: Whether to show the counter; None shows it on a terminal only.
        """
        self._shown = shown if shown is not None else sys.stderr is not None and sys.stderr.isatty()
        self._start = time.monotonic()
        self._next, self._count, self._drawn = 0.0, 0, False

    def __enter__(self) -> PageCounter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._wipe()
        if self._shown and kind is None and self._count > 1:
            _write(self._row("") + "\n")

    def count(self, name: str) -> None:
        """Count one page and update the display."""
        self._count += 1
        now = time.monotonic()
        if self._shown and self._count > 1 and now >= self._next:
            self._next = now + _SECONDS
            _write("\r" + self._row(name)[:_WIDTH].ljust(_WIDTH))
            self._drawn = True

    def say(self, text: str) -> None:
        """Write a separate line to standard error, even if the counter is not shown."""
        self._wipe()
        say(text)

    def _row(self, name: str) -> str:
        per_second = self._count / max(time.monotonic() - self._start, 1e-6)
        return f"{self._count} pages, {per_second:.1f} a second  {name}".rstrip()

    def _wipe(self) -> None:
        if self._drawn:
            _write("\r" + " " * _WIDTH + "\r")
            self._drawn = False
