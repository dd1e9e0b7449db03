"""DB's head upsamples by transposed convolutions: the same as 1x1 convolutions, with the pixels in their channels."""

from __future__ import annotations

import numpy as np

from ppocr_jax.inference.onnx_convolutions import new_convolution, pointwise
from ppocr_jax.inference.onnx_graph import Graph, Node, attributes, make_node

_ACTIVATIONS = ("Relu", "Sigmoid", "HardSigmoid")


def unfold_transposed_convolution(graph: Graph, node: Node) -> bool:
    """A transposed convolution whose patches do not overlap, as a 1x1 convolution with the patch in its channels.

    What is added to its output, and a BatchNorm behind that, go into the weights.
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
    # Depth to space takes rows, then columns of the patch, then channels.
    weights = kernel.transpose(2, 3, 1, 0).reshape(-1, inputs, 1, 1)
    deep = graph.new_name(node.output[0])
    new = new_convolution(graph, node.input[0], weights, np.tile(bias, size * size), deep)
    graph.replace(replaced, [new, make_node("DepthToSpace", [deep], last.output[0], blocksize=size)])
    return True


def _patches(graph: Graph, node: Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Kernel (inputs, outputs, size, size) and bias (outputs) of a transposed convolution that strides by its size."""
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
    """The only node behind another, where it is a scale and an offset for each channel; and these."""
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


def sink_depth_to_space(graph: Graph, node: Node) -> bool:
    """Depth to space after, not before, an activation or a 1x1 convolution: they then work where there are channels."""
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
