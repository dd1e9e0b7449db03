"""Convert Paddle inference models to ONNX by translating each operator of PP-OCR's networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ppocr_jax.convert.paddle_program import Operator, read_paddle_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.onnx_graph.graph import Graph, Node, make_node, new_model


def paddle_to_onnx(program: bytes, parameters: bytes) -> bytes:
    """Return an ONNX file that is equivalent to a Paddle inference model.

    Args:
        program: Contents of the .pdmodel or .json file.
        parameters: Contents of the .pdiparams file.

    Raises:
        WeightsError: A file is invalid or incomplete, or an operator is not supported.
    """
    operators, arrays = read_paddle_model(program, parameters)
    nodes: list[Node] = []
    inputs: list[str] = []
    outputs: list[str] = []
    sizes: set[str] = set()  # shapes of other values, or parts of shapes; not needed, see `_reshape`
    for operator in operators:
        if operator.type == "shape" or (operator.type == "slice" and operator.inputs["Input"][0] in sizes):
            sizes.update(operator.outputs["Out"])
        elif operator.type == "feed":
            inputs += operator.outputs["Out"]
        elif operator.type == "fetch":
            outputs += operator.inputs["X"]
        elif operator.type not in _TRANSLATIONS:
            raise WeightsError(f"the model has an operator {operator.type[:40]!r}, which is not supported")
        else:
            try:
                nodes += _TRANSLATIONS[operator.type](operator, arrays)
            except (KeyError, IndexError, ValueError) as error:
                raise WeightsError(f"the operator {operator.type!r} is not as it should be: {error!r}") from error
    if len(inputs) != 1 or not outputs:
        raise WeightsError("not an inference model of a single network: it must have one input and one output")
    return Graph(new_model(nodes, arrays, inputs, outputs, opset=13)).to_bytes()  # drops unused arrays


Arrays = dict[str, np.ndarray]
Translation = Callable[[Operator, Arrays], list[Node]]


def _constant(arrays: Arrays, base: str, values: Any) -> str:
    """Add a constant to the arrays and return its name."""
    name = f"{base}/{len(arrays)}"
    arrays[name] = np.asarray(values)
    return name


def _unary(onnx_type: str, **fixed: Any) -> Translation:
    """Return the translation of an operator from X to Out into a node with the attributes `fixed`."""
    return lambda op, arrays: [make_node(onnx_type, op.inputs["X"][:1], op.outputs["Out"][0], **fixed)]


def _conv(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate conv2d, depthwise_conv2d and conv2d_transpose."""
    given = op.attributes
    pads = list(given["paddings"])
    pads = [*pads, *pads] if len(pads) == 2 else [pads[0], pads[2], pads[1], pads[3]]
    algorithm = given.get("padding_algorithm") or "EXPLICIT"
    if algorithm not in ("EXPLICIT", "VALID", "SAME"):
        raise ValueError(f"padding {algorithm}")
    kernel = op.inputs["Filter"][0]
    attributes: dict[str, Any] = {
        "kernel_shape": list(arrays[kernel].shape[2:]),
        "strides": list(given["strides"]),
        "dilations": list(given["dilations"]),
        "group": int(given.get("groups") or 1),
    }
    if algorithm == "SAME":
        attributes["auto_pad"] = "SAME_UPPER"
    else:
        attributes["pads"] = pads if algorithm == "EXPLICIT" else [0] * 4
    inputs = [op.inputs["Input"][0], kernel, *op.inputs.get("Bias", [])]
    onnx_type = "ConvTranspose" if op.type == "conv2d_transpose" else "Conv"
    return [make_node(onnx_type, inputs, op.outputs["Output"][0], **attributes)]


def _batch_norm(op: Operator, arrays: Arrays) -> list[Node]:
    names = [op.inputs[role][0] for role in ("X", "Scale", "Bias", "Mean", "Variance")]
    return [make_node("BatchNormalization", names, op.outputs["Y"][0], epsilon=float(op.attributes["epsilon"]))]


def _binary(onnx_type: str) -> Translation:
    """Return the translation of a binary operator whose operand Y is aligned with X from the attribute `axis` on."""

    def translate(op: Operator, arrays: Arrays) -> list[Node]:
        x, y = op.inputs["X"][0], op.inputs["Y"][0]
        axis, rank = op.attributes.get("axis", -1), op.attributes["rank"]
        if axis != -1 and y in arrays:
            behind = [1] * (rank - axis - arrays[y].ndim)
            y = _constant(arrays, y, arrays[y].reshape(*arrays[y].shape, *behind)) if behind else y
        return [make_node(onnx_type, [x, y], op.outputs["Out"][0])]

    return translate


def _hard_swish(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate x * clip(x + 3, 0, 6) / 6."""
    x, out = op.inputs["X"][0], op.outputs["Out"][0]
    gate = make_node("HardSigmoid", [x], f"{out}/gate", alpha=1 / 6, beta=0.5)
    return [gate, make_node("Mul", [x, f"{out}/gate"], out)]


def _swish(op: Operator, arrays: Arrays) -> list[Node]:
    x, out = op.inputs["X"][0], op.outputs["Out"][0]
    return [make_node("Sigmoid", [x], f"{out}/gate"), make_node("Mul", [x, f"{out}/gate"], out)]


def _hard_sigmoid(op: Operator, arrays: Arrays) -> list[Node]:
    alpha, beta = (float(op.attributes[name]) for name in ("slope", "offset"))
    return [make_node("HardSigmoid", op.inputs["X"], op.outputs["Out"][0], alpha=alpha, beta=beta)]


def _pool(op: Operator, arrays: Arrays) -> list[Node]:
    given, x, out = op.attributes, op.inputs["X"][0], op.outputs["Out"][0]
    average = given["pooling_type"] == "avg"
    if given.get("global_pooling") or (given.get("adaptive") and list(given["ksize"]) == [1, 1]):
        return [make_node("GlobalAveragePool" if average else "GlobalMaxPool", [x], out)]
    if given.get("adaptive"):
        raise ValueError("adaptive pooling")
    pads = list(given["paddings"])
    attributes: dict[str, Any] = {
        "kernel_shape": list(given["ksize"]),
        "strides": list(given["strides"]),
        "pads": [*pads, *pads] if len(pads) == 2 else [pads[0], pads[2], pads[1], pads[3]],
        "ceil_mode": int(bool(given.get("ceil_mode"))),
    }
    if average:
        attributes["count_include_pad"] = int(not given.get("exclusive", True))
    return [make_node("AveragePool" if average else "MaxPool", [x], out, **attributes)]


def _nearest(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate nearest_interp_v2 with a scale, which repeats each pixel."""
    scales = op.attributes.get("scale") or []
    if len(scales) not in (1, 2):
        raise ValueError("upsampling without a scale")
    rows, columns = (scales * 2)[:2]
    scale = _constant(arrays, "scales", np.array([1, 1, rows, columns], np.float32))
    mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return [make_node("Resize", [op.inputs["X"][0], "", scale], op.outputs["Out"][0], **mode)]


def _matmul(op: Operator, arrays: Arrays) -> list[Node]:
    given, (x, y) = op.attributes, (op.inputs["X"][0], op.inputs["Y"][0])
    if given.get("trans_x") or given.get("transpose_X"):
        raise ValueError("a transposed first operand")
    nodes = []
    if given.get("trans_y") or given.get("transpose_Y"):
        if y in arrays:
            y = _constant(arrays, y, np.ascontiguousarray(arrays[y].swapaxes(-1, -2)))
        else:
            raise ValueError("a transposed second operand")
    if op.type == "mul" and given.get("x_num_col_dims", 1) == 1:
        nodes.append(make_node("Flatten", [x], f"{op.outputs['Out'][0]}/flat", axis=1))
        x = f"{op.outputs['Out'][0]}/flat"
    return [*nodes, make_node("MatMul", [x, y], op.outputs["Out"][0])]


def _reshape(op: Operator, arrays: Arrays) -> list[Node]:
    sizes = list(op.attributes["shape"])
    if op.inputs.get("ShapeTensor"):  # computed from other shapes; the first axis is the batch, which 0 copies
        sizes[0] = 0
    shape = _constant(arrays, "shape", np.array(sizes, np.int64))
    return [make_node("Reshape", [op.inputs["X"][0], shape], op.outputs["Out"][0])]


def _flatten(op: Operator, arrays: Arrays) -> list[Node]:
    first, last = op.attributes["start_axis"], op.attributes["stop_axis"]
    if (first, last) == (2, 3) and op.attributes["rank"] == 4:
        shape = _constant(arrays, "shape", np.array([0, 0, -1], np.int64))
        return [make_node("Reshape", [op.inputs["X"][0], shape], op.outputs["Out"][0])]
    if (first, last) not in ((1, 3), (1, -1)):
        raise ValueError(f"flattened axes {first} to {last}")
    return [make_node("Flatten", op.inputs["X"], op.outputs["Out"][0], axis=1)]


def _slice(op: Operator, arrays: Arrays) -> list[Node]:
    given, out = op.attributes, op.outputs["Out"][0]
    names = [_constant(arrays, out, np.array(given[name], np.int64)) for name in ("starts", "ends", "axes")]
    gone = given.get("decrease_axis") or []
    nodes = [make_node("Slice", [op.inputs["Input"][0], *names], f"{out}/slice" if gone else out)]
    if gone:
        axes = _constant(arrays, out, np.array(gone, np.int64))
        nodes.append(make_node("Squeeze", [f"{out}/slice", axes], out))
    return nodes


def _squeeze(op: Operator, arrays: Arrays) -> list[Node]:
    axes = _constant(arrays, "axes", np.array(op.attributes["axes"], np.int64))
    onnx_type = "Squeeze" if op.type.startswith("squeeze") else "Unsqueeze"
    return [make_node(onnx_type, [op.inputs["X"][0], axes], op.outputs["Out"][0])]


def _scale(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate x * scale + bias, or (x + bias) * scale."""
    given, out = op.attributes, op.outputs["Out"][0]
    scale, bias = float(given["scale"]), float(given["bias"])
    if not given.get("bias_after_scale", True):
        bias *= scale
    names = [_constant(arrays, out, np.array(value, np.float32)) for value in (scale, bias)]
    product = make_node("Mul", [op.inputs["X"][0], names[0]], f"{out}/scaled")
    return [product, make_node("Add", [f"{out}/scaled", names[1]], out)]


def _lstm(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate rnn: bidirectional LSTM layers with zero initial states over (T, B, C).

    WeightList contains the input and recurrent weights of each layer and direction, then the biases in the same order.
    """
    given, names = op.attributes, op.inputs["WeightList"]
    layers, hidden = given["num_layers"], given["hidden_size"]
    if given["mode"] != "LSTM" or not given["is_bidirec"] or len(names) != 8 * layers:
        raise ValueError("another kind of recurrence")

    def stacked(first: int) -> np.ndarray:
        """Return both directions of an array, stacked, with gates in ONNX's order (input, output, forget, cell)."""
        pair = [np.split(arrays[names[k]], 4) for k in (first, first + 2)]
        return np.stack([np.concatenate([i, o, f, c]) for i, f, c, o in pair])

    value, nodes = op.inputs["Input"][0], []
    for layer in range(layers):
        at, out = 4 * layer, op.outputs["Out"][0] if layer == layers - 1 else f"{op.outputs['Out'][0]}/layer{layer}"
        biases = np.concatenate([stacked(4 * layers + at), stacked(4 * layers + at + 1)], axis=1)
        weights = [_constant(arrays, "lstm", array) for array in (stacked(at), stacked(at + 1), biases)]
        shape = _constant(arrays, "shape", np.array([0, 0, 2 * hidden], np.int64))
        nodes += [
            make_node("LSTM", [value, *weights], f"{out}/both", hidden_size=hidden, direction="bidirectional"),
            make_node("Transpose", [f"{out}/both"], f"{out}/turned", perm=[0, 2, 1, 3]),
            make_node("Reshape", [f"{out}/turned", shape], out),
        ]
        value = out
    return nodes


def _layer_norm(op: Operator, arrays: Arrays) -> list[Node]:
    """Translate layer_norm over the last axis into basic operators, because ONNX has it only from version 17 on."""
    x, out = op.inputs["X"][0], op.outputs["Y"][0]
    two, epsilon = (_constant(arrays, out, np.array(v, np.float32)) for v in (2, op.attributes["epsilon"]))
    return [
        make_node("ReduceMean", [x], f"{out}/mean", axes=[-1]),
        make_node("Sub", [x, f"{out}/mean"], f"{out}/centered"),
        make_node("Pow", [f"{out}/centered", two], f"{out}/squares"),
        make_node("ReduceMean", [f"{out}/squares"], f"{out}/variance", axes=[-1]),
        make_node("Add", [f"{out}/variance", epsilon], f"{out}/sum"),
        make_node("Sqrt", [f"{out}/sum"], f"{out}/deviation"),
        make_node("Div", [f"{out}/centered", f"{out}/deviation"], f"{out}/normal"),
        make_node("Mul", [f"{out}/normal", op.inputs["Scale"][0]], f"{out}/scaled"),
        make_node("Add", [f"{out}/scaled", op.inputs["Bias"][0]], out),
    ]


def _dropout(op: Operator, arrays: Arrays) -> list[Node]:
    if op.attributes.get("dropout_implementation") != "upscale_in_train":
        raise ValueError("dropout that scales at inference")
    return [make_node("Identity", op.inputs["X"], op.outputs["Out"][0])]


def _nothing(op: Operator, arrays: Arrays) -> list[Node]:
    """Skip an operator that makes initial states or parts of shapes, which no translation uses."""
    return []


_TRANSLATIONS: dict[str, Translation] = {
    **dict.fromkeys(("conv2d", "depthwise_conv2d", "conv2d_transpose"), _conv),
    **dict.fromkeys(("squeeze2", "unsqueeze2"), _squeeze),
    **dict.fromkeys(("matmul", "matmul_v2", "mul"), _matmul),
    **dict.fromkeys(("fill_constant", "fill_constant_batch_size_like"), _nothing),
    "assign": _unary("Identity"),
    "batch_norm": _batch_norm,
    "concat": lambda op, arrays: [
        make_node("Concat", op.inputs["X"], op.outputs["Out"][0], axis=int(op.attributes["axis"]))
    ],
    "dropout": _dropout,
    "elementwise_add": _binary("Add"),
    "elementwise_mul": _binary("Mul"),
    "flatten_contiguous_range": _flatten,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "layer_norm": _layer_norm,
    "nearest_interp_v2": _nearest,
    "pool2d": _pool,
    "relu": _unary("Relu"),
    "reshape2": _reshape,
    "rnn": _lstm,
    "scale": _scale,
    "sigmoid": _unary("Sigmoid"),
    "slice": _slice,
    "softmax": lambda op, arrays: [
        make_node("Softmax", op.inputs["X"], op.outputs["Out"][0], axis=int(op.attributes.get("axis", -1)))
    ],
    "swish": _swish,
    "transpose2": lambda op, arrays: [
        make_node("Transpose", op.inputs["X"], op.outputs["Out"][0], perm=list(op.attributes["axis"]))
    ],
}
