"""Reader of PaddleOCR's checkpoints; a `.pdparams` file is a pickle of a dict from names to arrays.

Files by `paddle.save` of releases 2.0 to 3.0 are supported. No code in the file is run (`array_pickle`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppocr_jax.convert.array_pickle import BrokenPickleError, PickledArray, RefusedError, load_plain
from ppocr_jax.models.io import WeightsError

_SUFFIX = ".pdparams"
_NAMES = "StructuredToParameterName@@"
# Pickles of protocols 2 and 3 contain arrays of a GiB or more in pieces.
_PIECES = "UnpackBigParamInfor@@"
_HINTS = {
    ".pdiparams": "an inference model, whose tensors have lost their names",
    ".pdmodel": "an inference model without its weights",
    ".pdopt": "the state of an optimizer",
}


def load_pdparams(path: str | Path) -> dict[str, np.ndarray]:
    """Return the tensors of a PaddleOCR checkpoint, by name.

    Args:
        path: The file; ".pdparams" may be omitted, as in PaddleOCR's own options ("best_accuracy").

    Returns:
        Numeric arrays, possibly read-only; bfloat16, which Paddle writes as the integers of its bits, as float32.

    Raises:
        WeightsError: The file does not exist, is not a complete checkpoint, or contains anything but arrays.
    """
    path = find_pdparams(path)
    try:
        with path.open("rb") as file:
            content = load_plain(file)
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
    except RefusedError as error:
        raise WeightsError(f"{path} is refused: it {error}") from error
    except BrokenPickleError as error:
        raise WeightsError(f"{path} is not a {_SUFFIX} file, or an incomplete one ({error}){_hint(path)}") from error
    return _tensors(content, path)


def find_pdparams(path: str | Path) -> Path:
    """Return the path of a checkpoint file, whose suffix may be omitted.

    Raises:
        WeightsError: There is no such file.
    """
    path, with_suffix = Path(path), Path(f"{path}{_SUFFIX}")
    if path.is_file():
        return path
    if with_suffix.is_file():
        return with_suffix
    if path.is_dir():
        raise WeightsError(f"{path} is a folder: pass the {_SUFFIX} file in it, such as best_accuracy{_SUFFIX}")
    raise WeightsError(f"no weights file {path}")


def _tensors(content: Any, path: Path) -> dict[str, np.ndarray]:
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path} is a pickle, but not of tensors by name{_hint(path)}")
    tensors = {n: _tensor(n, value, path) for n, value in content.items() if n not in (_NAMES, _PIECES)}
    if _PIECES in content:
        tensors = _joined(tensors, content[_PIECES], path)
    if not tensors:
        raise WeightsError(f"{path} contains no tensors")
    return tensors


def _tensor(name: str, value: Any, path: Path) -> np.ndarray:
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]  # (name of the parameter, array)
    if not isinstance(value, PickledArray) or value.value is None:
        raise WeightsError(f"{path} holds {name[:80]!r}, which is not an array{_hint(path)}")
    array = value.value
    return _bfloat16(array) if array.dtype == np.uint16 else array


def _bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return bfloat16 numbers, given as uint16, as float32; Paddle does not use uint16 for anything else."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _joined(tensors: Mapping[str, np.ndarray], pieces: Any, path: Path) -> dict[str, np.ndarray]:
    """Return the tensors with large ones joined; `pieces` has the names of their pieces and their shapes."""
    whole = dict(tensors)
    try:
        for name, how in pieces.items():
            parts = [whole.pop(part).ravel() for part in how["slices"]]
            whole[name] = np.concatenate(parts).reshape(how["OriginShape"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} contains a large tensor in pieces that do not fit together: {error!r}") from error
    return whole


def _hint(path: Path) -> str:
    if what := _HINTS.get(path.suffix):
        return f"; it looks like {what}: take the {_SUFFIX} file of the training model"
    known = path.suffix == _SUFFIX
    return "" if known else f"; weights are converted from {_SUFFIX}, .onnx, .pdmodel and .json files"
