"""Models from single ONNX files: conversions of PP-OCR v1 to v5 by PaddleOCR and RapidOCR, or files of ppocr_jax."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppocr_jax.charset import BUILTIN_CHARSETS, Charset, fit_dictionary, load_charset, read_dictionary
from ppocr_jax.inference.backends import PROBE_WIDTH, OnnxBackend, line_height
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
# Line heights of v3 and later, and of v1 and v2.
_HEIGHTS = (48, 32)


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
    """Return a model with some networks replaced by ONNX files, and the opened files by task.

    A file of ppocr_jax contains its settings. Other files are assumed to be PP-OCR's: BGR images, PP-OCR's
    normalization and thresholds (those of the release for a released file, whatever its name). Input sizes are read
    from the file.

    Args:
        base: Model that provides the other networks.
        det, cls, rec: ONNX files.
        charset: Charset of the recognizer: a built-in name, or a file with one character per line. Not needed if the
            ONNX file contains it (as `charset`, or as RapidOCR's `character`). Characters are counted as in PaddleOCR
            (`charset.fit_dictionary`).
        rec_height: Height of the recognizer's lines in pixels. Not needed if the file fixes it, or for PP-OCR's files,
            whose output determines it (`backends.line_height`).
        device: Device of the opened networks, see `OnnxBackend`. They run on one thread.

    Raises:
        ModelError: If a file is missing or is not such a network, or the charset is unknown or does not fit.
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
        if changes["charset"] != base.charset:
            changes["language"] = None
    elif charset is not None or rec_height is not None:
        given = "a charset" if charset is not None else "a height"
        raise ModelError(f"{given} belongs to a recognizer: pass `rec`, too")
    return replace(base, **changes), opened


def _open(path: str | Path, device: str) -> OnnxBackend:
    backend = OnnxBackend(Path(path).resolve(), threads=1, device=device)
    if backend.path.is_dir():
        raise ModelError(
            f"{path} is a folder, not an ONNX file; a Paddle inference model becomes one by "
            f"`ppocr-jax convert {path} --output NAME.onnx`, and a model folder is opened by its name (`--model`)"
        )
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
    """Return the (height, width) of the input, None for a dimension that the file does not fix."""
    _, _, height, width = backend.header.inputs[0].shape or (None,) * 4
    return height if isinstance(height, int) else None, width if isinstance(width, int) else None


def _own(backend: OnnxBackend, kind: type[_Spec]) -> _Spec | None:
    """Return the description in the metadata of a file of ppocr_jax, or None for other files.

    Raises:
        ModelError: If the file belongs to another task.
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
    """Return the recognizer's charset, and log repairs of its file."""
    metadata = backend.header.metadata
    try:
        if given is None and "charset" in metadata:
            return Charset(tuple(json.loads(metadata["charset"])))
        classes = backend.num_classes
        if classes is None:  # the file does not contain it: count those of a blank line
            line = np.zeros((1, line_height(backend, spec), spec.width or PROBE_WIDTH, 3), np.float32)
            classes = backend(line).shape[-1]
        if str(given) in BUILTIN_CHARSETS:
            lines = load_charset(str(given)).characters
        elif given is not None:
            lines = read_dictionary(given)
        elif "character" in metadata:
            # RapidOCR joins characters with line feeds. Other line breaks are characters of some dictionaries.
            lines = metadata["character"].removesuffix("\n").split("\n")
        else:
            raise ModelError(
                f"{backend.path} does not contain its charset: pass a file of its characters (`charset`, --charset)"
            )
        charset, repairs = fit_dictionary(lines, classes, given or f"the list of characters in {backend.path}")
    except ModelError:
        raise
    except (FileNotFoundError, ValueError) as error:
        raise ModelError(str(error)) from error
    for repair in repairs:
        _logger.warning("%s", repair)
    return charset
