"""The same network in fewer passes over its feature maps: PP-OCR's files as ONNX Runtime is fast at them.

On a CPU, ONNX Runtime computes convolutions on channels in blocks and is back to NCHW for every operation that has no
such form. Converters of Paddle models spell hard swish out in four such operations, PP-LCNetV3 has a scalar scale and
offset around each of them, and DB's head upsamples by transposed convolutions; of the detector of PP-OCRv4 these cost
more than its convolutions. Each rule below puts something equal in their place, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppocr_jax.inference.onnx_convolutions import convolution, new_convolution, pointwise
from ppocr_jax.inference.onnx_graph import Graph, Node, attributes, make_node
from ppocr_jax.inference.onnx_upsampling import sink_depth_to_space, unfold_transposed_convolution

_ELEMENTWISE = ("HardSigmoid", "Sigmoid", "Relu", "LeakyRelu", "Clip", "BatchNormalization", "HardSwish")
_OF_TWO = ("Mul", "Add")
_ACTIVATIONS = ("Relu", "Sigmoid", "HardSigmoid")
# Operators that the rules write or read as they have been since these versions of ONNX.
_OPSETS = range(7, 100)
_MOST_STEPS = 32


def simplify(model: bytes) -> bytes:
    """A network that computes the same faster, or the same bytes where nothing can be done.

    Args:
        model: an ONNX file; whatever else it is comes back as it is.

    Returns:
        An ONNX file with the same inputs, outputs and metadata. Values differ by rounding only.
    """
    try:
        return _simplify(model)
    except (ValueError, TypeError, LookupError, ArithmeticError):  # damaged: ONNX Runtime says what is wrong with it
        return model


def _simplify(model: bytes) -> bytes:
    graph = Graph(model)
    if graph.opset not in _OPSETS:
        return model
    before = list(graph.nodes)
    for rule in (
        _hard_swish,
        _fold_scalar,
        _scalars_as_convolution,
        _gated_sum,
        unfold_transposed_convolution,
        sink_depth_to_space,
    ):
        while _applies(rule, graph):
            pass
    same = len(before) == len(graph.nodes) and all(a is b for a, b in zip(before, graph.nodes, strict=True))
    return model if same else graph.to_bytes()


Rule = Callable[[Graph, Node], bool]
"""(graph, node where the pattern may end or begin) -> whether it was there and has been replaced."""


def _applies(rule: Rule, graph: Graph) -> bool:
    """Replace one round of patterns; whether there were any."""
    found = False
    for node in graph.nodes:  # `replace` makes a new list
        found = (node in graph and rule(graph, node)) or found
    return found


def _hard_swish(graph: Graph, node: Node) -> bool:
    """x * clip(x + 3, 0, 6) / 6 as x * HardSigmoid(x), which ONNX Runtime fuses with the convolution before it."""
    divided = graph.with_scalar(node, "Div")
    product = graph.maker(divided[0]) if divided is not None and divided[1] == 6 else None
    if product is None or product.op_type != "Mul" or graph.only_user(product.output[0]) is not node:
        return False
    for x, factor in (product.input, reversed(product.input)):
        clip = graph.maker(factor)
        added = graph.maker(clip.input[0]) if clip is not None and _limits(graph, clip) == (0, 6) else None
        if clip is not None and added is not None and graph.with_scalar(added, "Add") == (x, 3):
            gate = graph.new_name(node.output[0])
            new = [
                make_node("HardSigmoid", [x], gate, alpha=1 / 6, beta=0.5),
                make_node("Mul", [x, gate], node.output[0]),
            ]
            unused = all(graph.only_user(inner.output[0]) is not None for inner in (clip, added))
            graph.replace([*([clip, added] if unused else []), product, node], new)
            return True
    return False


def _limits(graph: Graph, node: Node) -> tuple[float | None, float | None] | None:
    """Those of a Clip."""
    if node.op_type != "Clip":
        return None
    if len(node.input) == 3:
        return graph.scalar(node.input[1]), graph.scalar(node.input[2])
    given = attributes(node)  # before version 11
    return given.get("min"), given.get("max")


def _fold_scalar(graph: Graph, node: Node) -> bool:
    """A number times or added to a convolution's output, into its weights and bias."""
    for op_type in ("Mul", "Add"):
        found = graph.with_scalar(node, op_type)
        before = graph.maker(found[0]) if found is not None else None
        parts = convolution(graph, before)
        if found is None or before is None or parts is None or graph.only_user(found[0]) is not node:
            continue
        weights, bias = parts
        number = np.float32(found[1])
        weights, bias = (weights * number, bias * number) if op_type == "Mul" else (weights, bias + number)
        graph.replace(
            [before, node], [new_convolution(graph, before.input[0], weights, bias, node.output[0], like=before)]
        )
        return True
    return False


def _scalars_as_convolution(graph: Graph, node: Node) -> bool:
    """Scale and offset elsewhere: into the convolutions behind, or, where those pad with zeros, as a 1x1 depthwise one.

    ONNX Runtime keeps its blocks of channels through a convolution, not through an operation with a number.
    """
    scaled = graph.with_scalar(node, "Mul")
    channels = _channels(graph, scaled[0]) if scaled is not None else None
    if scaled is None or channels is None:
        return False
    last = graph.only_user(node.output[0])
    moved = graph.with_scalar(last, "Add")
    if last is None or moved is None:
        last, moved = node, (node.output[0], 0.0)
    x, scale, offset = scaled[0], np.float32(scaled[1]), np.float32(moved[1])
    value, replaced = last.output[0], [node] if last is node else [node, last]
    after = graph.only_user(value)
    parts = pointwise(graph, after)
    if after is not None and parts is not None:
        weights, bias = parts
        bias = bias + offset * weights.sum((1, 2, 3), dtype=np.float32)
        graph.replace(
            [*replaced, after], [new_convolution(graph, x, weights * scale, bias, after.output[0], like=after)]
        )
        return True
    weights, bias = np.full((channels, 1, 1, 1), scale), np.full(channels, offset)
    graph.replace(replaced, [new_convolution(graph, x, weights, bias, value, groups=channels)])
    return True


def _channels(graph: Graph, value: str, steps: int = _MOST_STEPS) -> int | None:
    """Channels of an image that came out of convolutions, through operations on single elements.

    None where that is not certain: one image may have a single channel, another all, and a product of both all.
    """
    node = graph.maker(value)
    if node is None or steps == 0:
        return None
    if node.op_type == "Conv":
        weights = graph.constant(node.input[1])
        return len(weights) if weights is not None and weights.ndim == 4 else None
    if node.op_type not in (*_ELEMENTWISE, *_OF_TWO):
        return None
    images = node.input if node.op_type in _OF_TWO else node.input[:1]
    found = {_channels(graph, name, steps - 1) for name in images if graph.scalar(name) is None}
    return found.pop() if len(found) == 1 else None


def _gated_sum(graph: Graph, node: Node) -> bool:
    """x + x * gate as x * (1 + gate), for squeeze-and-excitation with a residue: one pass instead of two."""
    if node.op_type != "Add" or len(node.input) != 2:
        return False
    for x, gated in (node.input, reversed(node.input)):
        product = graph.maker(gated)
        if product is None or product.op_type != "Mul" or graph.only_user(gated) is not node or x not in product.input:
            continue
        gate = next((name for name in product.input if name != x), x)
        if not _is_pooled(graph, gate):
            continue
        more = graph.new_name(gate)
        one = graph.add_constant(gate, np.ones(1, np.float32))
        new = [make_node("Add", [gate, one], more), make_node("Mul", [x, more], node.output[0])]
        graph.replace([product, node], new)
        return True
    return False


def _is_pooled(graph: Graph, value: str) -> bool:
    """Whether a value is one number for each channel, from global average pooling through convolutions."""
    for _ in range(_MOST_STEPS):
        node = graph.maker(value)
        if node is None or node.op_type not in (*_ACTIVATIONS, "Conv", "GlobalAveragePool"):
            return False
        if node.op_type == "GlobalAveragePool":
            return True
        value = node.input[0]
    return False
