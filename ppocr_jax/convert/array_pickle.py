"""Reading pickles that may hold nothing but arrays of numbers, text, numbers and plain containers.

A pickle is a program: loading it calls whatever functions it names. Here only the few names that an array is written
with are known, and each stands for something of ours: nothing else is ever looked up or called, NumPy's own unpickling
included.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

_NUMBERS = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
# What the pickle machine raises on bytes that are no pickle, or not all of one.
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
    """A pickle asks for something that no array needs; the message goes on after the file's name."""


class BrokenPickleError(Exception):
    """Not a pickle, or not all of it."""


class PickledArray:
    """Stands for an array while a pickle is read.

    Attributes:
        value: the array, in native byte order, perhaps read-only; None where the pickle leaves it out.
    """

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _numbers(data, dtype, shape, "F" if fortran else "C")


def load_plain(file: BinaryIO) -> Any:
    """Return what a pickle of any protocol holds, with a `PickledArray` for each array.

    Raises:
        RefusedError: it names a function or class that arrays of numbers do not need, or holds other arrays.
        BrokenPickleError: it is no pickle, or is cut short.
    """
    try:
        return _ArrayUnpickler(file).load()
    except _BROKEN as error:
        raise BrokenPickleError(type(error).__name__) from error


class _DType:
    """Stands for a NumPy type."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in _NUMBERS:
            raise RefusedError(f"holds an array of type {str(code)[:40]!r}, not of numbers")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.value = self.value.newbyteorder(state[1])


class _ArrayUnpickler(pickle.Unpickler):
    """Knows what arrays are written with, by the names of NumPy 1 and 2 and of Python 2 and 3."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        # Functions are made anew for each file: a pickle can set attributes of those it is handed.
        self._known: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy", "ndarray"): PickledArray,
            ("numpy", "dtype"): _DType,
            ("_codecs", "encode"): lambda *parts: _encode(*parts),  # noqa: PLW0108
            ("__builtin__", "bytes"): lambda: b"",  # how protocol 2 writes no bytes
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
            RefusedError: it has none.
        """
        if (module_name, global_name) not in self._known:
            name = f"{module_name}.{global_name}"[:80]
            raise RefusedError(f"asks for {name!r}, which weights do not need: do not trust this file")
        return self._known[module_name, global_name]

    def persistent_load(self, pid: Any) -> Any:
        """Nothing lies outside the file.

        Raises:
            RefusedError: always.
        """
        raise RefusedError("refers to something outside itself, which weights do not need")


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes, as protocol 2 writes them."""
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
    if min(shape, default=0) < 0:  # NumPy takes -1 for "as many as there are"
        raise ValueError(f"a shape of {shape}")
    array = np.ndarray(shape, dtype.value, data, order="F" if order == "F" else "C")
    if array.nbytes != len(data):
        raise ValueError(f"{len(data)} bytes for {array.nbytes}")
    return array.astype(dtype.value.newbyteorder("="), copy=False)
