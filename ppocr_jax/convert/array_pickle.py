"""Safe reader of pickles that contain only numeric arrays, text, numbers and plain containers.

A pickle is a program: loading it calls the functions that it names. This reader knows only the few names with which
arrays are written, and replaces each by a function or class defined here. Nothing else is looked up or called, not even
NumPy's own unpickling.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
# Exceptions that `pickle` raises for invalid or incomplete data.
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    MemoryError,
    RecursionError,
    ImportError,
)


class RefusedError(Exception):
    """Error of a pickle that refers to something that arrays do not need; the message follows the file's name."""


class BrokenPickleError(Exception):
    """Error of data that is not a pickle, or an incomplete one."""


class PickledArray:
    """Stand-in for an array in a pickle.

    Attributes:
        value: The array, in native byte order, possibly read-only; None if the pickle has no data for it.
    """

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _numbers(data, dtype, shape, "F" if fortran else "C")


def load_plain(file: BinaryIO) -> Any:
    """Return the contents of a pickle of any protocol, with a `PickledArray` for each array.

    Raises:
        RefusedError: It names a function or class that numeric arrays do not need, or contains other arrays.
        BrokenPickleError: It is not a pickle, or incomplete.
    """
    try:
        return _ArrayUnpickler(file).load()
    except _BROKEN as error:
        raise BrokenPickleError(type(error).__name__) from error


class _DType:
    """Stand-in for a NumPy dtype."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _NUMBERS:
            raise RefusedError(f"holds an array of type {str(code)[:40]!r}, not of numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1])


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler that knows only the names with which NumPy 1 and 2 under Python 2 and 3 write arrays."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        # Functions are created anew for each file, because a pickle can set attributes of the objects that it gets.
        self._known: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): PickledArray,
            ("numpy", "dtype"): _DType,
            ("_codecs", "encode"): lambda *parts: _encode(*parts),  # noqa: PLW0108
            ("__builtin__", "bytes"): lambda: b"",  # protocol 2 writes empty bytes so
            ("collections", "OrderedDict"): dict,
            # A tensor that is not directly in a state dict is written as a tuple of its name and its array.
            ("builtins", "tuple"): tuple,
            ("__builtin__", "tuple"): tuple,
        }
        for core in ("numpy.core", "numpy._core"):
            self._known[f"{core}.multiarray", "_reconstruct"] = lambda *_: PickledArray()
            self._known[f"{core}.multiarray", "scalar"] = lambda dtype, data: _from_buffer(data, dtype, (), "C")
            self._known[f"{core}.numeric", "_frombuffer"] = lambda *parts: _from_buffer(*parts)  # noqa: PLW0108

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """Return the stand-in for a name.

        Raises:
            RefusedError: There is none.
        """
        if (module_name, global_name) not in self._known:
            name = f"{module_name}.{global_name}"[:80]
            raise RefusedError(f"asks for {name!r}, which weights do not need: do not trust this file")
        return self._known[module_name, global_name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file.

        Raises:
            RefusedError: Always.
        """
        raise RefusedError("refers to something outside itself, which weights do not need")


def _encode(text: str, encoding: str) -> bytes:
    """Return the bytes that protocol 2 writes as text."""
    if encoding != "latin1":
        raise RefusedError("holds bytes in an encoding that no array is written in")
    return text.encode("latin1")


def _from_buffer(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> PickledArray:
    array = PickledArray()
    array.value = _numbers(data, dtype, shape, order)
    return array


def _numbers(data: bytes, dtype: _DType, shape: tuple[int, ...], order: str) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
        raise TypeError("not the parts of an array")
    if min(shape, default=0) < 0:  # NumPy would infer a size of -1
        raise ValueError(f"a shape of {shape}")
    array = np.ndarray(shape, dtype.value, data, order="F" if order == "F" else "C")
    if array.nbytes != len(data):
        raise ValueError(f"{len(data)} bytes for {array.nbytes}")
    return array.astype(dtype.value.newbyteorder("="), copy=False)
