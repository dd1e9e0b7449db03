"""Rules that replace patterns of converters by equivalent operators that are faster in ONNX Runtime.

On a CPU, ONNX Runtime computes convolutions on blocks of channels and returns to NCHW for every operation that has no
blocked form. Converters of Paddle models write hard swish as four such operations, PP-LCNetV3 has a scalar scale and
offset around each of them, and DB's head upsamples by transposed convolutions. In the detector of PP-OCRv4, these cost
more than its convolutions. Each rule below replaces them by equal operators, up to rounding. Measured on PP-OCR's
files: v3 detector 1.15x, recognizer 1.44x; v2 1.08x and 1.43x; exported files of ppocr_jax 1.0x.

Third-party files are simplified when they are opened (`prepare`), files of ppocr_jax when they are exported
(`export.onnx`); their metadata then say that they are in their final form.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppocr_jax.onnx_graph.graph import Graph, Node, attributes, convolution, make_node, new_convolution, pointwise

FORM, FINAL = "graph", "final"
"""Key in a file's metadata, and its value if the graph is already simplified."""

_ELEMENTWISE = ("HardSigmoid", "Sigmoid", "Relu", "LeakyRelu", "Clip", "BatchNormalization", "HardSwish")
_OF_TWO = ("Mul", "Add")
_ACTIVATIONS = ("Relu", "Sigmoid", "HardSigmoid")
# Versions of ONNX in which the operators in the rules have the form that is used here.
_OPSETS = range(7, 100)
_MOST_STEPS = 32  # limit of a search through preceding nodes

Rule = Callable[[Graph, Node], bool]
"""(graph, node at which the pattern may end or start) -> whether the pattern was found and replaced."""


class Prepared(NamedTuple):
    """A repaired and simplified network.

    Attributes:
        model: The given ONNX file, or a changed one with the same inputs, outputs and metadata.
        repairs: Descriptions of the repaired faults, a line each.
    """

    model: bytes
    repairs: tuple[str, ...]


def fold(model: bytes) -> bytes:
    """Return a network after ONNX Runtime's "basic" optimizations, which use only standard operators.

    Constants are evaluated, BatchNorm is folded into convolutions, and transpositions that cancel out are removed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return path.read_bytes()


def prepare(model: bytes, *, faster: bool = True) -> Prepared:
    """Repair a network and make it faster.

    Args:
        model: Contents of an ONNX file; returned unchanged if it is in its final form, damaged, or another file.
        faster: Whether to simplify it after the repair.
    """
    try:
        graph = Graph(model)
        if graph.opset not in _OPSETS or graph.metadata.get(FORM) == FINAL:
            return Prepared(model, ())
        before = list(graph.nodes)
        repairs = _repair_upsampling(graph)
        if faster:
            apply(SIMPLER, graph)
        same = len(before) == len(graph.nodes) and all(a is b for a, b in zip(before, graph.nodes, strict=True))
        return Prepared(model if same else graph.to_bytes(), repairs)
    except (ValueError, TypeError, LookupError, ArithmeticError):  # damaged; ONNX Runtime will report the fault
        return Prepared(model, ())


def apply(rules: Sequence[Rule], graph: Graph) -> None:
    """Apply each rule in turn until it finds no more patterns."""
    for rule in rules:
        found = True
        while found:
            found = False
            for node in graph.nodes:  # safe, because `replace` creates a new list
                found = (node in graph and rule(graph, node)) or found


def _repair_upsampling(graph: Graph) -> tuple[str, ...]:
    """Make upsampling repeat each pixel, as in Paddle, if a file does not state the rounding; return descriptions.

    PP-OCRv2's released detector has nearest-neighbor upsampling without `nearest_mode`. ONNX then rounds half down
    instead of taking the floor, so that maps upsampled 4 and 8 times are shifted by up to 4 pixels. With the floor, it
    finds more text (Hmean of MSRA-TD500, end to end, .655 -> .746).
    """
    repaired = 0
    for node in graph.nodes:
        given = attributes(node)
        if (
            node.op_type == "Resize"
            and given.get("mode") == "nearest"
            and given.get("coordinate_transformation_mode") == "asymmetric"
            and "nearest_mode" not in given
        ):
            new = make_node("Resize", node.input, node.output[0], **given, nearest_mode="floor")
            graph.replace([node], [new])
            repaired += 1
    return (f"upsampling rounded where Paddle takes the floor: {repaired} nodes repaired",) if repaired else ()


def _hard_swish_operand(graph: Graph, node: Node) -> tuple[str, list[Node]] | None:
    """Return x of x * clip(x + 3, 0, 6) / 6 ending at `node`, and the nodes that can be removed with it; or None."""
    divided = graph.with_scalar(node, "Div")
    product = graph.producer(divided[0], "Mul") if divided is not None and divided[1] == 6 else None
    if product is None or graph.only_user(product.output[0]) is not node:
        return None
    for x, factor in (product.input, reversed(product.input)):
        clip = graph.producer(factor)
        added = graph.producer(clip.input[0]) if clip is not None and limits(graph, clip) == (0, 6) else None
        if clip is not None and added is not None and graph.with_scalar(added, "Add") == (x, 3):
            unused = all(graph.only_user(inner.output[0]) is not None for inner in (clip, added))
            return x, [*([clip, added] if unused else []), product, node]
    return None


def _hard_swish(graph: Graph, node: Node) -> bool:
    """Replace hard swish by x * HardSigmoid(x), which ONNX Runtime fuses with the preceding convolution."""
    found = _hard_swish_operand(graph, node)
    if found is None:
        return False
    x, old = found
    graph.replace(old, _spelled_out(graph, x, node.output[0]))
    return True


def _spelled_out(graph: Graph, x: str, output: str) -> list[Node]:
    gate = graph.new_name(output)
    return [make_node("HardSigmoid", [x], gate, alpha=1 / 6, beta=0.5), make_node("Mul", [x, gate], output)]


def limits(graph: Graph, node: Node) -> tuple[float | None, float | None] | None:
    """Return the minimum and maximum of a Clip, each None if it is not constant; None for another node."""
    if node.op_type != "Clip":
        return None
    if len(node.input) == 3:
        return graph.scalar(node.input[1]), graph.scalar(node.input[2])
    given = attributes(node)  # before opset 11
    return given.get("min"), given.get("max")


def _fold_scalar(graph: Graph, node: Node) -> bool:
    """Fold a scalar that multiplies or is added to the output of a convolution into its weights and bias."""
    for op_type in ("Mul", "Add"):
        found = graph.with_scalar(node, op_type)
        before = graph.producer(found[0]) if found is not None else None
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
    """Fold a scalar scale and offset into the following 1x1 convolution, or replace them by a 1x1 depthwise one.

    A convolution with zero padding cannot absorb an offset. ONNX Runtime keeps its blocks of channels in a convolution,
    but not in an operation with a scalar.
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
    """Return the number of channels of a feature map made by convolutions and elementwise operations.

    None if it is uncertain, because an operand may have a single channel that is broadcast.
    """
    node = graph.producer(value)
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
    """Replace x + x * gate of residual squeeze-and-excitation by x * (1 + gate): one pass instead of two."""
    if node.op_type != "Add" or len(node.input) != 2:
        return False
    for x, gated in (node.input, reversed(node.input)):
        product = graph.producer(gated)
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
    """Return whether a value has one element per channel, from global average pooling through convolutions."""
    for _ in range(_MOST_STEPS):
        node = graph.producer(value)
        if node is None or node.op_type not in (*_ACTIVATIONS, "Conv", "GlobalAveragePool"):
            return False
        if node.op_type == "GlobalAveragePool":
            return True
        value = node.input[0]
    return False


def _unfold_transposed_convolution(graph: Graph, node: Node) -> bool:
    """Replace a transposed convolution with disjoint patches by a 1x1 convolution and DepthToSpace.

    Following additions, products and BatchNorm are folded into the weights.
    """
    found = _patches(graph, node)
    if found is None:
        return False
    kernel, bias = found
    inputs, outputs, size, _ = kernel.shape
    replaced, last = [node], node
    while (follower := _follower(graph, last, outputs)) is not None:
        last, scale, offset = follower
        kernel, bias = kernel * scale[:, None, None], bias * scale + offset
        replaced.append(last)
    # DepthToSpace expects channels in the order (row of the patch, column of the patch, channel).
    weights = kernel.transpose(2, 3, 1, 0).reshape(-1, inputs, 1, 1)
    deep = graph.new_name(node.output[0])
    new = new_convolution(graph, node.input[0], weights, np.tile(bias, size * size), deep)
    graph.replace(replaced, [new, make_node("DepthToSpace", [deep], last.output[0], blocksize=size)])
    return True


def _patches(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Return kernel (inputs, outputs, size, size) and bias of a transposed convolution without overlaps, or None."""
    kernel = graph.constant(node.input[1]) if node.op_type == "ConvTranspose" else None
    if kernel is None or kernel.ndim != 4:
        return None
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(kernel.shape[1], np.float32)
    given, size = attributes(node), kernel.shape[2]
    plain = (
        given.get("strides") == [size, size]
        and kernel.shape[3] == size
        and given.get("group", 1) == 1
        and not any(given.get("pads", []))
        and not any(given.get("output_padding", []))
        and set(given.get("dilations", [1])) == {1}
        and given.get("auto_pad", "NOTSET") == "NOTSET"
        and "output_shape" not in given
    )
    return (kernel, bias) if plain and bias is not None else None


def _follower(graph: Graph, node: Node, channels: int) -> tuple[Node, np.ndarray, np.ndarray] | None:
    """Return the only consumer of a node if it is an affine map per channel, with its scale and offset; or None."""
    after = graph.only_user(node.output[0])
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    if after is None:
        return None
    if after.op_type == "BatchNormalization" and len(after.output) == 1:
        values = [value for name in after.input[1:] if (value := graph.constant(name)) is not None]
        if len(values) != 4:
            return None
        gamma, beta, mean, variance = values
        scale = gamma / np.sqrt(variance + np.float32(attributes(after).get("epsilon", 1e-5)))
        return after, scale, beta - mean * scale
    if after.op_type in ("Add", "Mul"):
        constants = [value for name in after.input if (value := graph.constant(name)) is not None]
        if len(constants) == 1 and constants[0].shape in ((1, channels, 1, 1), (channels, 1, 1), (1,), ()):
            vector = np.broadcast_to(constants[0].ravel(), channels)
            return (after, ones, vector) if after.op_type == "Add" else (after, vector, zeros)
    return None


def _sink_depth_to_space(graph: Graph, node: Node) -> bool:
    """Move DepthToSpace behind an activation or 1x1 convolution, which then computes on more channels, fewer pixels."""
    if node.op_type != "DepthToSpace" or attributes(node).get("mode", "DCR") != "DCR":
        return False
    after = graph.only_user(node.output[0])
    if after is None:
        return False
    size = attributes(node)["blocksize"]
    deep = graph.new_name(after.output[0])
    parts = pointwise(graph, after)
    if after.op_type in _ACTIVATIONS:
        moved = make_node(after.op_type, node.input, deep, **attributes(after))
    elif parts is not None:
        weights, bias = parts
        blocks = np.kron(np.eye(size * size, dtype=np.float32), weights[:, :, 0, 0])[:, :, None, None]
        moved = new_convolution(graph, node.input[0], blocks, np.tile(bias, size * size), deep)
    else:
        return False
    graph.replace([node, after], [moved, make_node("DepthToSpace", [deep], after.output[0], blocksize=size)])
    return True


def _relu(graph: Graph, node: Node) -> bool:
    """Replace max(x, 0), as JAX writes it, by Relu."""
    found = graph.with_scalar(node, "Max")
    if found is None or found[1] != 0:
        return False
    graph.replace([node], [make_node("Relu", [found[0]], node.output[0])])
    return True


def _named_hard_swish(graph: Graph, node: Node) -> bool:
    """Replace hard swish by the node HardSwish."""
    found = _hard_swish_operand(graph, node)
    if found is None:
        return False
    graph.replace(found[1], [make_node("HardSwish", [found[0]], node.output[0])])
    return True


def spell_out_hard_swish(graph: Graph, node: Node) -> bool:
    """Replace the node HardSwish by x * HardSigmoid(x), for which ONNX Runtime has int8 kernels."""
    if node.op_type != "HardSwish":
        return False
    graph.replace([node], _spelled_out(graph, node.input[0], node.output[0]))
    return True


def _hard_sigmoid(graph: Graph, node: Node) -> bool:
    """Replace clip(slope * x + offset, 0, 1) by HardSigmoid."""
    added = graph.with_scalar(graph.producer(node.input[0]), "Add") if limits(graph, node) == (0, 1) else None
    scaled = graph.with_scalar(graph.producer(added[0]), "Mul") if added is not None else None
    if added is None or scaled is None:
        return False
    new = make_node("HardSigmoid", [scaled[0]], node.output[0], alpha=scaled[1], beta=added[1])
    graph.replace([node], [new])
    return True


def _global_average_pool(graph: Graph, node: Node) -> bool:
    """Replace the mean over height and width of an NCHW value by GlobalAveragePool."""
    given = attributes(node)
    if node.op_type != "ReduceMean" or given.get("keepdims", 1) != 1:
        return False
    axes = given.get("axes") if len(node.input) == 1 else graph.array(node.input[1])
    if axes is None or sorted(int(axis) for axis in axes) != [2, 3]:
        return False
    graph.replace([node], [make_node("GlobalAveragePool", [node.input[0]], node.output[0])])
    return True


def _matmul(graph: Graph, node: Node) -> bool:
    """Replace an Einsum that multiplies the last axis with a matrix, such as `abc,cd->abd`, by MatMul."""
    if node.op_type != "Einsum" or len(node.input) != 2:
        return False
    terms, result = attributes(node)["equation"].replace(" ", "").split("->")
    left, right = terms.split(",")
    if len(right) != 2 or left[-1] != right[0] or result != left[:-1] + right[1]:
        return False
    graph.replace([node], [make_node("MatMul", node.input, node.output[0])])
    return True


_UPSAMPLING: tuple[Rule, ...] = (_unfold_transposed_convolution, _sink_depth_to_space)
SIMPLER: tuple[Rule, ...] = (_hard_swish, _fold_scalar, _scalars_as_convolution, _gated_sum, *_UPSAMPLING)
"""Rules for third-party files."""
NAMED: tuple[Rule, ...] = (_relu, _named_hard_swish, _hard_sigmoid, _global_average_pool, _matmul, *_UPSAMPLING)
"""Rules for the output of JAX's converters, in which activations are several operations."""
