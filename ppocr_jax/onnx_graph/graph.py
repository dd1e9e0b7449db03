"""The graph in an ONNX file, with producers and consumers of values, constants, and replacement of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Any

import numpy as np

from ppocr_jax.onnx_graph.messages import (
    FLOAT,
    INT,
    INTS,
    STRING,
    TENSOR_TYPES,
    OnnxFileError,
    Piece,
    field,
    field_number,
    message,
    parse_model,
)

Node = Any  # the message NodeProto of onnx.proto

_EXTERNAL = 1  # Tensor.data_location
_GRAPH, _NODE, _INITIALIZER = (
    field_number("Model", "graph"),
    field_number("Graph", "node"),
    field_number("Graph", "initializer"),
)
_RAW_DATA = field_number("Tensor", "raw_data")
_NAMES = {number: name for name, number in TENSOR_TYPES.items()}
_COMMUTATIVE = ("Mul", "Add", "Max")


class Graph:
    """Nodes in order, and constants. Names of values are unique, as ONNX requires.

    A float32 constant that a file stores as float16 or int8 with a Cast, and perhaps a product with a scale, is also a
    constant here (see `export.onnx` and `int8`).

    Attributes:
        nodes: The nodes, in topological order.
        inputs: Names of the inputs, without constants.
        outputs: Names of the outputs.
        metadata: Key-value pairs of the file.
    """

    def __init__(self, data: bytes) -> None:
        """Parse an ONNX file.

        Raises:
            OnnxFileError: It is not an ONNX file, has subgraphs, or has weights in external files.
        """
        self._model, self._weights = parse_model(data)
        graph = self._model.graph
        # Messages from the file, or NumPy arrays for new constants.
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[Node] = []
        for node in graph.node:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise OnnxFileError(f"{node.op_type} has inner graphs")
            if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].HasField("t"):
                self._tensors[node.output[0]] = node.attribute[0].t
            elif (widened := self._widened(node)) is not None:
                self._tensors[node.output[0]] = widened
            else:
                self.nodes.append(node)
        if any(tensor.data_location == _EXTERNAL for tensor in self._tensors.values() if not _is_array(tensor)):
            raise OnnxFileError("its weights are in files of their own")
        self.inputs = [value.name for value in graph.input if value.name not in self._tensors]
        self.outputs = [value.name for value in graph.output]
        self.metadata = {entry.key: entry.value for entry in self._model.metadata_props}
        self._names = {value for node in self.nodes for value in (*node.input, *node.output)} | set(self._tensors)
        self._makers: dict[str, Node] = {}
        self._users: dict[str, list[Node]] = {}
        for node in self.nodes:
            self._note(node)

    def _widened(self, node: Node) -> np.ndarray | None:
        """Return the float32 array of a Cast of a float16 or int8 constant, or of a product of two constants."""
        if node.op_type == "Cast" and attributes(node).get("to") == FLOAT:
            small = self.array(node.input[0])
            return small.astype(np.float32) if small is not None and small.dtype in (np.float16, np.int8) else None
        if node.op_type == "Mul":
            first, second = (self.constant(name) for name in node.input)
            return None if first is None or second is None else np.multiply(first, second)
        return None

    def to_bytes(self) -> bytes:
        """Return the model as an ONNX file, without unused constants and shapes of inner values."""
        used = {value for node in self.nodes for value in node.input} | set(self.outputs)
        graph = self._model.graph
        inputs = [value for value in graph.input if value.name not in self._tensors]
        tensors = [self._tensor_pieces(tensor, name) for name, tensor in self._tensors.items() if name in used]
        nodes = [[node.SerializeToString()] for node in self.nodes]
        # Messages that are deleted from a repeated field stay valid as long as they are referenced here.
        del graph.input[:], graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.input.extend(inputs)
        # If a message contains an embedded message twice, protobuf merges both.
        more = [*(field(_NODE, node) for node in nodes), *(field(_INITIALIZER, tensor) for tensor in tensors)]
        return b"".join([self._model.SerializeToString(), *field(_GRAPH, chain.from_iterable(more))])

    def _tensor_pieces(self, tensor: Any, name: str) -> list[Piece]:
        if _is_array(tensor):
            new = message("Tensor")(data_type=TENSOR_TYPES[tensor.dtype.name], dims=tensor.shape, name=name)
            return [new.SerializeToString(), *field(_RAW_DATA, [tensor.tobytes()])]
        tensor.name = name  # the tensor of a Constant node has no name
        if not tensor.HasField("taken"):
            return [tensor.SerializeToString()]
        weights = self._weights[tensor.taken]
        tensor.ClearField("taken")
        return [tensor.SerializeToString(), *field(_RAW_DATA, [weights])]

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        versions = [opset.version for opset in self._model.opset_import if opset.domain in ("", "ai.onnx")]
        return max(versions, default=0)

    def __contains__(self, node: Node) -> bool:
        return self._makers.get(node.output[0]) is node

    def producer(self, value: str, op_type: str | None = None) -> Node | None:
        """Return the node that produces a value; None if it is an input or constant, or if the type differs."""
        node = self._makers.get(value)
        return node if node is not None and op_type in (None, node.op_type) else None

    def users(self, value: str) -> list[Node]:
        """Return the nodes that consume a value."""
        return self._users.get(value, [])

    def only_user(self, value: str) -> Node | None:
        """Return the only node that consumes a value; None if there are several or the value is an output."""
        users = self.users(value)
        return users[0] if len(users) == 1 and value not in self.outputs else None

    def is_constant(self, value: str) -> bool:
        """Return whether a value is a constant of any type."""
        return value in self._tensors

    def array(self, value: str) -> np.ndarray | None:
        """Return a numeric constant; None for any other value."""
        tensor = self._tensors.get(value)
        if tensor is None or _is_array(tensor):
            return tensor
        if tensor.data_type not in _NAMES:
            return None
        dtype = np.dtype(_NAMES[tensor.data_type]).newbyteorder("<")
        raw = self._weights[tensor.taken] if tensor.HasField("taken") else tensor.raw_data
        if raw:
            flat = np.frombuffer(raw, dtype)
        elif dtype == np.float16:
            flat = np.array(tensor.int32_data, np.uint16).view(np.float16)  # the bits are stored as integers
        else:
            places = {"float32": tensor.float_data, "int64": tensor.int64_data}
            flat = np.array(places.get(dtype.name, tensor.int32_data), dtype)
        return flat.reshape(tuple(tensor.dims))

    def constant(self, value: str) -> np.ndarray | None:
        """Return a float32 constant; None for any other value."""
        array = self.array(value)
        return array if array is not None and array.dtype == np.float32 else None

    def scalar(self, value: str) -> float | None:
        """Return the element of a float32 constant of shape () or (1), so that broadcasting keeps other shapes."""
        array = self.constant(value)
        return float(array.reshape(())) if array is not None and array.shape in ((), (1,)) else None

    def with_scalar(self, node: Node | None, op_type: str) -> tuple[str, float] | None:
        """Return the value and the scalar constant that are the operands of a node of type `op_type`; otherwise None.

        The scalar must be the second operand unless the operator is commutative.
        """
        if node is None or node.op_type != op_type or len(node.input) != 2:
            return None
        first, second = node.input
        for value, other in ((first, second), (second, first)) if op_type in _COMMUTATIVE else ((first, second),):
            number = self.scalar(other)
            if number is not None and value not in self._tensors:
                return value, number
        return None

    def add_constant(self, base: str, array: np.ndarray) -> str:
        """Add a constant and return its name, which starts with `base`."""
        name = self.new_name(base)
        self._tensors[name] = np.array(array, order="C")
        return name

    def spell_out(self, value: str, small: np.ndarray, scale: np.ndarray | None = None) -> None:
        """Store a float32 constant as a float16 or int8 constant with a Cast, multiplied by `scale` if given."""
        del self._tensors[value]
        source = self.add_constant(f"{value}/{small.dtype.name}", small)
        wide = value if scale is None else self.new_name(f"{value}/wide")
        nodes = [make_node("Cast", [source], wide, to=FLOAT)]
        if scale is not None:
            nodes.append(make_node("Mul", [wide, self.add_constant(f"{value}/scale", scale)], value))
        self.nodes = [*nodes, *self.nodes]
        for node in nodes:
            self._note(node)

    def new_name(self, base: str) -> str:
        """Return an unused name that starts with `base`, and reserve it."""
        name = next(name for number in count() if (name := f"{base}/{number}") not in self._names)
        self._names.add(name)
        return name

    def replace(self, old: Iterable[Node], new: Iterable[Node]) -> None:
        """Remove the old nodes and insert the new ones at the position of the last old one."""
        old, new = list(old), list(new)
        gone = {id(node) for node in old}
        last = max(index for index, node in enumerate(self.nodes) if id(node) in gone)
        before = [node for node in self.nodes[:last] if id(node) not in gone]
        self.nodes = [*before, *new, *self.nodes[last + 1 :]]
        for node in old:
            self._forget(node)
        for node in new:
            self._note(node)
        for value in {value for node in old for value in node.input if not self.users(value)}:
            if _is_array(self._tensors.get(value)):
                del self._tensors[value]

    def forget_output_shapes(self) -> None:
        """Remove the shapes of the outputs, so that ONNX Runtime infers them."""
        for output in self._model.graph.output:
            output.type.tensor_type.ClearField("shape")

    def drop_unused(self) -> None:
        """Remove nodes whose results are not used."""
        uses = Counter(value for node in self.nodes for value in node.input) + Counter(self.outputs)
        for node in reversed(self.nodes):  # consumers come after producers
            if not any(uses[output] for output in node.output):
                uses.subtract(node.input)
                self._forget(node)
        self.nodes = [node for node in self.nodes if any(uses[output] for output in node.output)]

    def fold_constants(self) -> None:
        """Evaluate operators that only rearrange constants; some converters write the weights of an LSTM with them."""
        for node in list(self.nodes):
            operands = [self.array(name) for name in node.input if name]
            if node.op_type not in _FOLDED or not operands or any(operand is None for operand in operands):
                continue
            self._tensors[node.output[0]] = np.asarray(_FOLDED[node.op_type](operands, attributes(node)))
            self._forget(node)
            self.nodes = [other for other in self.nodes if other is not node]

    def _note(self, node: Node) -> None:
        self._makers.update(dict.fromkeys(node.output, node))
        for value in dict.fromkeys(node.input):
            self._users.setdefault(value, []).append(node)

    def _forget(self, node: Node) -> None:
        for value in node.output:
            del self._makers[value]
        for value in dict.fromkeys(node.input):
            self._users[value] = [user for user in self._users[value] if user is not node]


def _slice(operands: list[np.ndarray], given: dict[str, Any]) -> np.ndarray:
    """Evaluate Slice, with inputs (from opset 10 on) or attributes (before)."""
    data, *rest = operands
    starts, ends = rest[:2] if rest else (given["starts"], given["ends"])
    axes = rest[2] if len(rest) > 2 else given.get("axes", range(len(starts)))
    steps = rest[3] if len(rest) > 3 else [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        data = data[(slice(None),) * int(axis) + (slice(int(start), int(end), int(step)),)]
    return data


def _axes(operands: list[np.ndarray], given: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in (operands[1] if len(operands) > 1 else given["axes"]))


_FOLDED = {
    "Identity": lambda operands, given: operands[0],
    "Concat": lambda operands, given: np.concatenate(operands, axis=given["axis"]),
    "Reshape": lambda operands, given: operands[0].reshape(
        [size or operands[0].shape[axis] for axis, size in enumerate(operands[1].tolist())]
    ),
    "Slice": _slice,
    "Squeeze": lambda operands, given: np.squeeze(operands[0], _axes(operands, given)),
    "Transpose": lambda operands, given: operands[0].transpose(given["perm"]),
    "Unsqueeze": lambda operands, given: np.expand_dims(operands[0], _axes(operands, given)),
}


def _is_array(tensor: Any) -> bool:
    return isinstance(tensor, np.ndarray)


def make_node(op_type: str, inputs: Iterable[str], output: str, **attributes: float | int | str | list[int]) -> Node:
    """Return a node with one output."""
    node = message("Node")(op_type=op_type)
    node.input.extend(inputs)
    node.output.append(output)
    for name, value in attributes.items():
        kind, place = {float: (FLOAT, "f"), int: (INT, "i"), str: (STRING, "s"), list: (INTS, "ints")}[type(value)]
        given = value.encode() if isinstance(value, str) else value
        node.attribute.append(message("Attribute")(name=name, type=kind, **{place: given}))
    return node


def renamed(node: Node, output: str) -> Node:
    """Return a copy of a node whose first output has another name."""
    copy = message("Node")()
    copy.CopyFrom(node)
    copy.output[0] = output
    return copy


def new_model(
    nodes: Iterable[Node],
    constants: Mapping[str, np.ndarray],
    inputs: Iterable[str],
    outputs: Iterable[str],
    *,
    opset: int,
) -> bytes:
    """Return an ONNX file of a network with float32 inputs (N, 3, H, W) and float32 outputs of any shape."""
    model = message("Model")(ir_version=8)
    model.opset_import.add(version=opset)
    model.graph.name = "network"
    for name in inputs:
        tensor = model.graph.input.add(name=name).type.tensor_type
        tensor.elem_type = FLOAT
        for size in ("batch", 3, "height", "width"):
            tensor.shape.dim.add(**({"dim_value": size} if isinstance(size, int) else {"dim_param": size}))
    for name in outputs:
        model.graph.output.add(name=name).type.tensor_type.elem_type = FLOAT
    model.graph.node.extend(nodes)
    for name, array in constants.items():
        data = np.ascontiguousarray(array).tobytes()
        model.graph.initializer.add(
            data_type=TENSOR_TYPES[array.dtype.name], dims=array.shape, name=name, raw_data=data
        )
    return model.SerializeToString()


_VALUES = {FLOAT: lambda a: a.f, INT: lambda a: a.i, STRING: lambda a: a.s.decode(), INTS: lambda a: list(a.ints)}


def attributes(node: Node) -> dict[str, Any]:
    """Return the numbers, strings and lists of integers among a node's attributes."""
    return {a.name: _VALUES[a.type](a) for a in node.attribute if a.type in _VALUES}


def convolution(graph: Graph, node: Node | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weights (outputs, inputs per group, rows, columns) and bias (outputs) of a 2-D convolution, or None."""
    if node is None or node.op_type != "Conv":
        return None
    weights = graph.constant(node.input[1])
    if weights is None or weights.ndim != 4:
        return None
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(weights), np.float32)
    return None if bias is None else (weights, bias)


def pointwise(graph: Graph, node: Node | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Return weights (outputs, inputs, 1, 1) and bias of a 1x1 convolution without groups, padding and strides."""
    parts = convolution(graph, node)
    given = attributes(node) if node is not None else {}
    plain = (
        given.get("group", 1) == 1
        and not any(given.get("pads", []))
        and given.get("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        and set(given.get("strides", [1])) == {1}
    )
    return parts if plain and parts is not None and parts[0].shape[2:] == (1, 1) else None


def new_convolution(
    graph: Graph,
    x: str,
    weights: np.ndarray,
    bias: np.ndarray,
    output: str,
    *,
    like: Node | None = None,
    groups: int = 1,
) -> Node:
    """Return a convolution node with new weights, with the attributes of `like`, or a 1x1 one if it is None."""
    weights, bias = weights.astype(np.float32), bias.astype(np.float32)
    inputs = [x, graph.add_constant(f"{output}/weights", weights), graph.add_constant(f"{output}/bias", bias)]
    if like is None:
        return make_node("Conv", inputs, output, group=groups, kernel_shape=[1, 1])
    return make_node("Conv", inputs, output, **attributes(like))
