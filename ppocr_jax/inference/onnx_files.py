"""Networks in ONNX files of their own: PaddleOCR's and RapidOCR's conversions of PP-OCR v1 to v5, or ppocr_jax's."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.charset import BUILTIN_CHARSETS, Charset, fit_dictionary, load_charset, read_dictionary
from ppocr_jax.inference.backends import OnnxBackend, line_height
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.model_folder import (
    FOREIGN_RECOGNIZER,
    ClassifierSpec,
    DetectorSpec,
    ModelError,
    ModelFolder,
    NetworkSpec,
    RecognizerSpec,
    parse_spec,
)
from ppocr_jax.inference.released import detector_thresholds

_logger = logging.getLogger(__name__)
_Spec = TypeVar("_Spec", bound=NetworkSpec)
_OWN = "ppocr_jax_version"
# v3 and later read lines of 48 pixels, v1 and v2 of 32: told by `backends.line_height`.
_HEIGHTS = (48, 32)
_PROBE_WIDTH = 320


def with_onnx_files(
    base: ModelFolder,
    *,
    det: str | Path | None = None,
    cls: str | Path | None = None,
    rec: str | Path | None = None,
    charset: str | Path | None = None,
    rec_height: int | None = None,
    device: str = "auto",
) -> tuple[ModelFolder, dict[str, OnnxBackend]]:
    """Return a model of which some networks come from ONNX files; and these, opened to look into them, by task.

    A file made by ppocr_jax says itself how it is used. Of any other one is assumed what PP-OCR's are: BGR images,
    PP-OCR's normalization and thresholds (a released file's own, whatever its name); input sizes are read from the
    file.

    Args:
        base: what is not replaced.
        det, cls, rec: the files.
        charset: of the recognizer, a built-in set or a file with one character a line; left out where the file
            carries it (as `charset` or RapidOCR's `character`). Its characters are counted as PaddleOCR counts them
            (`charset.fit_dictionary`).
        rec_height: of the recognizer's lines, pixels; left out where the file fixes it, or is one of PP-OCR's, whose
            output tells it (`backends.line_height`).
        device: of the opened networks, see `OnnxBackend`; they run on one thread.

    Raises:
        ModelError: a file is missing or not such a network, or the charset does not fit or is not known.
    """
    files = {"det": det, "cls": cls, "rec": rec}
    opened = {task: _open(path, device) for task, path in files.items() if path is not None}
    changes: dict[str, Any] = {"name": "onnx files"}
    if det is not None:
        changes["det"] = _detector(opened["det"])
    if cls is not None:
        changes["cls"] = _classifier(opened["cls"])
    if rec is not None:
        changes["rec"] = _recognizer(opened["rec"], rec_height)
        changes["charset"] = _charset(opened["rec"], changes["rec"], charset)
    elif charset is not None or rec_height is not None:
        given = "a charset" if charset is not None else "a height"
        raise ModelError(f"{given} belongs to a recognizer: pass `rec`, too")
    return replace(base, **changes), opened


def _open(path: str | Path, device: str) -> OnnxBackend:
    backend = OnnxBackend(Path(path).resolve(), threads=1, device=device)
    if not backend.path.is_file():
        raise ModelError(f"no such file: {path}")
    inputs, outputs = backend.header.inputs, backend.header.outputs
    shape = inputs[0].shape if len(inputs) == 1 else None
    if shape is None or len(shape) != 4 or shape[1] not in (3, None, "C"):
        found = ", ".join(f"{i.name} {i.shape}" for i in inputs)
        raise ModelError(f"{path} is not a PP-OCR network: it takes {found or 'nothing'}, not one input (N, 3, H, W)")
    if not outputs:
        raise ModelError(f"{path} has no output")
    return backend


def _fixed(backend: OnnxBackend) -> tuple[int | None, int | None]:
    """Return height and width of the input, where the file fixes them."""
    _, _, height, width = backend.header.inputs[0].shape or (None,) * 4
    return height if isinstance(height, int) else None, width if isinstance(width, int) else None


def _own(backend: OnnxBackend, kind: type[_Spec]) -> _Spec | None:
    """Return the description that a file of ppocr_jax carries.

    Raises:
        ModelError: it is another task's.
    """
    metadata = backend.header.metadata
    if _OWN not in metadata:
        return None
    if metadata.get("task") != kind.task:
        raise ModelError(f"{backend.path} is a {metadata.get('task')!r} network, not a {kind.task!r} one")
    values = {"normalization": json.loads(metadata["normalization"]), **json.loads(metadata["options"])}
    return parse_spec(kind, {"onnx": str(backend.path), **values})


def _detector(backend: OnnxBackend) -> DetectorSpec:
    _check_rank(backend, "detector", (3, 4))
    height, width = _fixed(backend)
    size = None if height is None or width is None else (height, width)
    return _own(backend, DetectorSpec) or DetectorSpec(
        onnx=str(backend.path), size=size, postprocess=DBOptions(**detector_thresholds(backend.path))
    )


def _classifier(backend: OnnxBackend) -> ClassifierSpec:
    _check_rank(backend, "direction classifier", (2,))
    height, width = _fixed(backend)
    usual = ClassifierSpec()
    return _own(backend, ClassifierSpec) or ClassifierSpec(
        onnx=str(backend.path), height=height or usual.height, width=width or usual.width
    )


def _recognizer(backend: OnnxBackend, given_height: int | None) -> RecognizerSpec:
    _check_rank(backend, "recognizer", (3,))
    height, width = _fixed(backend)
    if given_height is not None and height not in (None, given_height):
        raise ModelError(f"{backend.path} reads lines {height} pixels high, not {given_height}")
    height = height or given_height
    return _own(backend, RecognizerSpec) or RecognizerSpec(
        onnx=str(backend.path),
        height=height or _HEIGHTS[0],
        heights=() if height else _HEIGHTS,
        width=width,
        **FOREIGN_RECOGNIZER,
    )


def _check_rank(backend: OnnxBackend, name: str, ranks: tuple[int, ...]) -> None:
    if len(backend.output_shape) not in ranks:
        raise ModelError(f"{backend.path} is not a {name}: its output is {backend.output_shape}")


def _charset(backend: OnnxBackend, spec: RecognizerSpec, given: str | Path | None) -> Charset:
    """Return the recognizer's characters, and say what of their file had to be repaired."""
    metadata = backend.header.metadata
    try:
        if given is None and "charset" in metadata:
            return Charset(tuple(json.loads(metadata["charset"])))
        classes = backend.num_classes or _counted_classes(backend, spec)
        if str(given) in BUILTIN_CHARSETS:
            lines = load_charset(str(given)).characters
        elif given is not None:
            lines = read_dictionary(given)
        elif "character" in metadata:
            # RapidOCR joins with line feeds; a dictionary that holds other line breaks has them as characters.
            lines = metadata["character"].removesuffix("\n").split("\n")
        else:
            raise ModelError(
                f"{backend.path} does not contain its charset: pass a file of its characters (`charset`, --charset)"
            )
        charset, repairs = fit_dictionary(lines, classes, given or f"the list of characters in {backend.path}")
    except (FileNotFoundError, ValueError) as error:
        raise error if isinstance(error, ModelError) else ModelError(str(error)) from error
    for repair in repairs:
        _logger.warning("%s", repair)
    return charset


def _counted_classes(backend: OnnxBackend, spec: RecognizerSpec) -> int:
    """Return the number of classes, which the file does not say, from a run."""
    height = line_height(backend, spec.width) if spec.heights else spec.height
    return backend(np.zeros((1, height, spec.width or _PROBE_WIDTH, 3), np.float32)).shape[-1]
