"""Int8 quantization of graphs for CPUs.

A feature map to quantize is followed by a Clip between its minimum and maximum (its *range*). Calibration inserts these
(`set_ranges`); networks trained for int8 are exported with them. Each Clip is replaced by QuantizeLinear and
DequantizeLinear (QDQ form), from which ONNX Runtime makes integer kernels: feature maps are uint8 with a zero point,
weights int8 with a scale per output channel, and biases int32, as x86's VNNI instructions require. Other weights (LSTM,
dense layers, squeeze-and-excitation) are stored as int8 and converted to float32 when the file is opened.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppocr_jax.onnx_graph.graph import Graph, Node, attributes, make_node, renamed
from ppocr_jax.onnx_graph.simplify import apply, limits

STEM = 4
"""Number of convolutions at the input that stay in float32. Any of them in int8 changes a network's output up to five
times as much as later ones, because each of their few channels matters. They are not slower in float32."""
LEVELS = 255  # steps of a uint8 feature map
WEIGHT_LEVELS = 127  # steps of an int8 weight on either side of zero
_WEIGHT_LEVELS_OF_SEVEN_BITS = 64
LEAST_RANGE = 1e-6  # a map that is zero everywhere still needs a scale
# Elements: smaller weights are not worth two nodes, and networks are most sensitive to them (stem, upsampling head).
LEAST_STORED = 4096
# Operators that only move or select values, so that their output has the scale of their input.
UNCHANGED = ("MaxPool", "Resize")
# Axes of a layer's weights over which an output is summed.
_SUMMED_AXES = {"Conv": (1, 2, 3), "MatMul": (0,), "LSTM": (2,)}

Range = tuple[float, float]


def set_ranges(graph: Graph, ranges: Mapping[str, Range]) -> None:
    """Insert a Clip after each value that has a range.

    Args:
        graph: Graph to change.
        ranges: Value -> (minimum, maximum).
    """
    for value, (low, high) in ranges.items():
        producer = graph.producer(value)
        assert producer is not None, value
        whole = graph.new_name(value)
        ends = [graph.add_constant(value, np.array(end, np.float32)) for end in (low, high)]
        graph.replace([producer], [renamed(producer, whole), make_node("Clip", [whole, *ends], value)])


def quantize_graph(graph: Graph, *, seven_bits: bool = False) -> None:
    """Replace ranges by QuantizeLinear and DequantizeLinear, and quantize the weights between them.

    Args:
        graph: Graph to change; every Clip between two constants is a range.
        seven_bits: Whether to use 7-bit weights, for x86 CPUs without VNNI, whose sums of two 8-bit products overflow.
    """
    levels = _WEIGHT_LEVELS_OF_SEVEN_BITS if seven_bits else WEIGHT_LEVELS

    def quantize_convolution(graph: Graph, node: Node) -> bool:
        return _convolution(graph, node, levels)

    apply((_quantize_range, _quantize_relu, _quantize_gate, _same_scale), graph)
    apply((quantize_convolution, _constant_operand), graph)
    _store_weights(graph)


def scale_and_zero(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Return the scale and zero point of uint8 values that cover low..high and represent zero exactly."""
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    scale = np.float32(max(high - low, LEAST_RANGE) / LEVELS)
    return scale, np.uint8(np.clip(np.rint(-low / scale), 0, LEVELS))


def weight_scale(weights: np.ndarray, axes: tuple[int, ...], levels: int = WEIGHT_LEVELS) -> np.ndarray:
    """Return the scale of symmetric int8 weights: the largest magnitude over `axes`, which are kept, / levels."""
    largest = np.abs(weights).max(axis=axes, keepdims=True)
    return np.where(largest > 0, largest / levels, 1).astype(np.float32)


def _pair(graph: Graph, x: str, output: str, scale: str, zero: str) -> list[Node]:
    byte = graph.new_name(output)
    return [
        make_node("QuantizeLinear", [x, scale, zero], byte),
        make_node("DequantizeLinear", [byte, scale, zero], output),
    ]


def _numbers(graph: Graph, base: str, *numbers: np.ndarray | np.generic) -> list[str]:
    return [graph.add_constant(base, np.asarray(number)) for number in numbers]


def _bytes_of(graph: Graph, value: str) -> Node | None:
    """Return the DequantizeLinear that produces a value; None if another node does."""
    return graph.producer(value, "DequantizeLinear")


def _goes_to_bytes(graph: Graph, value: str) -> bool:
    user = graph.only_user(value)
    return user is not None and user.op_type == "QuantizeLinear"


def _quantize_range(graph: Graph, node: Node) -> bool:
    """Replace a Clip between two constants, and a preceding Relu that is not used elsewhere, by a pair."""
    low, high = limits(graph, node) or (None, None)
    if low is None or high is None:
        return False
    x, replaced = node.input[0], [node]
    relu = graph.producer(x, "Relu")
    if relu is not None and low >= 0 and graph.only_user(x) is node:
        x, replaced = relu.input[0], [relu, node]
    output = node.output[0]
    graph.replace(replaced, _pair(graph, x, output, *_numbers(graph, output, *scale_and_zero(low, high))))
    return True


def _quantize_relu(graph: Graph, node: Node) -> bool:
    """Remove a Relu of quantized values that cannot be negative."""
    made = _bytes_of(graph, node.input[0]) if node.op_type == "Relu" else None
    zero = graph.array(made.input[2]) if made is not None else None
    if made is None or zero is None or zero != 0:
        return False
    graph.replace([node], [make_node("DequantizeLinear", list(made.input), node.output[0])])
    return True


def _quantize_gate(graph: Graph, node: Node) -> bool:
    """Replace a hard sigmoid of quantized values by a quantization that clips to 0..1.

    The scale and zero point of QuantizeLinear map the gate's range 0..1 to 0..255; DequantizeLinear then maps 0..255 to
    0..1. The LeakyRelu with slope 1 before it changes nothing, but ONNX Runtime fuses it with its neighbors to one
    lookup table of 256 bytes (QLinearLeakyRelu) instead of two passes through float32: 17 % less time for the detector
    of `en`, 11 % for its recognizer.
    """
    if node.op_type != "HardSigmoid" or _bytes_of(graph, node.input[0]) is None:
        return False
    given = attributes(node)
    alpha, beta = given.get("alpha", 0.2), given.get("beta", 0.5)
    scale, zero, gate_scale, gate_zero = _numbers(
        graph,
        node.output[0],
        np.float32(1 / (LEVELS * alpha)),
        np.uint8(np.clip(round(LEVELS * beta), 0, LEVELS)),
        np.float32(1 / LEVELS),
        np.uint8(0),
    )
    gate, same = graph.new_name(node.output[0]), graph.new_name(node.output[0])
    new = [
        make_node("LeakyRelu", [node.input[0]], same, alpha=1.0),
        make_node("QuantizeLinear", [same, scale, zero], gate),
        make_node("DequantizeLinear", [gate, gate_scale, gate_zero], node.output[0]),
    ]
    graph.replace([node], new)
    return True


def _same_scale(graph: Graph, node: Node) -> bool:
    """Quantize the output of pooling or upsampling of quantized values, with the same scale."""
    made = _bytes_of(graph, node.input[0]) if node.op_type in UNCHANGED else None
    if made is None or _goes_to_bytes(graph, node.output[0]) or node.output[0] in graph.outputs:
        return False
    output = node.output[0]
    moved = renamed(node, graph.new_name(output))
    graph.replace([node], [moved, *_pair(graph, moved.output[0], output, made.input[1], made.input[2])])
    return True


def _convolution(graph: Graph, node: Node, levels: int) -> bool:
    """Quantize the weights and bias of a convolution between quantized values."""
    weights = graph.constant(node.input[1]) if node.op_type == "Conv" else None
    made = _bytes_of(graph, node.input[0])
    if weights is None or made is None or not _goes_to_bytes(graph, node.output[0]):
        return False
    x_scale = graph.array(made.input[1])
    if x_scale is None:
        return False
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else None
    scale = weight_scale(weights, _SUMMED_AXES["Conv"], levels).ravel()
    if bias is not None:  # its int32 scale is weight scale x input scale; it must not overflow if weights are tiny
        scale = np.maximum(scale, np.abs(bias) / (x_scale * 2**30)).astype(np.float32)
    base, nodes = node.output[0], []

    def stored(integers: np.ndarray, step: np.ndarray) -> str:
        value = graph.new_name(base)
        inputs = _numbers(graph, base, integers, step, np.zeros(len(integers), integers.dtype))
        nodes.append(make_node("DequantizeLinear", inputs, value, axis=0))
        return value

    steps = np.rint(weights / scale.reshape(-1, *[1] * (weights.ndim - 1)))
    inputs = [node.input[0], stored(np.clip(steps, -levels, levels).astype(np.int8), scale)]
    if bias is not None:
        step = (scale * x_scale).astype(np.float32)
        inputs.append(stored(np.rint(bias / step).astype(np.int32), step))
    graph.replace([node], [*nodes, make_node("Conv", inputs, node.output[0], **attributes(node))])
    return True


def _constant_operand(graph: Graph, node: Node) -> bool:
    """Quantize a constant that is added to quantized values or multiplied with them."""
    if node.op_type not in ("Add", "Mul") or not _goes_to_bytes(graph, node.output[0]):
        return False
    for place, (value, other) in enumerate(zip(node.input, reversed(node.input), strict=True)):
        constant = graph.constant(value)
        if constant is None or _bytes_of(graph, other) is None:
            continue
        scale, zero = scale_and_zero(constant.min(), constant.max())
        steps = np.clip(np.rint(constant / scale) + zero, 0, LEVELS).astype(np.uint8)
        read = graph.new_name(value)
        inputs = list(node.input)
        inputs[place] = read
        operand = make_node("DequantizeLinear", _numbers(graph, value, steps, scale, zero), read)
        graph.replace([node], [operand, make_node(node.op_type, inputs, node.output[0])])
        return True
    return False


def _store_weights(graph: Graph) -> None:
    """Store large weights that are still float32 as int8 with a scale per output."""
    for node in list(graph.nodes):
        axes = _SUMMED_AXES.get(node.op_type)
        if node.op_type == "Gemm":
            axes = (attributes(node).get("transB", 0),)
        if axes is None:
            continue
        for value in node.input[1:3]:
            weights = graph.constant(value)
            if weights is None or weights.ndim < 2 or weights.size < LEAST_STORED:
                continue
            scale = weight_scale(weights, axes)
            graph.spell_out(value, np.rint(weights / scale).astype(np.int8), scale)
