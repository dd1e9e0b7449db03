"""An ONNX graph that can be searched and changed, without the onnx package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any

import numpy as np

from ppocr_jax.inference.onnx_messages import FLOAT, INT, INTS, STRING, field_number, message
from ppocr_jax.inference.onnx_weights import Piece, field, take_weights

Node = Any  # the message that onnx.proto calls NodeProto

_EXTERNAL = 1  # Tensor.data_location
_GRAPH, _NODE, _INITIALIZER = (
    field_number("Model", "graph"),
    field_number("Graph", "node"),
    field_number("Graph", "initializer"),
)
_RAW_DATA = field_number("Tensor", "raw_data")
_COMMUTATIVE = ("Mul", "Add")


class UnfitGraph(ValueError):
    """A model that cannot be changed here: no ONNX, with inner graphs, or with weights in files of their own."""


class Graph:
    """Nodes in order, and what is constant. Names of values are unique, as ONNX demands."""

    def __init__(self, data: bytes) -> None:
        """
        Args:
            data: an ONNX file.

        Raises:
            UnfitGraph: see there.
        """
        from google.protobuf.message import DecodeError

        skeleton, self._weights = take_weights(data)
        self._model = message("Model")()
        try:
            self._model.ParseFromString(skeleton)
        except DecodeError as error:
            raise UnfitGraph("not an ONNX model") from error
        graph = self._model.graph
        # Messages of the file, and new float32 arrays.
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[Node] = []
        for node in graph.node:
            if any(attribute.HasField("g") for attribute in node.attribute):
                raise UnfitGraph(f"{node.op_type} has inner graphs")
            if node.op_type == "Constant" and len(node.attribute) == 1 and node.attribute[0].HasField("t"):
                self._tensors[node.output[0]] = node.attribute[0].t
            else:
                self.nodes.append(node)
        if any(tensor.data_location == _EXTERNAL for tensor in self._tensors.values()):
            raise UnfitGraph("its weights are in files of their own")
        self._outputs = {value.name for value in graph.output}
        self._names = {value for node in self.nodes for value in (*node.input, *node.output)} | set(self._tensors)
        self._makers: dict[str, Node] = {}
        self._users: dict[str, list[Node]] = {}
        for node in self.nodes:
            self._note(node)

    def to_bytes(self) -> bytes:
        """The model as an ONNX file, without constants that are no longer used."""
        used = {value for node in self.nodes for value in node.input} | self._outputs
        graph = self._model.graph
        _refill(graph.input, [value for value in graph.input if value.name not in self._tensors])
        tensors = [self._tensor_pieces(tensor, name) for name, tensor in self._tensors.items() if name in used]
        nodes = [[node.SerializeToString()] for node in self.nodes]
        del graph.node[:], graph.initializer[:]
        # The second of two embedded messages adds to the first.
        more = [*(field(_NODE, node) for node in nodes), *(field(_INITIALIZER, tensor) for tensor in tensors)]
        return b"".join([self._model.SerializeToString(), *field(_GRAPH, chain.from_iterable(more))])

    def _tensor_pieces(self, tensor: Any, name: str) -> list[Piece]:
        if isinstance(tensor, np.ndarray):
            new = message("Tensor")(data_type=FLOAT, dims=tensor.shape, name=name)
            return [new.SerializeToString(), *field(_RAW_DATA, [tensor.tobytes()])]
        tensor.name = name  # a Constant node's has none
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

    def maker(self, value: str) -> Node | None:
        """The node that makes a value; None: an input or a constant."""
        return self._makers.get(value)

    def users(self, value: str) -> list[Node]:
        """The nodes that take a value."""
        return self._users.get(value, [])

    def only_user(self, value: str) -> Node | None:
        """The node that takes a value, where it is one and the value is no output of the graph."""
        users = self.users(value)
        return users[0] if len(users) == 1 and value not in self._outputs else None

    def constant(self, value: str) -> np.ndarray | None:
        """A float32 constant; None for any other value."""
        tensor = self._tensors.get(value)
        if isinstance(tensor, np.ndarray):
            return tensor
        if tensor is None or tensor.data_type != FLOAT:
            return None
        raw = self._weights[tensor.taken] if tensor.HasField("taken") else tensor.raw_data
        flat = np.frombuffer(raw, "<f4") if raw else np.array(tensor.float_data, np.float32)
        return flat.reshape(tuple(tensor.dims))

    def scalar(self, value: str) -> float | None:
        """The only element of a float32 constant of shape () or (1), which no other value's shape depends on."""
        array = self.constant(value)
        return float(array.reshape(())) if array is not None and array.shape in ((), (1,)) else None

    def with_scalar(self, node: Node | None, op_type: str) -> tuple[str, float] | None:
        """The value and the number that an operation of two operands puts together.

        In either order where that is no matter, as for Mul and Add; else, as for Div, the number comes second.
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
        """A new float32 constant; returns its name, which begins with `base`."""
        name = self.new_name(base)
        self._tensors[name] = np.array(array, "<f4", order="C")
        return name

    def new_name(self, base: str) -> str:
        """A name that no value has had, nor was given before."""
        name = next(name for number in count() if (name := f"{base}/{number}") not in self._names)
        self._names.add(name)
        return name

    def replace(self, old: Iterable[Node], new: Iterable[Node]) -> None:
        """Put nodes in the place of the last of the old ones, which all go."""
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
            if isinstance(self._tensors.get(value), np.ndarray):
                del self._tensors[value]

    def _note(self, node: Node) -> None:
        self._makers.update(dict.fromkeys(node.output, node))
        for value in dict.fromkeys(node.input):
            self._users.setdefault(value, []).append(node)

    def _forget(self, node: Node) -> None:
        for value in node.output:
            del self._makers[value]
        for value in dict.fromkeys(node.input):
            self._users[value] = [user for user in self._users[value] if user is not node]


def make_node(op_type: str, inputs: Iterable[str], output: str, **attributes: float | int | str | list[int]) -> Node:
    """A node with one output."""
    node = message("Node")(op_type=op_type)
    node.input.extend(inputs)
    node.output.append(output)
    for name, value in attributes.items():
        node.attribute.append(_attribute(name, value))
    return node


def attributes(node: Node) -> dict[str, Any]:
    """Numbers, strings and lists of integers among a node's attributes."""
    return dict(_values(node))


def _values(node: Node) -> Iterator[tuple[str, Any]]:
    for attribute in node.attribute:
        if attribute.type == FLOAT:
            yield attribute.name, attribute.f
        elif attribute.type == INT:
            yield attribute.name, attribute.i
        elif attribute.type == STRING:
            yield attribute.name, attribute.s.decode()
        elif attribute.type == INTS:
            yield attribute.name, list(attribute.ints)


def _attribute(name: str, value: float | int | str | list[int]) -> Any:
    kind = message("Attribute")
    if isinstance(value, str):
        return kind(name=name, type=STRING, s=value.encode())
    if isinstance(value, list):
        return kind(name=name, type=INTS, ints=value)
    return kind(name=name, type=INT, i=value) if isinstance(value, int) else kind(name=name, type=FLOAT, f=value)


def _refill(repeated: Any, values: list[Any]) -> None:
    del repeated[:]  # what was in it lives on as long as `values` refers to it
    repeated.extend(values)
