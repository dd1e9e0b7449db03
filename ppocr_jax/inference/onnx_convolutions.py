"""Convolutions in an ONNX graph: taken apart, and made anew with other weights."""

from __future__ import annotations

import numpy as np

from ppocr_jax.inference.onnx_graph import Graph, Node, attributes, make_node


def convolution(graph: Graph, node: Node | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights (outputs, inputs of a group, rows, columns) and bias (outputs) of a convolution of images."""
    if node is None or node.op_type != "Conv":
        return None
    weights = graph.constant(node.input[1])
    if weights is None or weights.ndim != 4:
        return None
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(len(weights), np.float32)
    return None if bias is None else (weights, bias)


def pointwise(graph: Graph, node: Node | None) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights (outputs, inputs, 1, 1) and bias of a 1x1 convolution of one group that pads nothing."""
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
    """A convolution with new weights, with the attributes of another one or 1x1."""
    inputs = [x, graph.add_constant(f"{output}/weights", weights), graph.add_constant(f"{output}/bias", bias)]
    if like is None:
        return make_node("Conv", inputs, output, group=groups, kernel_shape=[1, 1])
    return make_node("Conv", inputs, output, **attributes(like))
