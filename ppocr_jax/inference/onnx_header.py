"""What an ONNX file says of its network, read without making a session."""

from __future__ import annotations

from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.inference.onnx_messages import message
from ppocr_jax.inference.onnx_weights import take_weights

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class Value:
    """An input or output: of its shape a number where the file fixes it, else a name or None.

    `shape` itself is None where the file leaves that to ONNX Runtime.
    """

    name: str
    shape: Shape | None


@dataclass(frozen=True)
class Header:
    """Inputs that are no weights, outputs, and key-value pairs."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """The header of an ONNX file.

    Raises:
        ModelError: there is no such file, or it is no ONNX model.
    """
    from google.protobuf.message import DecodeError

    model = message("Model")()
    try:
        with path.open("rb") as file:
            skeleton, _ = take_weights(mmap(file.fileno(), 0, access=ACCESS_READ))
        model.ParseFromString(skeleton)
    except OSError as error:
        raise ModelError(f"cannot load {path}: {error.strerror}") from error
    except (DecodeError, ValueError, IndexError) as error:
        raise ModelError(f"cannot load {path}: not an ONNX model") from error
    weights = {tensor.name for tensor in model.graph.initializer}  # old files list them among the inputs
    return Header(
        tuple(_value(value) for value in model.graph.input if value.name not in weights),
        tuple(_value(value) for value in model.graph.output),
        {entry.key: entry.value for entry in model.metadata_props},
    )


def _value(value: Any) -> Value:
    tensor = value.type.tensor_type
    return Value(value.name, tuple(_size(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None)


def _size(dim: Any) -> int | str | None:
    """Converters write -1 or 0 for what is not fixed."""
    return dim.dim_value if dim.dim_value > 0 else dim.dim_param or None
