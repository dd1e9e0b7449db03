"""Tidying an ONNX graph: from what a converter writes, operation by operation, to what runtimes are fast at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

Node = onnx.NodeProto
_STANDARD_DOMAINS = ("", "ai.onnx")


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with BatchNorm folded into convolutions, layout changes canceled, activations named.

    ONNX Runtime's "basic" optimizations, done once here instead of at every load, give a graph in standard operators
    that any runtime can read. Activations, which JAX spells out, become operators that fuse with the convolution before
    them: hard swish as one node instead of four halves the time of a depthwise convolution.

    Raises:
        onnx.checker.ValidationError: the result is not valid ONNX.
    """
    del model.graph.value_info[:]  # jax2onnx's shapes of inner values can be wrong once it has moved transpositions
    model = _optimize_basic(model)
    del model.graph.value_info[:]
    for rule in (_relu, _hard_swish, _hard_sigmoid, _global_average_pool, _matmul):
        _apply(rule, model.graph)
    _drop_unused(model.graph)
    _keep_domains(model, _STANDARD_DOMAINS)
    onnx.checker.check_model(model, full_check=True)
    return model


def _optimize_basic(model: onnx.ModelProto) -> onnx.ModelProto:
    import tempfile
    from pathlib import Path

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


class _Graph:
    """Who makes and what is constant in a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {output: node for node in graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def maker(self, value: str, op_type: str) -> Node | None:
        """The node of that type that makes a value, or None."""
        node = self._makers.get(value)
        return node if node is not None and node.op_type == op_type else None

    def constant(self, value: str) -> np.ndarray | None:
        """A constant's value, or None."""
        tensor = self._constants.get(value)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def is_scalar(self, value: str, number: float) -> bool:
        """Whether a value is a constant scalar equal to `number` in float32."""
        scalar = self.scalar(value)
        return scalar is not None and scalar == np.float32(number)

    def scalar(self, value: str) -> float | None:
        """A constant's only element, or None."""
        array = self.constant(value)
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def operands(self, node: Node) -> Iterator[tuple[str, str]]:
        """Both orders of a commutative operation's two inputs."""
        first, second = node.input
        yield first, second
        yield second, first


Rule = Callable[[_Graph, Node], Node | None]
"""(graph, last node of a pattern) -> the node that replaces it, or None where the pattern is not there."""


def _relu(graph: _Graph, node: Node) -> Node | None:
    """max(x, 0)."""
    if node.op_type != "Max" or len(node.input) != 2:
        return None
    for x, zero in graph.operands(node):
        if graph.is_scalar(zero, 0):
            return helper.make_node("Relu", [x], node.output)
    return None


def _hard_swish(graph: _Graph, node: Node) -> Node | None:
    """x * clip(x + 3, 0, 6) / 6."""
    if node.op_type != "Div" or not graph.is_scalar(node.input[1], 6):
        return None
    product = graph.maker(node.input[0], "Mul")
    for x, factor in graph.operands(product) if product is not None else ():
        clip = graph.maker(factor, "Clip")
        added = graph.maker(clip.input[0], "Add") if clip is not None and _clips(graph, clip, 0, 6) else None
        for same, three in graph.operands(added) if added is not None else ():
            if same == x and graph.is_scalar(three, 3):
                return helper.make_node("HardSwish", [x], node.output)
    return None


def _hard_sigmoid(graph: _Graph, node: Node) -> Node | None:
    """clip(slope * x + offset, 0, 1)."""
    added = graph.maker(node.input[0], "Add") if node.op_type == "Clip" and _clips(graph, node, 0, 1) else None
    for scaled, offset in graph.operands(added) if added is not None else ():
        product, beta = graph.maker(scaled, "Mul"), graph.scalar(offset)
        for x, slope in graph.operands(product) if product is not None and beta is not None else ():
            alpha = graph.scalar(slope)
            if alpha is not None:
                return helper.make_node("HardSigmoid", [x], node.output, alpha=alpha, beta=beta)
    return None


def _global_average_pool(graph: _Graph, node: Node) -> Node | None:
    """Mean over height and width of an NCHW value."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type != "ReduceMean" or attributes.get("keepdims", 1) != 1:
        return None
    axes = attributes.get("axes") if len(node.input) == 1 else graph.constant(node.input[1])
    if axes is None or sorted(int(axis) for axis in axes) != [2, 3]:
        return None
    return helper.make_node("GlobalAveragePool", [node.input[0]], node.output)


def _matmul(graph: _Graph, node: Node) -> Node | None:
    """An Einsum that multiplies the last axis with a constant matrix, as `abc,cd->abd`."""
    if node.op_type != "Einsum" or len(node.input) != 2:
        return None
    equation = helper.get_attribute_value(node.attribute[0]).decode().replace(" ", "")
    terms, result = equation.split("->")
    left, right = terms.split(",")
    if len(right) != 2 or left[-1] != right[0] or result != left[:-1] + right[1]:
        return None
    return helper.make_node("MatMul", node.input, node.output)


def _clips(graph: _Graph, clip: Node, low: float, high: float) -> bool:
    return len(clip.input) == 3 and graph.is_scalar(clip.input[1], low) and graph.is_scalar(clip.input[2], high)


def _apply(rule: Rule, graph: onnx.GraphProto) -> None:
    facts = _Graph(graph)
    for node in graph.node:
        replacement = rule(facts, node)
        if replacement is not None:
            replacement.name = node.name
            node.CopyFrom(replacement)


def _drop_unused(graph: onnx.GraphProto) -> None:
    uses = Counter(value for node in graph.node for value in node.input) + Counter(o.name for o in graph.output)
    for node in reversed(list(graph.node)):  # users come after makers
        if not any(uses[output] for output in node.output):
            uses.subtract(node.input)
            graph.node.remove(node)
    for tensor in [t for t in graph.initializer if not uses[t.name]]:
        graph.initializer.remove(tensor)


def _keep_domains(model: onnx.ModelProto, domains: tuple[str, ...]) -> None:
    kept = [opset for opset in model.opset_import if opset.domain in domains]
    del model.opset_import[:]
    model.opset_import.extend(kept)
