"""Networks in ONNX files of their own: PaddleOCR's and RapidOCR's conversions of PP-OCR v1 to v5, or ppocr_jax's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.inference.backends import OnnxBackend, first_height
from ppocr_jax.inference.model_folder import (
    SPECS,
    ClassifierSpec,
    DetectorSpec,
    ModelError,
    ModelFolder,
    NetworkSpec,
    RecognizerSpec,
    parse_spec,
)

_OWN = "ppocr_jax_version"
# v3 and later read lines of 48 pixels, v1 and v2 of 32.
_HEIGHTS = (48, 32)
_PROBE_WIDTH = 320
# PaddleOCR pads every line to 320 pixels. Measured with PP-OCRv4 on 510 lines of receipts, a margin of 32 reads as well
# (.818 against .812) with a fifth less to compute; without any, .79.
_LEAST_WIDTH, _MARGIN = 64, 32


def with_onnx_files(
    base: ModelFolder,
    *,
    det: str | Path | None = None,
    cls: str | Path | None = None,
    rec: str | Path | None = None,
    charset: str | Path | None = None,
    device: str = "auto",
) -> tuple[ModelFolder, dict[str, OnnxBackend]]:
    """A model of which some networks come from ONNX files; and these, opened to look into them, by task.

    A file made by ppocr_jax says itself how it is used. Of any other one is assumed what PP-OCR's are: BGR pictures,
    PP-OCR's normalization and thresholds; input sizes are read from the file. The base's direction classifier, trained
    on other writing, is not used with another detector or recognizer.

    Args:
        base: what is not replaced.
        det, cls, rec: the files.
        charset: of the recognizer, a built-in set or a file with one character a line; left out where the file
            carries it (as `charset` or RapidOCR's `character`). A space is added where the classes have room for it.
        device: of the opened networks, see `OnnxBackend`; they run on one thread.

    Raises:
        ModelError: a file is missing or not such a network, or the charset does not fit or is not known.
    """
    files = {"det": det, "cls": cls, "rec": rec}
    opened = {task: _open(path, device) for task, path in files.items() if path is not None}
    changes: dict[str, Any] = {"name": "onnx files"}
    if det is not None or rec is not None:
        changes["cls"] = None
    if det is not None:
        changes["det"] = _detector(opened["det"])
    if cls is not None:
        changes["cls"] = _classifier(opened["cls"])
    if rec is not None:
        changes["rec"] = _recognizer(opened["rec"])
        changes["charset"] = _charset(opened["rec"], charset)
    elif charset is not None:
        raise ModelError("a charset belongs to a recognizer: give `rec` too")
    return replace(base, **changes), opened


def _open(path: str | Path, device: str) -> OnnxBackend:
    backend = OnnxBackend(Path(path).resolve(), threads=1, device=device)
    if not backend.path.is_file():
        raise ModelError(f"no such file: {path}")
    inputs, outputs = backend.header.inputs, backend.header.outputs
    shape = inputs[0].shape if len(inputs) == 1 else None
    if shape is None or len(shape) != 4 or shape[1] not in (3, None, "C"):
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(f"{path} is no PP-OCR network: it takes {found or 'nothing'}, not one input (N, 3, H, W)")
    if not outputs:
        raise ModelError(f"{path} has no output")
    return backend


def _fixed(backend: OnnxBackend) -> tuple[int | None, int | None]:
    """Height and width of the input, where the file fixes them."""
    _, _, height, width = backend.header.inputs[0].shape or (None,) * 4
    return height if isinstance(height, int) else None, width if isinstance(width, int) else None


def _own(backend: OnnxBackend, task: str) -> NetworkSpec | None:
    """The description that a file of ppocr_jax carries.

    Raises:
        ModelError: it is another task's.
    """
    metadata = backend.header.metadata
    if _OWN not in metadata:
        return None
    if metadata.get("task") != task:
        raise ModelError(f"{backend.path} is a {metadata.get('task')!r} network, not a {task!r} one")
    values = {"normalization": json.loads(metadata["normalization"]), **json.loads(metadata["options"])}
    return parse_spec(SPECS[task], {"onnx": str(backend.path), **values})


def _detector(backend: OnnxBackend) -> NetworkSpec:
    _check_rank(backend, "detector", (3, 4))
    height, width = _fixed(backend)
    size = None if height is None or width is None else (height, width)
    return _own(backend, "det") or DetectorSpec(onnx=str(backend.path), size=size)


def _classifier(backend: OnnxBackend) -> NetworkSpec:
    _check_rank(backend, "direction classifier", (2,))
    height, width = _fixed(backend)
    usual = ClassifierSpec()
    return _own(backend, "cls") or ClassifierSpec(
        onnx=str(backend.path), height=height or usual.height, width=width or usual.width
    )


def _recognizer(backend: OnnxBackend) -> NetworkSpec:
    _check_rank(backend, "recognizer", (3,))
    height, width = _fixed(backend)
    return _own(backend, "rec") or RecognizerSpec(
        onnx=str(backend.path),
        height=height or _HEIGHTS[0],
        heights=() if height else _HEIGHTS,
        width=width,
        min_width=_LEAST_WIDTH,
        margin=_MARGIN,
    )


def _check_rank(backend: OnnxBackend, name: str, ranks: tuple[int, ...]) -> None:
    if len(backend.output_shape) not in ranks:
        raise ModelError(f"{backend.path} is no {name}: its output is {backend.output_shape}")


def _charset(backend: OnnxBackend, given: str | Path | None) -> Charset:
    try:
        charset = load_charset(given) if given is not None else _embedded_charset(backend.header.metadata)
    except (FileNotFoundError, ValueError) as error:
        raise ModelError(str(error)) from error
    if charset is None:
        raise ModelError(f"{backend.path} does not carry its charset: name the file of its characters (`charset`)")
    classes = backend.num_classes or _counted_classes(backend)
    if classes == charset.num_classes + 1 and " " not in charset:
        charset = Charset((*charset.characters, " "))
    if classes != charset.num_classes:
        raise ModelError(
            f"{backend.path} has {classes} classes, its charset {charset.num_classes} (characters and the blank): "
            "it is another model's"
        )
    return charset


def _counted_classes(backend: OnnxBackend) -> int:
    height, width = _fixed(backend)
    height = height or first_height(backend, _HEIGHTS)
    return backend(np.zeros((1, height, width or _PROBE_WIDTH, 3), np.float32)).shape[-1]


def _embedded_charset(metadata: Mapping[str, str]) -> Charset | None:
    if "charset" in metadata:
        return Charset(tuple(json.loads(metadata["charset"])))
    if "character" in metadata:
        return Charset(tuple(metadata["character"].splitlines()))
    return None
