"""Pruning: FPGM against its definition, and pruned networks against networks whose channels are silent."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import traverse_util
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.config import ConfigError, DetConfig, DetModelConfig
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec
from ppocr_jax.models import build_model
from ppocr_jax.slim.prune import (
    choose_channels,
    detector_groups,
    filter_importance,
    groups_of,
    kept_channels,
    largest_ratio,
    masked,
    narrow_neck,
    parameter_count,
    prune,
    sensitivity,
)
from ppocr_jax.training.detection import model_options
from ppocr_jax.training.network import TrainedNetwork, variable_shapes
from ppocr_jax.training.trained import load_trained

SCALE = 0.35  # small, and not the default
SPEC = DetectorSpec(network="db_mobilenet_v3", options={"scale": SCALE, "channels": 16})
IMAGES = np.random.default_rng(1).normal(size=(2, 64, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> TrainedNetwork:
    """Random weights, and statistics as after some training."""
    rng = np.random.default_rng(0)

    def values(path: tuple, shape: jax.ShapeDtypeStruct) -> np.ndarray:
        name = jax.tree_util.keystr(path)
        drawn = rng.normal(0, 0.3, shape.shape).astype(np.float32)
        return np.abs(drawn) + 0.5 if "var" in name or "scale" in name else drawn

    return TrainedNetwork(SPEC, jax.tree_util.tree_map_with_path(values, variable_shapes(SPEC)))


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_importance_is_the_sum_of_distances(inputs: int, filters: int, seed: int):
    kernel = np.random.default_rng(seed).normal(5, 1, (3, 3, inputs, filters)).astype(np.float32)
    expected = [sum(np.linalg.norm(kernel[..., i] - kernel[..., j]) for j in range(filters)) for i in range(filters)]
    mean = np.mean(expected) or 1
    np.testing.assert_allclose(filter_importance(kernel), np.array(expected) / mean if filters > 1 else [1], rtol=1e-5)


def test_what_others_can_replace_goes_first_however_large_it_is():
    kernel = np.full((1, 1, 4, 8), 10.0)
    kernel[..., :7] += np.linspace(-1, 1, 7)  # seven large filters that resemble each other,
    kernel[..., 7] = [0.1, -0.1, 0.1, -0.1]  # and a small one unlike them
    importance = filter_importance(kernel)
    assert importance.argmax() == 7
    assert importance.argmin() == 3  # the median of the seven
    assert {0, 6, 7} < set(kept_channels([importance], 0.5).tolist())
    assert filter_importance(np.ones((1, 1, 4, 3))).tolist() == [1, 1, 1]


@given(st.integers(1, 100), st.floats(0, 0.99), st.sampled_from([1, 4, 8]))
def test_how_many_channels_stay(count: int, ratio: float, multiple: int):
    importance = np.random.default_rng(count).permutation(count).astype(float)
    kept = kept_channels([importance], ratio, multiple=multiple)
    assert 1 <= len(kept) <= count
    assert len(kept) % multiple == 0 or len(kept) == count
    assert abs(len(kept) - count * (1 - ratio)) <= max(multiple, 1)
    assert set(importance[kept]) == set(np.sort(importance)[count - len(kept) :])
    assert kept.tolist() == sorted(kept.tolist())


def test_ratios_out_of_range():
    for ratio in (-0.1, 1.0):
        with pytest.raises(ValueError, match="pruned share"):
            kept_channels([np.ones(4)], ratio)
    with pytest.raises(ValueError, match="multiple"):
        kept_channels([np.ones(4)], 0.5, multiple=0)


@pytest.mark.parametrize("scale", [0.35, 0.5, 1.0])
def test_every_axis_of_the_backbone_is_in_one_group(scale: float):
    shapes = traverse_util.flatten_dict(variable_shapes(replace(SPEC, options={"scale": scale}))["params"], sep="/")
    made, taken = {}, {}
    for group in detector_groups({"scale": scale}):
        sizes = {shapes[f"{block}/kernel"].shape[-1] for block in (*group.made, *group.followed)}
        sizes |= {shapes[f"{block}/kernel"].shape[-2] for block in group.taken}
        assert len(sizes) == 1, group
        for block in (*group.made, *group.followed):
            assert made.setdefault(block, group.name) == group.name
        for block in group.taken:
            assert taken.setdefault(block, group.name) == group.name
    kernels = {name.removesuffix("/kernel"): value.shape for name, value in shapes.items() if name.endswith("/kernel")}
    backbone = {block for block in kernels if block.startswith("backbone/")}
    assert made.keys() == backbone
    full = {block for block in backbone if len(kernels[block]) == 4 and block != "backbone/conv"}
    assert taken.keys() == full | {f"neck/in{level}" for level in (2, 3, 4, 5)}


@pytest.mark.parametrize("seed", range(3))
def test_a_pruned_network_computes_what_one_with_silent_channels_does(network: TrainedNetwork, seed: int):
    rng = np.random.default_rng(seed)
    groups = groups_of(network)
    ratios = {group.name: float(rng.uniform(0, 0.8)) for group in groups}
    kept = choose_channels(network.variables, groups, ratios, multiple=1)
    silent = network.variables
    for group in groups:
        silent = masked(silent, group, kept[group.name])
    smaller = prune(network, kept)
    expected = replace(network, variables=silent).compiled()(IMAGES)
    np.testing.assert_allclose(smaller.compiled()(IMAGES), expected, atol=1e-3)
    assert np.ptp(expected) > 0.05
    assert parameter_count(smaller) < parameter_count(network)
    assert smaller.spec.options["widths"]["last"] == len(kept["last"])


def test_stages_of_one_width_get_no_shortcut_between_them(network: TrainedNetwork):
    """The table has none where the width changes; pruned to one width, they must not get one."""
    groups = groups_of(network)
    kept = choose_channels(network.variables, groups, {}, multiple=1)
    features = {group.name: group for group in groups if group.name.startswith("features/")}
    kept |= {name: np.arange(8) for name in features}
    silent = network.variables
    for name, group in features.items():
        silent = masked(silent, group, kept[name])
    expected = replace(network, variables=silent).compiled()(IMAGES)
    np.testing.assert_allclose(prune(network, kept).compiled()(IMAGES), expected, atol=1e-3)


def test_a_pruned_network_is_saved_found_and_pruned_again(network: TrainedNetwork, tmp_path):
    groups = groups_of(network)
    once = prune(
        network, choose_channels(network.variables, groups, dict.fromkeys((g.name for g in groups), 0.3), multiple=4)
    )
    once.save(tmp_path / "once.safetensors")
    found = load_trained(tmp_path / "once.safetensors")
    assert found.spec == once.spec
    np.testing.assert_array_equal(found.compiled()(IMAGES), once.compiled()(IMAGES))
    again = prune(found, choose_channels(found.variables, groups, {"last": 0.5}, multiple=4))
    assert parameter_count(again) < parameter_count(once)


def test_a_narrow_neck_computes_what_one_with_silent_channels_does(network: TrainedNetwork):
    smaller = narrow_neck(network, 8)
    assert smaller.spec.options["channels"] == 8
    silent = _flat(network.variables["params"])
    kept = _flat(smaller.variables["params"])

    def mute(block: str, *arrays: str) -> None:
        """Silence filters of `block` that are not among those of the narrow network."""
        theirs = [silent[f"{block}/kernel"][..., i] for i in range(silent[f"{block}/kernel"].shape[-1])]
        # Neck and head are cut along their inputs, too: a filter is known by its means of what both have.
        gone = [i for i, filters in enumerate(theirs) if not _is_among(filters, kept[f"{block}/kernel"])]
        assert len(gone) == len(theirs) - kept[f"{block}/kernel"].shape[-1]
        for name in arrays:
            silent[name] = silent[name].copy()
            silent[name][..., gone] = 0

    for level in (2, 3, 4, 5):
        mute(f"neck/in{level}", f"neck/in{level}/kernel")
        mute(f"neck/p{level}", f"neck/p{level}/kernel")
    mute("probability", "probability/bn1/scale", "probability/bn1/bias")
    mute("probability/up1", "probability/bn2/scale", "probability/bn2/bias")
    variables = {**network.variables, "params": traverse_util.unflatten_dict(silent, sep="/")}
    expected = replace(network, variables=variables).compiled()(IMAGES)
    np.testing.assert_allclose(smaller.compiled()(IMAGES), expected, atol=1e-3)
    assert np.ptp(expected) > 0.05
    shapes = variable_shapes(smaller.spec)
    assert jax.tree.map(np.shape, smaller.variables) == jax.tree.map(lambda like: like.shape, shapes)


def _flat(tree) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in traverse_util.flatten_dict(tree, sep="/").items()}


def _is_among(filters: np.ndarray, narrow: np.ndarray) -> bool:
    """Whether a narrow kernel (..., C) has a filter all of whose weights are among these."""
    return any(np.isin(narrow[..., i], filters).all() for i in range(narrow.shape[-1]))


def test_a_neck_has_a_multiple_of_4_channels_and_no_more_than_before(network: TrainedNetwork):
    for channels in (0, 6, 20):
        with pytest.raises(UserError, match="must be a multiple of 4, from 4 to 16"):
            narrow_neck(network, channels)


def test_only_the_mobile_detector_can_be_pruned(network: TrainedNetwork):
    with pytest.raises(UserError, match="only db_mobilenet_v3"):
        groups_of(replace(network, spec=replace(SPEC, network="db_resnet18")))
    with pytest.raises(UserError, match="only db_mobilenet_v3"):
        groups_of(replace(network, spec=ClassifierSpec(network="direction_mobilenet_v3")))


def test_sensitivity_stops_at_what_loses_too_much(network: TrainedNetwork):
    group = next(g for g in groups_of(network) if g.name == "expansions/13")
    count = network.variables["params"]["backbone"]["unit_13"]["expand"]["kernel"].shape[-1]
    tried = []

    def score(variables) -> float:
        silent = float((np.asarray(variables["params"]["backbone"]["unit_13"]["expand"]["bn"]["scale"]) == 0).mean())
        tried.append(silent)
        return 0.8 * (1 - silent**2)

    losses = sensitivity(score, network.variables, group, 0.8, ratios=[0.3, 0.1, 0.2, 0.9], max_loss=0.05, multiple=1)
    assert [round(ratio, 1) for ratio in losses] == [0.1, 0.2, 0.3]
    assert tried == pytest.approx(list(losses))
    assert list(losses.values()) == pytest.approx([ratio**2 for ratio in losses], abs=1e-6)
    assert 0.2 < largest_ratio(losses, 0.05) < 0.3
    assert len(sensitivity(score, network.variables, group, 0.8, ratios=[0.01], max_loss=0.02, multiple=8)) <= 1
    assert count % 8 == 0


def test_ratios_between_those_tried():
    assert largest_ratio({0.1: 0.01, 0.2: 0.03}, 0.02) == pytest.approx(0.15)
    assert largest_ratio({0.1: 0.04}, 0.02) == pytest.approx(0.05)
    assert largest_ratio({0.1: -0.01, 0.2: 0.0}, 0.02) == pytest.approx(0.2)
    assert largest_ratio({}, 0.02) == 0


def test_widths_belong_to_the_configuration():
    model = DetModelConfig(expansions=tuple([8] * 15), features=(8, 8, 8, 8, 8, 8), last=16)
    options = model_options(DetConfig(model=model))
    shapes = variable_shapes(DetectorSpec(network="db_mobilenet_v3", options=options))
    assert shapes["params"]["neck"]["in5"]["kernel"].shape == (1, 1, 16, 96)
    with pytest.raises(ConfigError, match="must be set together"):
        DetModelConfig(last=16)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ({"last": 8}, "widths of a backbone are expansions, features, last"),
        ({"expansions": [8] * 14, "features": [8] * 6, "last": 8}, "15 expansions and 6 features, not 14 and 6"),
        ({"expansions": [8] * 15, "features": [8] * 6, "last": 0}, "positive"),
    ],
)
def test_wrong_widths(widths, message):
    with pytest.raises(ValueError, match=message):
        build_model("db_mobilenet_v3", widths=widths)
