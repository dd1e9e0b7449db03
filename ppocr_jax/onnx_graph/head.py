"""The last layer of a CTC recognizer, cut down to some of its classes when the file is opened."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppocr_jax.onnx_graph.graph import Graph, Node, OnnxFileError, make_node, renamed

_PASSED = ("Softmax", "Identity", "Cast")  # between the last layer and the output; no class changes its place


def cut_classes(model: bytes, classes: Sequence[int]) -> bytes:
    """Return a recognizer that knows only some of its classes.

    The logits of these are what they were, and softmax is taken over them alone. Where the last layer is a product with
    a constant matrix and a bias, as in PP-OCR's files and ours, its columns go. Of any other layer, such as an int8
    one, all logits are computed and some taken.

    Args:
        model: an ONNX file with one output (N, T, K), probabilities or logits.
        classes: those kept, in the order that they have in the new output.

    Raises:
        OnnxFileError: it is no ONNX file, or one whose graph cannot be changed here.
    """
    graph, ids = Graph(model), np.array(classes, np.int64)
    value = graph.outputs[0]
    while (node := graph.maker(value)) is not None and node.op_type in _PASSED:
        value = node.input[0]
    if node is None:
        raise OnnxFileError("its output is no layer's")
    if not _cut_layer(graph, node, ids):
        whole = graph.new_name(value)
        taken = make_node("Gather", [whole, graph.add_constant(f"{value}/classes", ids)], value, axis=2)
        graph.replace([node], [renamed(node, whole), taken])
    graph.forget_output_shapes()
    return graph.to_bytes()


def _cut_layer(graph: Graph, node: Node, ids: np.ndarray) -> bool:
    """Cut x W or x W + b, which ends at a node, to some columns; return whether the node is one of these."""
    bias = next((name for name in node.input if graph.is_constant(name)), None) if node.op_type == "Add" else None
    product = node
    if bias is not None:
        product = graph.maker(next(name for name in node.input if name != bias), "MatMul")
    if product is None or product.op_type != "MatMul" or len(graph.users(product.output[0])) != 1:
        return False
    weights, offsets = graph.array(product.input[1]), None if bias is None else graph.array(bias)
    if weights is None or weights.ndim != 2 or (offsets is not None and offsets.shape[-1:] != weights.shape[1:]):
        return False
    columns = graph.add_constant(product.input[1], weights[:, ids])
    new = [make_node("MatMul", [product.input[0], columns], product.output[0])]
    if bias is not None and offsets is not None:
        new.append(make_node("Add", [product.output[0], graph.add_constant(bias, offsets[..., ids])], node.output[0]))
    graph.replace([product] if bias is None else [product, node], new)
    return True
