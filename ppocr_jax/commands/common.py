"""What several commands share: checked option values, and files written or a one-line reason why not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def positive(text: str) -> int:
    """An option's value of at least 1.

    Raises:
        argparse.ArgumentTypeError: it is less.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def share(text: str) -> float:
    """An option's value between 0 and 1.

    Raises:
        argparse.ArgumentTypeError: it is not.
    """
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0 and 1")
    return value


def add_letters(group: Any) -> None:
    """Declare --letters, in a parser or a group of one."""
    group.add_argument(
        "--letters",
        metavar="SET",
        help="all that is to be read: a charset (en, latin, ch, alphanumeric), a file with one character a line, or "
        'the letters themselves, as "0123456789.,"; default: all that the recognizer knows',
    )


def add_backend(group: Any) -> None:
    """Declare what runs the networks, and how exactly, in a parser or a group of one."""
    group.add_argument(
        "--backend", choices=["onnx", "openvino", "jax"], default="onnx", help="what runs the networks; default: onnx"
    )
    group.add_argument(
        "--precision",
        choices=["auto", "float32"],
        default="auto",
        help="of the openvino backend; auto: bfloat16 where the processor has it",
    )
    group.add_argument(
        "--cache-dir",
        type=Path,
        metavar="DIR",
        help="where the openvino backend keeps compiled networks; default: nowhere",
    )


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file.

    Raises:
        UserError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def write_image(path: Path, image_rgb: np.ndarray) -> None:
    """Write a picture (H, W, 3) uint8 in the format that its suffix names.

    Raises:
        UserError: it cannot be written, or there is no such format.
    """
    from PIL import Image

    try:
        Image.fromarray(image_rgb).save(path)
    except (OSError, ValueError) as error:  # ValueError: Pillow knows no format by that suffix
        raise UserError(f"cannot write {path}: {getattr(error, 'strerror', None) or error}") from error
