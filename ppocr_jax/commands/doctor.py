"""`ppocr-jax doctor`: what is installed, and whether a picture can be read here."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Iterator

from ppocr_jax import __version__

_PACKAGES = {
    "reading": ("numpy", "opencv-python-headless", "onnxruntime", "pyclipper", "shapely", "Pillow"),
    "PDF, HEIC": ("pypdfium2", "pikepdf", "pillow-heif"),
    "training": ("jax", "flax", "optax", "orbax-checkpoint", "grain", "safetensors", "tyro"),
    "export": ("onnx", "jax2onnx", "tensorflow-cpu", "tf2onnx"),
}
_WORD = "Doctor 2468"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `doctor`."""
    parser.add_argument("--model", default="en", metavar="NAME_OR_DIR", help="to try; default: en")


def run(args: argparse.Namespace) -> int:
    """Print a report; gives 1 if a picture could not be read.

    Raises:
        UserError: the model cannot be loaded.
    """
    print(
        f"ppocr_jax {__version__}, Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores"
    )
    for purpose, names in _PACKAGES.items():
        print(f"{purpose + ':':<12} {', '.join(_versions(names))}")
    print(f"ONNX Runtime: {', '.join(_providers())}")
    print(f"models:      {', '.join(_models())}")
    return _try_reading(args.model)


def _versions(names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} not installed"


def _providers() -> list[str]:
    import onnxruntime

    return onnxruntime.get_available_providers()


def _models() -> list[str]:
    from ppocr_jax.inference.model_folder import builtin_models
    from ppocr_jax.inference.released import RELEASES, ReleaseError, find_release

    found = list(builtin_models())
    for name in RELEASES:
        try:
            find_release(name)
        except ReleaseError:
            continue
        found.append(name)
    return found


def _try_reading(model: str) -> int:
    """Draw a line of text and read it."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from ppocr_jax.inference.ocr import OCR

    image = Image.new("RGB", (320, 96), "white")
    ImageDraw.Draw(image).text((30, 30), _WORD, fill="black", font=ImageFont.load_default(32))
    start = time.perf_counter()
    ocr = OCR(model)
    page = ocr(np.asarray(image))
    for repair in ocr.stages.repairs():
        print(f"mended:      {repair}")
    print(f"read {page.text!r} where {_WORD!r} was drawn, in {time.perf_counter() - start:.2f} s from loading {model}")
    if page.text.replace(" ", "") == _WORD.replace(" ", ""):
        return 0
    sys.stderr.write("ppocr-jax doctor: that is not what was drawn; a model of another language, or not a good one?\n")
    return 1
