"""Final weights as safetensors files: flat names, arrays only, safe to read from anywhere."""

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
    """A weights file is missing, broken, or of another network."""


def save_safetensors(
    path: str | Path, variables: Mapping[str, Any], *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `variables` ("params", "batch_stats") as float arrays named like "params/backbone/conv1/kernel".

    Kernels that lose nothing by it, such as those of `round_kernels`, are stored as float16. Equal contents
    give equal files.
    """
    from safetensors.numpy import save

    flat = traverse_util.flatten_dict(jax.device_get(dict(variables)), sep=_SEPARATOR)
    arrays = {name: _smallest(np.asarray(value)) for name, value in flat.items()}
    Path(path).write_bytes(_in_order(save(arrays, metadata=dict(metadata or {}))))


def _in_order(file: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted by name; the library writes them in an order of chance."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header.get("__metadata__", {}).items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # the arrays stay aligned to 8 bytes
    return len(text).to_bytes(8, "little") + text + file[start:]


def load_safetensors(path: str | Path) -> dict[str, Any]:
    """Read what `save_safetensors` wrote, as nested dictionaries of float32 NumPy arrays.

    Raises:
        WeightsError: no such file, or not a safetensors file.
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
    """Return variables whose kernels, all arrays of two axes or more, are float32 numbers that float16 holds.

    Files are then half as large. Vectors (biases, BatchNorm) are few and stay as they are, some variances being too
    large for float16.
    """

    def rounded(array: Any) -> np.ndarray:
        array = np.asarray(array)
        return array.astype(np.float16).astype(np.float32) if array.ndim > 1 else array

    flat: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(dict(variables))
    return traverse_util.unflatten_dict({path: rounded(array) for path, array in flat.items()})


def _smallest(array: np.ndarray) -> np.ndarray:
    """Return a float32 kernel as float16 where that holds all its numbers."""
    if array.dtype == np.float32 and array.ndim > 1:
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if np.array_equal(half, array):
            return np.ascontiguousarray(half)
    return np.ascontiguousarray(array)


def check_same_structure(variables: Mapping[str, Any], like: Mapping[str, Any], source: str | Path) -> None:
    """Make sure that weights fit a network.

    Raises:
        WeightsError: names are missing or left over, or a shape differs; the message names the first few.
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
