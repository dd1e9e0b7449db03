"""Each rule on a small graph: the same values from ONNX Runtime, in fewer or better operations."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.onnx_graph.simplify import prepare

onnx = pytest.importorskip("onnx", reason="needs ppocr-jax[export]")
TensorProto, helper, numpy_helper = onnx.TensorProto, onnx.helper, onnx.numpy_helper
RNG = np.random.default_rng(3)
X = RNG.normal(0, 2, (2, 3, 12, 20)).astype(np.float32)


class Network:
    """A graph of images in the making."""

    def __init__(self, opset=12):
        self.nodes, self.constants, self.opset = [], [], opset

    def constant(self, array, *, as_node=False):
        name = f"c{len(self.constants) + len(self.nodes)}"
        tensor = numpy_helper.from_array(np.asarray(array, np.float32), name)
        if as_node:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants.append(tensor)
        return name

    def add(self, op_type, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], **attributes))
        return name

    def conv(self, x, inputs, outputs, size=1, *, pad=0, groups=1, bias=True):
        weights = self.constant(RNG.normal(0, 0.3, (outputs, inputs // groups, size, size)))
        extra = [self.constant(RNG.normal(0, 0.3, outputs))] if bias else []
        return self.add("Conv", x, weights, *extra, kernel_shape=[size, size], pads=[pad] * 4, group=groups)

    def hard_swish(self, x, six=6.0):
        moved = self.add("Add", x, self.constant(3.0, as_node=True))
        clipped = self.add("Clip", moved, self.constant(0.0, as_node=True), self.constant(6.0, as_node=True))
        return self.add("Div", self.add("Mul", x, clipped), self.constant(six, as_node=True))

    def affine(self, x, scale, offset):
        return self.add("Add", self.add("Mul", self.constant([scale]), x), self.constant([offset]))

    def gate(self, x, channels):
        pooled = self.add("GlobalAveragePool", x)
        narrow = self.add("Relu", self.conv(pooled, channels, 2))
        return self.add("HardSigmoid", self.conv(narrow, 2, channels), alpha=0.2, beta=0.5)

    def up(self, x, inputs, outputs, *, norm=True):
        y = self.add(
            "ConvTranspose",
            x,
            self.constant(RNG.normal(0, 0.3, (inputs, outputs, 2, 2))),
            kernel_shape=[2, 2],
            strides=[2, 2],
        )
        y = self.add("Add", y, self.constant(RNG.normal(0, 1, (1, outputs, 1, 1))))
        if not norm:
            return y
        numbers = [RNG.normal(1, 0.2, outputs), RNG.normal(0, 1, outputs), RNG.normal(0, 1, outputs), np.ones(outputs)]
        return self.add("BatchNormalization", y, *(self.constant(n) for n in numbers), epsilon=1e-5)

    def model(self, *outputs):
        image = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])]
        made = [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["a", "b", "c", "d"]) for o in outputs]
        graph = helper.make_graph(self.nodes, "g", image, made, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        helper.set_model_props(model, {"character": "a\nb"})
        onnx.checker.check_model(model)
        return model.SerializeToString()


def run(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})


def operations(model):
    return Counter(node.op_type for node in onnx.load_from_string(model).graph.node)


def simplified(model):
    """The simplified model, checked against the original one."""
    simple = prepare(model).model
    onnx.checker.check_model(onnx.load_from_string(simple), full_check=True)
    for expected, got in zip(run(model), run(simple), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    return simple


def test_hard_swish_becomes_two_operations():
    net = Network()
    y = net.hard_swish(net.conv("x", 3, 8, 3))
    assert operations(simplified(net.model(y))) == {"Conv": 1, "HardSigmoid": 1, "Mul": 1}


def test_clip_with_attributes():
    net = Network(opset=9)
    c = net.conv("x", 3, 8)
    clipped = net.add("Clip", net.add("Add", c, net.constant(3.0)), min=0.0, max=6.0)
    y = net.add("Div", net.add("Mul", clipped, c), net.constant(6.0))
    assert operations(simplified(net.model(y))) == {"Conv": 1, "HardSigmoid": 1, "Mul": 1}


def test_scalars_behind_a_convolution_go_into_its_weights():
    net = Network()
    y = net.affine(net.conv("x", 3, 8, 3, pad=1, bias=False), 0.7, -0.4)
    assert operations(simplified(net.model(y))) == {"Conv": 1}


def test_scalars_before_a_1x1_convolution_go_into_its_weights():
    net = Network()
    y = net.conv(net.affine(net.add("Relu", net.conv("x", 3, 8)), 0.7, -0.4), 8, 4)
    assert operations(simplified(net.model(y))) == {"Conv": 2, "Relu": 1}


def test_scalars_before_a_padding_convolution_become_a_depthwise_one():
    """The offset is not there in the padding, so it cannot go into the bias."""
    net = Network()
    y = net.conv(net.affine(net.add("Relu", net.conv("x", 3, 8)), 0.7, -0.4), 8, 8, 3, pad=1, groups=8)
    assert operations(simplified(net.model(y))) == {"Conv": 3, "Relu": 1}


def test_block_of_pp_lcnet_v3():
    """Scale and offset, hard swish, scale and offset, twice, and squeeze-and-excitation."""
    net = Network()
    y = "x"
    for inputs, outputs in ((3, 8), (8, 16)):
        y = net.affine(net.hard_swish(net.affine(net.conv(y, inputs, outputs), 1.9, 0.8)), 0.6, -0.5)
        y = net.affine(net.conv(y, outputs, outputs, 5, pad=2, groups=outputs), 0.4, 0.001)
    y = net.add("Mul", y, net.gate(y, 16))
    found = operations(simplified(net.model(y)))
    assert found == {"Conv": 8, "HardSigmoid": 3, "Mul": 3, "GlobalAveragePool": 1, "Relu": 1}


def test_gate_with_residue():
    net = Network()
    c = net.conv("x", 3, 8)
    y = net.add("Add", c, net.add("Mul", c, net.gate(c, 8)))
    simple = simplified(net.model(y))
    sums = [node for node in onnx.load_from_string(simple).graph.node if node.op_type == "Add"]
    assert len(sums) == 1
    assert sums[0].output[0] != y
    assert operations(simple)["Mul"] == 1


@pytest.mark.parametrize("norm", [True, False])
def test_head_of_db(norm):
    net = Network()
    y = net.add("Relu", net.up(net.add("Relu", net.conv("x", 3, 8, 3, pad=1)), 8, 6, norm=norm))
    y = net.add("Sigmoid", net.up(y, 6, 1, norm=False))
    simple = simplified(net.model(y))
    assert operations(simple) == {"Conv": 3, "Relu": 2, "Sigmoid": 1, "DepthToSpace": 2}
    assert [node.op_type for node in onnx.load_from_string(simple).graph.node][-2:] == ["DepthToSpace"] * 2


def test_values_that_others_use_stay():
    net = Network()
    c = net.conv("x", 3, 8)
    scaled = net.add("Mul", c, net.constant(0.5))
    y = net.add("Add", scaled, net.add("Relu", c))
    model = net.model(y, c)
    found = operations(simplified(model))
    assert found["Conv"] == 2
    assert found["Relu"] == 1


def test_graph_outputs_stay():
    net = Network()
    c = net.conv("x", 3, 8)
    moved = net.add("Add", c, net.constant(3.0))
    y = net.add("Div", net.add("Mul", c, net.add("Clip", moved, net.constant(0), net.constant(6))), net.constant(6.0))
    assert len(onnx.load_from_string(simplified(net.model(y, c, moved))).graph.output) == 3


def test_near_misses_are_left_alone():
    net = Network()
    y = net.hard_swish(net.conv("x", 3, 8), six=6.5)
    found = operations(simplified(net.model(y)))
    assert "HardSigmoid" not in found
    assert found["Clip"] == 1


def test_a_number_divided_by_hard_swish_is_none():
    net = Network()
    c = net.conv("x", 3, 8)
    clipped = net.add("Clip", net.add("Add", c, net.constant(3.0)), net.constant(0.0), net.constant(6.0))
    y = net.add("Div", net.constant(6.0), net.add("Add", net.add("Mul", c, clipped), net.constant(9.0)))
    model = net.model(y, net.add("Div", net.constant(6.0), net.add("Mul", c, clipped)))
    found = operations(simplified(model))
    assert found["Div"] == 2
    assert "HardSigmoid" not in found


def test_scalars_behind_a_product_of_one_and_of_many_channels():
    """Spatial attention: which of both an image has is not seen from the first one alone."""
    net = Network()
    mask, image = net.add("Sigmoid", net.conv("x", 3, 1)), net.add("Relu", net.conv("x", 3, 8))
    y = net.conv(net.affine(net.add("Mul", mask, image), 0.7, -0.4), 8, 8, 3, pad=1, groups=8)
    simplified(net.model(y))


def test_a_number_of_higher_rank_stays():
    net = Network()
    model = net.model(net.add("Mul", net.conv("x", 3, 8), net.constant(np.full((1, 1, 1, 1, 1), 2.0))))
    assert prepare(model).model is model


@settings(max_examples=60)
@given(st.data())
def test_damaged_models_never_break_it(data):
    """What comes back is the same bytes, or a model in some state; the reader of models says what is wrong."""
    net = Network()
    y = net.affine(net.hard_swish(net.affine(net.conv("x", 3, 8), 1.9, 0.8)), 0.6, -0.5)
    model = bytearray(net.model(net.add("Sigmoid", net.up(y, 8, 1))))
    for place in data.draw(st.lists(st.integers(0, len(model) - 1), min_size=1, max_size=4)):
        model[place] = data.draw(st.integers(0, 255))
    assert isinstance(prepare(bytes(model)).model, bytes)


def test_overlapping_transposed_convolution_is_left_alone():
    net = Network()
    kernel = net.constant(RNG.normal(0, 0.3, (3, 4, 3, 3)))
    model = net.model(net.add("ConvTranspose", "x", kernel, kernel_shape=[3, 3], strides=[2, 2]))
    assert prepare(model).model is model


def test_metadata_and_names_stay():
    net = Network()
    model = net.model(net.hard_swish(net.conv("x", 3, 8)))
    before, after = onnx.load_from_string(model), onnx.load_from_string(prepare(model).model)
    assert after.metadata_props == before.metadata_props
    assert after.graph.input == before.graph.input
    assert after.graph.output == before.graph.output
    assert after.opset_import == before.opset_import


def test_weights_listed_as_inputs_are_constants():
    """As old files have it."""
    net = Network()
    model = onnx.load_from_string(net.model(net.affine(net.conv("x", 3, 8), 0.7, 0.2)))
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, TensorProto.FLOAT, t.dims) for t in model.graph.initializer
    )
    simple = simplified(model.SerializeToString())
    assert [value.name for value in onnx.load_from_string(simple).graph.input] == ["x"]


@pytest.mark.parametrize("data", [b"", b"no model", b"\x00" * 64, b"\xff" * 64])
def test_what_is_no_model_comes_back(data):
    assert prepare(data).model is data


def test_inner_graphs_are_left_alone():
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "b",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    node = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]), helper.make_tensor_value_info("c", 9, [])]
    made = [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)]
    model = helper.make_model(helper.make_graph([node], "g", inputs, made)).SerializeToString()
    assert prepare(model).model is model


def test_weights_in_another_file(tmp_path):
    net = Network()
    model = net.model(net.hard_swish(net.conv("x", 3, 8)))
    path = tmp_path / "model.onnx"
    onnx.save(onnx.load_from_string(model), path, save_as_external_data=True, location="weights", size_threshold=0)
    data = path.read_bytes()
    assert prepare(data).model is data
    np.testing.assert_allclose(
        OnnxBackend(path, threads=1, device="cpu")(X.transpose(0, 2, 3, 1)),
        run(model)[0][:, 0],  # `OnnxBackend` takes the first channel, as of a detector
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("task", ["det", "cls", "rec"])
def test_shipped_networks(task):
    path = Path(__file__).resolve().parents[2] / "ppocr_jax" / "weights" / "en" / f"{task}.onnx"
    height, width = {"det": (64, 160), "cls": (48, 192), "rec": (32, 160)}[task]
    images = RNG.normal(0, 1, (2, height, width, 3)).astype(np.float32)
    plain, simple = (OnnxBackend(path, threads=1, device="cpu", as_is=as_is)(images) for as_is in (True, False))
    np.testing.assert_allclose(simple, plain, atol=1e-5)
