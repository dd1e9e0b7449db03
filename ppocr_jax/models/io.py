"""Weights as safetensors files: flat names and arrays only, safe to read from any source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from ppocr_jax.errors import UserError

_SEPARATOR = "/"


class WeightsError(UserError):
    """A weights file is missing, broken, or belongs to another network."""


def save_safetensors(
    path: str | Path, variables: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `variables` ("params", "batch_stats") as float arrays named like "params/backbone/conv1/kernel".

    Kernels that float16 holds without loss, such as those of `round_kernels`, are stored as float16. Equal contents
    give equal files.
    """
    from safetensors.numpy import save

    flat = traverse_util.flatten_dict(jax.device_get(dict(variables)), sep=_SEPARATOR)
    arrays = {name: _smallest(np.asarray(value)) for name, value in flat.items()}
    Path(path).write_bytes(_with_sorted_metadata(save(arrays, metadata=dict(metadata or {}))))


def _with_sorted_metadata(file: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted by name; the library's order varies from run to run."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # keeps the arrays aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + file[start:]


def load_safetensors(path: str | Path) -> dict[str, Any]:
    """Read a file of `save_safetensors` as nested dictionaries of float32 NumPy arrays.

    Raises:
        WeightsError: If there is no such file, or it is not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not Path(path).is_file():
        raise WeightsError(f"no weights file {path}")
    try:
        flat = load_file(str(path))
    except SafetensorError as error:
        raise WeightsError(f"{path} is not a safetensors file: {error}") from error
    wide = {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in flat.items()}
    return traverse_util.unflatten_dict(wide, sep=_SEPARATOR)


def round_kernels(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables with all kernels (arrays of two or more axes) rounded to float16 precision, as float32.

    The files are then half as large. Vectors (biases, BatchNorm) are small and stay unchanged, because some variances
    are too large for float16.
    """

    def rounded(array: Any) -> np.ndarray:
        array = np.asarray(array)
        return array.astype(np.float16).astype(np.float32) if array.ndim > 1 else array

    flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(variables))
    return traverse_util.unflatten_dict({path: rounded(array) for path, array in flat.items()})


def _smallest(array: np.ndarray) -> np.ndarray:
    """Return a float32 kernel as float16 if this loses nothing."""
    if array.dtype == np.float32 and array.ndim > 1:
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if np.array_equal(half, array):
            return np.ascontiguousarray(half)
    return np.ascontiguousarray(array)


def check_same_structure(variables: Mapping[str, Any], like: Mapping[str, Any], source: str | Path) -> None:
    """Check that weights fit a network.

    Raises:
        WeightsError: If names are missing or unexpected, or a shape differs; the message lists the first few.
    """
    have, want = _shapes(variables), _shapes(like)
    problems = [f"{name} is missing" for name in want.keys() - have.keys()]
    problems += [f"{name} is not part of the network" for name in have.keys() - want.keys()]
    problems += [f"{n} is {have[n]}, not {want[n]}" for n in have.keys() & want.keys() if have[n] != want[n]]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(f"{source} does not fit the network: {'; '.join(sorted(problems)[:3])}{more}")


def _shapes(variables: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    arrays: dict[str, Any] = traverse_util.flatten_dict(dict(variables), sep=_SEPARATOR)
    return {name: np.shape(array) for name, array in arrays.items()}
