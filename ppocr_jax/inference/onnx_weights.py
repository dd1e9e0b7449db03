"""Large weights of an ONNX file: taken out before protobuf parses the rest, and put into what is written again.

Weights are nearly all of a file and most are not looked at; protobuf would copy them with each step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from mmap import mmap

from ppocr_jax.inference.onnx_messages import TAKEN, field_number

_TENSOR = {field_number("Tensor", "raw_data"): {}}
_NODE = {field_number("Node", "attribute"): {field_number("Attribute", "t"): _TENSOR}}
_GRAPH = {field_number("Graph", "initializer"): _TENSOR, field_number("Graph", "node"): _NODE}
_MODEL = {field_number("Model", "graph"): _GRAPH}
"""Fields that lead from a model to its weights, those of Constant nodes among them."""
_LEAST = 1024  # bytes
_VARINT, _EIGHT, _EMBEDDED, _FOUR = 0, 1, 2, 5

Piece = bytes | memoryview


def take_weights(model: bytes | mmap) -> tuple[bytes, list[memoryview]]:
    """A model without its large weights, and these: views of `model`.

    Raises:
        ValueError, IndexError: the bytes are not a protobuf message.
    """
    weights: list[memoryview] = []
    view = memoryview(model)
    return b"".join(_without_weights(view, _MODEL, weights) or [view]), weights


def field(number: int, pieces: Iterable[Piece]) -> list[Piece]:
    """An embedded message, text or bytes as the field of a message; joined, or joined to other fields, it is valid."""
    pieces = list(pieces)
    return [_key(number, _EMBEDDED) + _varint(sum(map(len, pieces))), *pieces]


def _without_weights(message: memoryview, paths: dict, weights: list[memoryview]) -> list[Piece] | None:
    """Pieces of the message, or None where nothing was taken out."""
    pieces: list[Piece] = []
    copied = 0
    for number, start, begin, end in _fields(message):
        if number == TAKEN and paths is _TENSOR:
            raise ValueError("a tensor has a field that marks weights taken out")
        if number not in paths or end - begin < _LEAST:
            continue
        if paths is _TENSOR:
            stand_in = [_key(TAKEN, _VARINT) + _varint(len(weights))]
            weights.append(message[begin:end])
        else:
            inner = _without_weights(message[begin:end], paths[number], weights)
            if inner is None:
                continue
            stand_in = field(number, inner)
        pieces += [message[copied:start], *stand_in]
        copied = end
    return [*pieces, message[copied:]] if pieces else None


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Number, where the field starts, and where its value begins and ends; empty unless it is embedded."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        kind, begin = key & 7, at
        if kind == _VARINT:
            _, begin = _read_varint(message, at)
            at = begin
        elif kind == _EMBEDDED:
            length, begin = _read_varint(message, at)
            at = begin + length
        elif kind in (_EIGHT, _FOUR):
            begin = at = at + (8 if kind == _EIGHT else 4)
        else:
            raise ValueError(f"unknown kind of field: {kind}")
        if at > len(message):
            raise ValueError("a field ends after its message")
        yield key >> 3, start, begin, at


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := message[at]) >= 128:
        value |= (byte & 127) << shift
        shift += 7
        at += 1
    return value | byte << shift, at + 1


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
