"""Which parts of a network stay in float32, and hard swish on bytes. Works on `onnx` graphs in place."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

Node = onnx.NodeProto

STEM = 4
"""Convolutions at the input that stay in float32. Alone in int8 they change a network's output up to five times as
much as later ones: each of their few channels matters. In float32 they take no longer."""
_HEAD = 2
_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU")
_POOLING = ("GlobalAveragePool", "ReduceMean")
_OF_EACH_CHANNEL = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "HardSwish", "Clip", "Add", "BatchNormalization")


def name_nodes(graph: onnx.GraphProto) -> None:
    """Give every node a name of its own: quantization chooses nodes by name."""
    for number, node in enumerate(graph.node):
        node.name = f"{number}_{node.op_type}"


def spell_out_hard_swish(graph: onnx.GraphProto) -> None:
    """Hard swish as x * HardSigmoid(x), both of which `gates_on_bytes` and ONNX Runtime have in int8."""
    nodes: list[Node] = []
    for node in graph.node:
        if node.op_type != "HardSwish":
            nodes.append(node)
            continue
        gate = f"{node.output[0]}/gate"
        nodes += [
            helper.make_node("HardSigmoid", node.input, [gate], alpha=1 / 6, beta=0.5),
            helper.make_node("Mul", [node.input[0], gate], node.output),
        ]
    _set_nodes(graph, nodes)


def float_nodes(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that stay in float32: stem, squeeze-and-excitation branches, and head."""
    branches = _branches(graph)
    return branches | _stem(graph, branches) | _head(graph)


def _branches(graph: onnx.GraphProto) -> set[str]:
    """Nodes that compute with one number for each channel, from pooling up to where that scales a feature map."""
    names, values = set(), set()
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        fed = {value for value in node.input if value not in constants}
        if node.op_type in _POOLING or (node.op_type in _OF_EACH_CHANNEL and fed and fed <= values):
            names.add(node.name)
            values.update(node.output)
    return names


def _stem(graph: onnx.GraphProto, branches: set[str]) -> set[str]:
    """All nodes before the convolution that follows the first `STEM`, the activation between them included."""
    names: set[str] = set()
    count = 0
    for node in graph.node:
        count += node.op_type == "Conv" and node.name not in branches
        if count > STEM:
            break
        names.add(node.name)
    return names


def _head(graph: onnx.GraphProto) -> set[str]:
    """The last two layers with weights, and what comes after them.

    DB's upsampling, the classes of a recognizer or a classifier: an error here is not averaged out any more.
    """
    makers = {value: node for node in graph.node for value in node.output}
    names: set[str] = set()
    ahead = [(output.name, 0) for output in graph.output]
    while ahead:
        value, layers = ahead.pop()
        node = makers.get(value)
        if node is None or layers == _HEAD:
            continue
        names.add(node.name)
        layers += node.op_type in _WEIGHTED
        ahead += [(before, layers) for before in node.input]
    return names


def gates_on_bytes(model: onnx.ModelProto) -> None:
    """Hard sigmoid between quantized values by quantizing alone: what lies outside 0..1 is clipped by it.

    DequantizeLinear, HardSigmoid, QuantizeLinear becomes DequantizeLinear, QuantizeLinear with a scale such that the
    bytes 0..255 are the gate 0..1; from there on they are read so. One pass over the feature map less.
    """
    graph = model.graph
    makers = {value: node for node in graph.node for value in node.output}
    gone: set[str] = set()
    for node in list(graph.node):
        pair = _quantization_of(graph, node) if node.op_type == "HardSigmoid" else None
        if pair is None or makers[node.input[0]].op_type != "DequantizeLinear":
            continue
        quantize, dequantize = pair
        alpha, beta = _slope(node)
        prefix = node.name
        for name, value in (
            ("scale", np.float32(1 / (255 * alpha))),
            ("zero", np.uint8(np.clip(round(255 * beta), 0, 255))),
            ("gate_scale", np.float32(1 / 255)),
            ("gate_zero", np.uint8(0)),
        ):
            graph.initializer.append(numpy_helper.from_array(np.array(value), f"{prefix}/{name}"))
        quantize.input[:] = [node.input[0], f"{prefix}/scale", f"{prefix}/zero"]
        dequantize.input[1:] = [f"{prefix}/gate_scale", f"{prefix}/gate_zero"]
        gone.add(node.name)
    _set_nodes(graph, [node for node in graph.node if node.name not in gone])
    _drop_unused(graph)


def _quantization_of(graph: onnx.GraphProto, node: Node) -> tuple[Node, Node] | None:
    """The QuantizeLinear and the DequantizeLinear through which alone a value goes."""
    found = node
    pair = []
    for op_type in ("QuantizeLinear", "DequantizeLinear"):
        users = [user for user in graph.node if found.output[0] in user.input]
        if len(users) != 1 or users[0].op_type != op_type:
            return None
        found = users[0]
        pair.append(found)
    return pair[0], pair[1]


def _slope(node: Node) -> tuple[float, float]:
    """alpha and beta of a HardSigmoid."""
    given = {attribute.name: attribute.f for attribute in node.attribute}
    return given.get("alpha", 0.2), given.get("beta", 0.5)


def _drop_unused(graph: onnx.GraphProto) -> None:
    used = {value for node in graph.node for value in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _set_nodes(graph: onnx.GraphProto, nodes: list[Node]) -> None:
    nodes = [Node.FromString(node.SerializeToString()) for node in nodes]  # clearing the list empties its messages
    del graph.node[:]
    graph.node.extend(nodes)
