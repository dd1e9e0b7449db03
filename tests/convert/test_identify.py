"""Which network a checkpoint holds is told by its tensors, whatever its size; what fits none is explained."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ppocr_jax.convert.identify import identify, select_learner, without_unused_classes
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, RecognizerSpec
from ppocr_jax.models.io import WeightsError
from ppocr_jax.training.network import variable_shapes
from tests.convert.checkpoints import paddle_zeros
from tests.models.reference import NETWORKS, description

OPTIONS = {
    "db_mobilenet_v3": {"scale": 0.5, "channels": 96},
    "db_resnet18": {"channels": 256},
    "crnn_lcnet": {"num_classes": 6625, "scale": 0.5, "hidden": 64},
    "crnn_mobilenet_v3": {"num_classes": 6625, "scale": 0.5, "hidden": 48},
    "crnn_resnet34": {"num_classes": 6625, "hidden": 256},
    "direction_mobilenet_v3": {"scale": 0.35},
}


@cache
def reference_zeros(name):
    return {e["name"]: np.zeros(e["shape"], np.float32) for e in description(name)["entries"]}


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "rec_v2_c97"])
def test_networks_of_paddleocr(name):
    """What PaddleOCR has published: network, options, and that images are prepared as PaddleOCR does."""
    spec, variables = identify(reference_zeros(name))
    network = NETWORKS[name][0]
    kind = {"det": DetectorSpec, "rec": RecognizerSpec, "cls": ClassifierSpec}[name.split("_")[0]]
    assert spec == kind(network=network, options=OPTIONS[network])
    assert spec.normalization.channel_order == "bgr"
    assert variables.keys() == {"params", "batch_stats"}


@pytest.mark.parametrize(
    "spec",
    [
        DetectorSpec(network="db_mobilenet_v3", options={"scale": 0.35, "channels": 24}),
        RecognizerSpec(network="crnn_lcnet", options={"num_classes": 97, "scale": 0.35, "hidden": 24}),
        RecognizerSpec(network="crnn_mobilenet_v3", options={"num_classes": 37, "scale": 0.75, "hidden": 96}),
        ClassifierSpec(network="direction_mobilenet_v3", options={"scale": 1.25}),
    ],
    ids=lambda spec: f"{spec.network}-{'-'.join(map(str, spec.options.values()))}",
)
def test_other_sizes(spec):
    assert identify(paddle_zeros(variable_shapes(spec))).spec == spec


def message_of(tensors, network=None):
    with pytest.raises(WeightsError) as error:
        identify(tensors, network)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_network_that_is_not_here_and_what_comes_nearest():
    """PP-OCRv3's detector has the same backbone, but squeeze-and-excite in its neck."""
    tensors = {n: array for n, array in reference_zeros("det_student").items() if not n.startswith("neck.")}
    tensors |= {f"neck.ins_conv.{i}.in_conv.weight": np.zeros((96, 16, 1, 1), np.float32) for i in range(4)}
    message = message_of(tensors)
    assert "nearest is db_mobilenet_v3, of which 8 are missing, such as 'neck.in2_conv.weight'" in message
    assert "in which 4 have no place, such as 'neck.ins_conv.0.in_conv.weight'" in message
    assert "PP-OCRv3" in message


def test_a_layer_too_many():
    """A detector with squeeze-and-excite would compute something else without it."""
    extra = {"backbone.stage1.0.mid_se.conv1.weight": np.zeros((10, 40, 1, 1), np.float32)}
    message = message_of({**reference_zeros("det_student"), **extra}, "db_mobilenet_v3")
    assert "not the tensors of db_mobilenet_v3, in which 1 have no place, such as 'backbone.stage1.0.mid_se" in message


@pytest.mark.parametrize(
    ("name", "tensor", "shape"),
    [
        ("det_student", "backbone.stage3.3.conv.weight", (3, 56, 1, 1)),
        ("det_student", "backbone.stage0.0.linear_conv.conv.weight", (8, 4, 1, 1)),
        ("det_student", "neck.in2_conv.weight", (1, 16, 1, 1)),
        ("cls", "head.fc.weight", (200, 4)),
        ("rec_v2", "neck.encoder.lstm.weight_hh_l0", (256,)),
        ("rec_v2", "head.fc2.weight", (96, 0)),
    ],
)
def test_the_right_names_with_a_wrong_shape(name, tensor, shape):
    """Such as a pruned network, or a classifier of four directions."""
    message = message_of({**reference_zeros(name), tensor: np.zeros(shape, np.float32)})
    assert f"have the names of {NETWORKS[name][0]}, but " in message
    assert "has shape" in message


def test_the_network_may_be_named():
    tensors = reference_zeros("cls")
    assert identify(tensors, "direction_mobilenet_v3").spec == identify(tensors).spec
    message = message_of(tensors, "crnn_mobilenet_v3")
    assert "not the tensors of crnn_mobilenet_v3, of which 16 are missing, such as 'neck.encoder.lstm" in message
    assert "PaddleOCR has no network 'resnet'; choose from db_mobilenet_v3, " in message_of(tensors, "resnet")


COLLABORATIVE = {f"{name}.backbone.conv.weight": np.full(1, i) for i, name in enumerate(("Teacher", "Student", "Peer"))}


@pytest.mark.parametrize(("wanted", "found", "value"), [(None, "Student", 1), ("Teacher", "Teacher", 0)])
def test_learners(wanted, found, value):
    learner, tensors = select_learner(COLLABORATIVE, wanted)
    assert (learner, dict(tensors)) == (found, {"backbone.conv.weight": np.full(1, value)})


def test_a_checkpoint_of_one_network_has_no_learners():
    assert select_learner(reference_zeros("cls")) == (None, reference_zeros("cls"))
    with pytest.raises(WeightsError, match="contains a single network, not a learner 'Student'"):
        select_learner(reference_zeros("cls"), "Student")


def test_learners_that_are_not_there_or_not_clear():
    with pytest.raises(WeightsError, match="no learner 'Student2': choose one of Peer, Student, Teacher"):
        select_learner(COLLABORATIVE, "Student2")
    others = {name: array for name, array in COLLABORATIVE.items() if "Student" not in name}
    with pytest.raises(WeightsError, match="several learners: choose one of Peer, Teacher"):
        select_learner(others)
    alone = {name: array for name, array in others.items() if "Peer" in name}
    assert select_learner(alone)[0] == "Peer"


def test_a_backbone_inside_a_backbone_is_no_learner():
    tensors = {"backbone.backbone.conv.weight": np.zeros(1)}
    assert select_learner(tensors) == (None, tensors)


@pytest.mark.parametrize("layer", ["fc", "fc2"])
def test_unused_classes(layer):
    """Spaces three times, as of a file with an empty line: the last one stays, of which PaddleOCR's labels are made."""
    classes = ("a", " ", " ", "b", " ")
    arrays = {"kernel": np.arange(12.0).reshape(2, 6), "bias": np.arange(6.0)}
    other = {"kernel": np.zeros((3, 2))}
    variables = {"params": {"head": {"fc1": other, layer: arrays}, "lstm_0": other}, "batch_stats": {}}
    smaller, charset, unused = without_unused_classes(variables, classes)
    assert (charset.characters, unused) == (("a", "b", " "), (2, 3))
    np.testing.assert_array_equal(smaller["params"]["head"][layer]["bias"], [0, 1, 4, 5])
    np.testing.assert_array_equal(smaller["params"]["head"][layer]["kernel"], [[0, 1, 4, 5], [6, 7, 10, 11]])
    assert smaller["params"]["head"]["fc1"] is other
    assert smaller["params"]["lstm_0"] is other


def test_nothing_is_left_out_of_an_ordinary_dictionary():
    arrays = {"kernel": np.ones((2, 4)), "bias": np.ones(4)}
    smaller, charset, unused = without_unused_classes({"params": {"head": {"fc": arrays}}}, tuple("ab "))
    assert (charset.characters, unused) == (tuple("ab "), ())
    np.testing.assert_equal(smaller["params"]["head"]["fc"], arrays)
