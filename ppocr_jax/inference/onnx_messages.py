"""The few messages of ONNX files that are looked into here, for protobuf, which ONNX Runtime brings along.

Field numbers are those of onnx.proto; every other field of a file goes through parsing and writing untouched.
"""

from __future__ import annotations

from functools import cache
from typing import Any

TAKEN = 1000
"""Number of a field that no file has: in a tensor it stands for weights taken out, see `onnx_weights`."""
_PACKAGE = "ppocr_jax.onnx_subset"
# message -> field -> (number, kind); a kind in brackets repeats, one that names a message contains it
_MESSAGES = {
    "Model": {"graph": (7, "Graph"), "opset_import": (8, "[Opset]"), "metadata_props": (14, "[Entry]")},
    "Opset": {"domain": (1, "string"), "version": (2, "int64")},
    "Graph": {
        "node": (1, "[Node]"),
        "initializer": (5, "[Tensor]"),
        "input": (11, "[Value]"),
        "output": (12, "[Value]"),
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
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "data_location": (14, "int32"),
        "taken": (TAKEN, "int64"),
    },
    "Value": {"name": (1, "string"), "type": (2, "Type")},
    "Type": {"tensor_type": (1, "TensorType")},
    "TensorType": {"shape": (2, "Shape")},
    "Shape": {"dim": (1, "[Dim]")},
    "Dim": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
    "Entry": {"key": (1, "string"), "value": (2, "string")},
}
FLOAT, INT, STRING, INTS = 1, 2, 3, 7
"""Values of `Attribute.type`; FLOAT is also a tensor's `data_type` float32."""


def field_number(message: str, field: str) -> int:
    """Of a field of a message."""
    return _MESSAGES[message][field][0]


@cache
def message(name: str) -> Any:
    """The class of a message: "Model", "Node" and so on."""
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
