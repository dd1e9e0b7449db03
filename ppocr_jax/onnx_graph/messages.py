"""Protobuf messages, large weights and header of ONNX files.

Only a few messages and fields of onnx.proto are declared; all other fields of a file are preserved. Weights are nearly
all of a file, and most are not needed, but protobuf would copy them at each step. They are therefore removed before
protobuf parses the rest, and inserted again when the file is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from ppocr_jax.errors import UserError

TAKEN = 1000
"""Number of a field that no file has; in a tensor, it replaces removed weights, see `take_weights`."""
_PACKAGE = "ppocr_jax.onnx_subset"
# Message -> field -> (number, kind); a kind in brackets is repeated, and the name of a message is an embedded message.
_MESSAGES = {
    "Model": {
        "ir_version": (1, "int64"),
        "graph": (7, "Graph"),
        "opset_import": (8, "[Opset]"),
        "metadata_props": (14, "[Entry]"),
    },
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "Graph": {
        "node": (1, "[Node]"),
        "name": (2, "string"),
        "initializer": (5, "[Tensor]"),
        "input": (11, "[Value]"),
        "output": (12, "[Value]"),
        "value_info": (13, "[Value]"),
    },
    "Node": {
        "input": (1, "[string]"),
        "output": (2, "[string]"),
        "name": (3, "string"),
        "op_type": (4, "string"),
        "attribute": (5, "[Attribute]"),
        "domain": (7, "string"),
    },
    "Attribute": {
        "name": (1, "string"),
        "f": (2, "float"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "ints": (8, "[int64]"),
        "type": (20, "int32"),
    },
    "Tensor": {
        "dims": (1, "[int64]"),
        "data_type": (2, "int32"),
        "float_data": (4, "[float]"),
        "int32_data": (5, "[int32]"),
        "int64_data": (7, "[int64]"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "data_location": (14, "int32"),
        "taken": (TAKEN, "int64"),
    },
    "Value": {"name": (1, "string"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"elem_type": (1, "int32"), "shape": (2, "Shape")},
    "Shape": {"dim": (1, "[Dim]")},
    "Dim": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "Entry": {"key": (1, "string"), "value": (2, "string")},
}
FLOAT, INT, STRING, INTS = 1, 2, 3, 7
"""Values of `Attribute.type`."""
TENSOR_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "float16": 10}
"""Name of the NumPy dtype -> a tensor's `data_type`."""

Shape = tuple[int | str | None, ...]


class OnnxFileError(UserError, ValueError):
    """Error of a file that is missing, is not an ONNX model, or has a graph that is not supported."""


@dataclass(frozen=True)
class Value:
    """An input or output of a model.

    Attributes:
        name: Name of the value.
        shape: A number for each fixed dimension, otherwise its name or None; None if the file states no shape.
    """

    name: str
    shape: Shape | None


@dataclass(frozen=True)
class Header:
    """Inputs (without weights), outputs and metadata of a model."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: dict[str, str]


def field_number(message: str, field: str) -> int:
    """Return the number of a field of a message."""
    return _MESSAGES[message][field][0]


@cache
def message(name: str) -> Any:
    """Return the class of a message: "Model", "Node" and so on."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="ppocr_jax/onnx_subset.proto", package=_PACKAGE, syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message_name, fields in _MESSAGES.items():
        described = file.message_type.add(name=message_name)
        for field, (number, kind) in fields.items():
            single = kind.strip("[]")
            added = described.field.add(name=field, number=number)
            added.label = kinds.LABEL_OPTIONAL if single == kind else kinds.LABEL_REPEATED
            if single in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{single}"
            else:
                added.type = getattr(kinds, f"TYPE_{single.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


_TENSOR = {field_number("Tensor", "raw_data"): {}}
_NODE = {field_number("Node", "attribute"): {field_number("Attribute", "t"): _TENSOR}}
_GRAPH = {field_number("Graph", "initializer"): _TENSOR, field_number("Graph", "node"): _NODE}
_MODEL = {field_number("Model", "graph"): _GRAPH}
"""Fields that lead from a model to its weights, including those of Constant nodes."""
_LEAST = 1024  # bytes
_VARINT, _EIGHT, _EMBEDDED, _FOUR = 0, 1, 2, 5

Piece = bytes | memoryview


def read_header(path: Path) -> Header:
    """Return the header of an ONNX file without creating a session.

    Raises:
        OnnxFileError: The file does not exist or is not an ONNX model.
    """
    try:
        with path.open("rb") as file:
            model, _ = parse_model(mmap(file.fileno(), 0, access=ACCESS_READ))
    except OSError as error:
        raise OnnxFileError(f"cannot load {path}: {error.strerror}") from error
    except ValueError as error:  # an empty file cannot be mapped
        raise OnnxFileError(f"cannot load {path}: not an ONNX model") from error
    weights = {tensor.name for tensor in model.graph.initializer}  # old files list weights among the inputs
    return Header(
        tuple(_value(value) for value in model.graph.input if value.name not in weights),
        tuple(_value(value) for value in model.graph.output),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _value(value: Any) -> Value:
    tensor = value.type.tensor_type
    # Converters write -1 or 0 for variable dimensions.
    sizes = (dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in tensor.shape.dim)
    return Value(value.name, tuple(sizes) if tensor.HasField("shape") else None)


def parse_model(data: bytes | mmap) -> tuple[Any, list[memoryview]]:
    """Return the model without its large weights, and the weights.

    Raises:
        OnnxFileError: The bytes are not an ONNX model.
    """
    from google.protobuf.message import DecodeError

    model = message("Model")()
    try:
        skeleton, weights = take_weights(data)
        model.ParseFromString(skeleton)
    except (DecodeError, ValueError, IndexError) as error:
        raise OnnxFileError("not an ONNX model") from error
    return model, weights


def take_weights(model: bytes | mmap) -> tuple[bytes, list[memoryview]]:
    """Return the bytes of a model without its large weights, and the weights as views of `model`.

    Raises:
        ValueError, IndexError: The bytes are not a protobuf message.
    """
    weights: list[memoryview] = []
    view = memoryview(model)
    return b"".join(_without_weights(view, _MODEL, weights) or [view]), weights


def field(number: int, pieces: Iterable[Piece]) -> list[Piece]:
    """Return the pieces of a field with an embedded message, text or bytes; a message is a sequence of fields."""
    pieces = list(pieces)
    return [_key(number, _EMBEDDED) + _varint(sum(map(len, pieces))), *pieces]


def _without_weights(message: memoryview, paths: dict, weights: list[memoryview]) -> list[Piece] | None:
    """Return the pieces of the message without its large weights, or None if it has none."""
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
    """Yield the number and start of each field, and the start and end of its value (equal unless it is embedded)."""
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
