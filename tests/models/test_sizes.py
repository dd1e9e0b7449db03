"""How large the networks are, against the reference implementation's counts."""

from __future__ import annotations

import jax
import pytest
from flax import traverse_util

from ppocr_jax.models import MODELS, build_model
from ppocr_jax.models.ops import native_ops
from ppocr_jax.models.systems import network_size
from tests.models.reference import NETWORKS, description, model_and_shapes

# Trainable values of backbone, neck and head; batch norm statistics.
SIZES = {
    "det_student": (398_480, 138_240, 46_514, 12_560),
    "det_teacher": (11_199_968, 835_584, 328_834, 10_368),
    "rec_v2": (1_016_160, 395_264, 655_009, 10_944),
    "rec_v1_mobile": (252_896, 185_856, 642_625, 6_160),
    "rec_server": (21_308_128, 3_153_920, 3_398_625, 17_280),
}
PARTS = {"lstm_0": "neck", "lstm_1": "neck", "probability": "head", "threshold": "head"}


def count(tree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("name", SIZES)
def test_every_part_has_the_published_size(name):
    _, shapes = model_and_shapes(name)
    parts = dict.fromkeys(("backbone", "neck", "head"), 0)
    for top, tree in shapes["params"].items():
        parts[PARTS.get(top, top)] += count(tree)
    assert (*parts.values(), count(shapes["batch_stats"])) == SIZES[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_trainable_values(name):
    _, shapes = model_and_shapes(name)
    assert count(shapes["params"]) == description(name)["trainable"]


@pytest.mark.parametrize("name", ["crnn_lcnet", "crnn_mobilenet_v3", "crnn_resnet34"])
def test_recognizers_give_a_frame_every_four_pixels(name):
    model = build_model(name, num_classes=11, ops=native_ops)
    images = jax.ShapeDtypeStruct((2, 32, 72, 3), "float32")
    outputs, _ = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=False), images)
    assert {key: value.shape[:2] for key, value in outputs.items()} == dict.fromkeys(
        ("logits", "features", "backbone", "neck", "probabilities"), (2, 18)
    )
    assert outputs["logits"].shape[2] == 11


# Options, image, parameters and multiplications with addition, from running the reference implementation.
READING = {
    "db_mobilenet_v3": ({}, (640, 640), 559_977, 1.912e9),
    "db_resnet18": ({}, (960, 960), 12_199_969, 60.49e9),
    "crnn_lcnet": ({"num_classes": 6625}, (32, 320), 2_066_433, 521.8e6),
    "crnn_mobilenet_v3": ({"num_classes": 6625}, (32, 320), 1_081_377, 123.8e6),
    "crnn_resnet34": ({"num_classes": 6625}, (32, 320), 27_860_673, 11.37e9),
    "direction_mobilenet_v3": ({}, (48, 192), 129_356, 16.3e6),
}


@pytest.mark.parametrize("name", READING)
def test_cost_of_a_image(name):
    options, size, parameters, macs = READING[name]
    found = network_size(build_model(name, ops=native_ops, **options), size)
    assert found.parameters == parameters
    assert found.macs == pytest.approx(macs, rel=1e-3)


def test_sizes_of_pp_ocr_v3():
    """Its published files: 12.4 MB with the program for the recognizer, 124 MB for the teacher."""
    teacher = network_size(build_model("db_lk_pan", ops=native_ops), (960, 960))
    assert 4 * (teacher.parameters + teacher.statistics) / 2**20 == pytest.approx(124, rel=0.02)
    plain, guided = (
        network_size(build_model("svtr_lcnet", num_classes=6625, ops=native_ops, guided=guided), (48, 320))
        for guided in (False, True)
    )
    assert plain._replace(training_only=0) == guided._replace(training_only=0)
    assert plain.training_only == 0
    # A product by hand, as a check of the counter: FC of 64 to 6625 for each of 40 frames.
    other = network_size(build_model("svtr_lcnet", num_classes=6626, ops=native_ops), (48, 320))
    assert other.macs - plain.macs == 64 * 40


def test_widths_are_options():
    small = build_model("db_resnet18", channels=32, ops=native_ops)
    shapes = jax.eval_shape(lambda: small.init(jax.random.key(0), jax.numpy.zeros((1, 32, 32, 3)), train=False))
    kernels = traverse_util.flatten_dict(shapes["params"]["neck"], sep="/")
    assert {leaf.shape[-1] for leaf in kernels.values()} == {32, 8}


def test_unknown_network_and_option():
    with pytest.raises(ValueError, match="no network 'nope'; choose from crnn_lcnet"):
        build_model("nope")
    with pytest.raises(ValueError, match="network 'db_resnet18' has no option scale"):
        build_model("db_resnet18", scale=0.5)
    assert set(MODELS) >= {network for network, _, _ in NETWORKS.values()}
