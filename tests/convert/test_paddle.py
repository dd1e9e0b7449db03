"""Names and layouts of PaddleOCR's weights, for every network of the reference implementation."""

from __future__ import annotations

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from ppocr_jax.convert.paddle import network_of, paddle_names, split_learners, variables_from_paddle
from ppocr_jax.models import build_model
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.ops import native_ops
from tests.models.reference import NETWORKS, description, model_and_shapes

SMALLEST = "cls"
# What the names say of a tensor's kind, in which collection it belongs to us.
STATISTICS = ("bn_mean", "bn_var")


def zeros(name, prefix=""):
    """Tensors of the right names and shapes."""
    return {prefix + e["name"]: np.zeros(e["shape"], np.float32) for e in description(name)["entries"]}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_is_reached_once(name):
    _, shapes = model_and_shapes(name)
    network = network_of(shapes)
    reached = {
        collection: Counter(n for path in traverse_util.flatten_dict(tree) for n in paddle_names(path, network))
        for collection, tree in shapes.items()
    }
    for collection, names in reached.items():
        wanted = {
            e["name"] for e in description(name)["entries"] if (e["kind"] in STATISTICS) == (collection != "params")
        }
        assert names == Counter(wanted), collection


@pytest.mark.parametrize("name", NETWORKS)
def test_values_are_kept(name):
    """Every tensor filled with its own number: all numbers arrive, as often as the tensor has values."""
    _, shapes = model_and_shapes(name)
    entries = description(name)["entries"]
    tensors = {e["name"]: np.full(e["shape"], i, np.float32) for i, e in enumerate(entries)}
    arrived = Counter()
    for value in jax.tree.leaves(variables_from_paddle(tensors, shapes)):
        numbers, counts = np.unique(value, return_counts=True)
        arrived.update(dict(zip(numbers.astype(int).tolist(), counts.tolist(), strict=True)))
    assert arrived == {i: int(np.prod(e["shape"])) for i, e in enumerate(entries)}


def test_layouts():
    """The names of axes, written into the values, are where our layouts want them."""
    _, shapes = model_and_shapes("det_teacher")
    tensors = zeros("det_teacher")
    tensors["backbone.conv1_1._conv.weight"] = numbered(32, 3, 3, 3)  # output, input, row, column
    tensors["head.thresh.conv3.weight"] = numbered(64, 1, 2, 2)  # input, output, row, column
    params = variables_from_paddle(tensors, shapes)["params"]
    assert params["backbone"]["conv1_1"]["kernel"][2, 0, 1, 31] == 310120
    assert params["threshold"]["up2"]["kernel"][63, 1, 0, 0] == 630010


def numbered(*shape: int) -> np.ndarray:
    """Values whose decimal digits, two for each of the first axes, tell their place: [31, 1, 2, 0] is 310120."""
    places = np.indices(shape)
    return (places * np.array([10_000, 100, 10, 1]).reshape(-1, 1, 1, 1, 1)).sum(0).astype(np.float32)


def test_a_missing_tensor_is_named():
    _, shapes = model_and_shapes(SMALLEST)
    tensors = zeros(SMALLEST)
    del tensors["backbone.blocks.3.mid_se.conv2.bias"]
    with pytest.raises(WeightsError, match=r"lack 'backbone\.blocks\.3\.mid_se\.conv2\.bias', needed for params/"):
        variables_from_paddle(tensors, shapes)


def test_a_tensor_too_many_is_named():
    """A network with more layers than ours would compute something else."""
    _, shapes = model_and_shapes(SMALLEST)
    extra = {"backbone.blocks.1.mid_se.conv1.weight": np.zeros((2, 24, 1, 1), np.float32)}
    with pytest.raises(WeightsError, match=r"no place for 1 Paddle tensors, such as 'backbone\.blocks\.1\.mid_se"):
        variables_from_paddle({**zeros(SMALLEST), **extra}, shapes)


def test_a_wrong_shape_is_named():
    _, shapes = model_and_shapes(SMALLEST)
    tensors = {**zeros(SMALLEST), "head.fc.weight": np.zeros((200, 4), np.float32)}
    with pytest.raises(WeightsError, match=r"'head\.fc\.weight' has shape \(200, 4\)"):
        variables_from_paddle(tensors, shapes)


def test_second_names_of_the_lstm_are_no_surplus():
    _, shapes = model_and_shapes("rec_v1_mobile")
    alias = {"neck.encoder.lstm.0.cell_bw.weight_ih": np.zeros((192, 288), np.float32)}
    variables_from_paddle({**zeros("rec_v1_mobile"), **alias}, shapes)


def test_a_backbone_that_paddle_does_not_have():
    with pytest.raises(ValueError, match="no Paddle names for a backbone of stem"):
        network_of({"params": {"backbone": {"stem": {}}}})


def test_learners_of_a_collaborative_checkpoint():
    """PP-OCRv2's detector checkpoint: a large teacher, two students."""
    prefixed = {
        **zeros("det_teacher", "Teacher."),
        **zeros("det_student", "Student."),
        **zeros("det_student", "Student2."),
    }
    learners = split_learners(prefixed)
    assert list(learners) == ["Teacher", "Student", "Student2"]
    for learner, name in (("Teacher", "det_teacher"), ("Student2", "det_student")):
        assert learners[learner].keys() == zeros(name).keys()
        assert all(tensor is prefixed[f"{learner}.{key}"] for key, tensor in learners[learner].items())
        variables_from_paddle(learners[learner], model_and_shapes(name)[1])


def test_a_plain_checkpoint_has_no_learners():
    with pytest.raises(WeightsError, match=r"'backbone\.conv1\.conv\.weight' belongs to none"):
        split_learners(zeros(SMALLEST))


def test_learners_must_be_split_first():
    _, shapes = model_and_shapes(SMALLEST)
    with pytest.raises(WeightsError, match="they are of several networks: Student, Teacher"):
        variables_from_paddle({**zeros(SMALLEST, "Student."), **zeros(SMALLEST, "Teacher.")}, shapes)


def test_the_chinese_head_does_not_fit_another_charset():
    model = build_model("crnn_mobilenet_v3", num_classes=97, ops=native_ops)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False))
    with pytest.raises(WeightsError, match=r"'head\.fc\.\w+' has shape \((96, )?6625,?\)"):
        variables_from_paddle(zeros("rec_v1_mobile"), shapes)
