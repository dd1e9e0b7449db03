"""Quantized graphs against the arithmetic of bytes, written out in NumPy."""

import numpy as np
import onnx
import onnxruntime
import pytest

from ppocr_jax.onnx_graph.graph import Graph, make_node, new_model
from ppocr_jax.onnx_graph.int8 import quantize_graph, scale_and_zero, set_ranges

RNG = np.random.default_rng(0)


def computed(nodes, constants, ranges, *, optimized=None, **options):
    """The graph with `ranges`, as a function of its input, and its operators, or those that ONNX Runtime makes of them.

    Args:
        optimized: file for what ONNX Runtime makes of it.
    """
    graph = Graph(new_model(nodes, constants, ["x"], ["y"], opset=17))
    set_ranges(graph, ranges)
    quantize_graph(graph, **options)
    model = onnx.load_from_string(graph.to_bytes())
    settings = onnxruntime.SessionOptions()
    settings.optimized_model_filepath = "" if optimized is None else str(optimized)
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    if optimized is not None:
        model = onnx.load(optimized)
    return lambda x: session.run(None, {"x": x})[0], [node.op_type for node in model.graph.node]


def on_grid(x, low, high):
    """Rounded to one of 256 steps between low and high, of which one is zero."""
    step = (high - low) / 255
    zero = round(-low / step)
    return (np.clip(np.round(x / step) + zero, 0, 255) - zero) * step


def identity(value, result):
    return make_node("Add", [value, "nothing"], result)


NOTHING = {"nothing": np.zeros((1, 1, 1, 1), np.float32)}


def test_convolution_between_bytes():
    kernel = RNG.normal(0, 1, (5, 3, 3, 3)).astype(np.float32) * np.array([1, 10, 0.1, 0, 1])[:, None, None, None]
    constants = {"w": kernel.astype(np.float32), "b": RNG.normal(0, 1, 5).astype(np.float32), **NOTHING}
    nodes = [identity("x", "a"), make_node("Conv", ["a", "w", "b"], "c"), identity("c", "y")]
    run, operators = computed(nodes, constants, {"a": (-2.0, 3.0), "c": (-20.0, 25.0)})
    assert operators.count("DequantizeLinear") == 4  # both maps, weights, bias

    x = RNG.normal(0, 1, (2, 3, 6, 7)).astype(np.float32)
    step = np.abs(constants["w"]).max((1, 2, 3), keepdims=True) / 127
    weights = np.where(step > 0, np.round(constants["w"] / np.where(step > 0, step, 1)) * step, 0)
    a = on_grid(x, -2, 3)
    patches = np.lib.stride_tricks.sliding_window_view(a, (3, 3), axis=(2, 3))  # N C h w 3 3
    exact = np.einsum("nchwij,ocij->nohw", patches, weights) + constants["b"][None, :, None, None]
    y = run(x)
    assert np.abs(y - on_grid(exact, -20, 25)).max() <= 45 / 255 * 1.001  # a step, where a sum is just between two
    assert np.mean(np.abs(y - on_grid(exact, -20, 25)) < 1e-4) > 0.98


def test_weights_of_seven_bits():
    constants = {"w": np.linspace(-1, 1, 9, dtype=np.float32).reshape(1, 1, 3, 3), **NOTHING}
    graph = Graph(
        new_model(
            [identity("x", "a"), make_node("Conv", ["a", "w"], "c"), identity("c", "y")],
            constants,
            ["x"],
            ["y"],
            opset=17,
        )
    )
    set_ranges(graph, {"a": (0.0, 1.0), "c": (-1.0, 1.0)})
    quantize_graph(graph, seven_bits=True)
    (stored,) = (
        a
        for n in graph.nodes
        for v in n.input
        if (a := graph.array(v)) is not None and a.dtype == np.int8 and a.ndim == 4
    )
    assert stored.ravel().tolist() == [-64, -48, -32, -16, 0, 16, 32, 48, 64]


@pytest.mark.parametrize(("alpha", "beta"), [(1 / 6, 0.5), (0.2, 0.5)])
def test_gate_of_bytes_is_a_hard_sigmoid_by_looking_up(alpha, beta, tmp_path):
    nodes = [
        identity("x", "a"),
        make_node("HardSigmoid", ["a"], "gate", alpha=alpha, beta=beta),
        make_node("Mul", ["a", "gate"], "c"),
        identity("c", "y"),
    ]
    run, operators = computed(nodes, NOTHING, {"a": (-4.0, 6.0), "c": (-1.0, 6.0)}, optimized=tmp_path / "o.onnx")
    assert {"QLinearLeakyRelu", "QLinearMul"} < set(operators)
    assert "HardSigmoid" not in operators
    assert operators.count("DequantizeLinear") == 1  # the result; nothing between is float32
    x = np.linspace(-6, 7, 300, dtype=np.float32).reshape(1, 3, 10, 10)
    a = on_grid(x, -4, 6)
    gate = np.round(np.clip(alpha * a + beta, 0, 1) * 255) / 255
    assert np.abs(run(x) - on_grid(a * gate, -1, 6)).max() <= 7 / 255 * 1.001 + 6 / 255


def test_relu_is_done_by_the_range_behind_it():
    nodes = [identity("x", "a"), make_node("Relu", ["a"], "r"), make_node("Relu", ["r"], "c"), identity("c", "y")]
    run, operators = computed(nodes, NOTHING, {"r": (0.0, 4.0)})
    assert "Relu" not in operators
    x = RNG.normal(0, 3, (1, 3, 8, 8)).astype(np.float32)
    assert np.allclose(run(x), on_grid(x, 0, 4), atol=1e-5)


def test_pooling_keeps_the_steps_and_constants_become_bytes():
    nodes = [
        identity("x", "a"),
        make_node("MaxPool", ["a"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        make_node("Add", ["p", "offset"], "c"),
        identity("c", "y"),
    ]
    offset = np.array([-1.0, 0.5, 0.25], np.float32).reshape(1, 3, 1, 1)
    run, operators = computed(nodes, {"offset": offset, **NOTHING}, {"a": (-3.0, 3.0), "c": (-4.0, 4.0)})
    assert operators.count("QuantizeLinear") == 3  # a, what pooling gives, c
    x = RNG.normal(0, 1, (1, 3, 4, 4)).astype(np.float32)
    pooled = on_grid(x, -3, 3).reshape(1, 3, 2, 2, 2, 2).max((3, 5))
    expected = on_grid(pooled + on_grid(offset, -1, 0.5), -4, 4)
    assert np.abs(run(x) - expected).max() <= 8 / 255 * 1.001


@pytest.mark.parametrize("low_high", [(0.5, 2.0), (-3.0, -1.0), (-1.0, 2.0)])
def test_zero_is_always_a_step(low_high):
    assert scale_and_zero(0.0, 0.0)[0] > 0
    scale, zero = scale_and_zero(*low_high)
    assert 0 <= zero <= 255
    low, high = min(low_high[0], 0), max(low_high[1], 0)
    assert abs((0 - int(zero)) * scale - low) <= scale
    assert abs((255 - int(zero)) * scale - high) <= scale
