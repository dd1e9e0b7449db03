"""Identify the network in a PaddleOCR checkpoint from the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.convert.paddle import differing_names, learner_names, split_learners, variables_from_paddle
from ppocr_jax.inference.model_folder import SPECS, NetworkSpec
from ppocr_jax.models.io import WeightsError
from ppocr_jax.models.mobilenet_v3 import LARGE_LAST, SMALL_LAST
from ppocr_jax.models.pp_lcnet import BLOCKS
from ppocr_jax.training.network import variable_shapes

Tensors = Mapping[str, np.ndarray]

DEFAULT_LEARNER = "Student"
"""The learner that PaddleOCR exports if a checkpoint has several."""


class _Option(NamedTuple):
    """An option of a builder that is inferred from the shape of a tensor.

    Attributes:
        tensor, axis: The option is the length of this tensor along this axis.
        full: If the option is a width multiplier, the length at width multiplier 1.
        least: Smallest valid value.
    """

    tensor: str
    axis: int
    full: int | None = None
    least: float = 1

    def value(self, tensors: Tensors) -> float | None:
        """Return the option, or None if it cannot be inferred."""
        shape = np.shape(tensors[self.tensor]) if self.tensor in tensors else ()
        if self.axis >= len(shape):
            return None
        # Widths are rounded to whole channels, so the quotient is rounded to a multiplier of two decimals.
        value = shape[self.axis] if self.full is None else round(shape[self.axis] / self.full, 2)
        return value if value >= self.least else None


class _Builder(NamedTuple):
    """Task and options of a network; `defaults` has values for required options that cannot be inferred."""

    task: str
    options: Mapping[str, _Option]
    defaults: Mapping[str, Any] = {}

    def spec(self, network: str, tensors: Tensors) -> NetworkSpec:
        values = {name: option.value(tensors) for name, option in self.options.items()}
        known = {name: value for name, value in values.items() if value is not None}
        return SPECS[self.task](network=network, options={**self.defaults, **known})

    def unknown(self, tensors: Tensors) -> int:
        """Return the number of options that cannot be inferred; the fewer, the likelier it is this network."""
        return sum(option.value(tensors) is None for option in self.options.values())


def _width(tensor: str, full: int) -> _Option:
    return _Option(tensor, 0, full, least=0.1)


_NECK = _Option("neck.in2_conv.weight", 0, least=4)
_HIDDEN = _Option("neck.encoder.lstm.weight_hh_l0", 1)
_ANY_CLASSES = {"num_classes": 2}
_TEXT_WIDTH = _width("backbone.conv2.conv.weight", SMALL_LAST)
_LCNET_WIDTH = _width(f"backbone.block_list.{len(BLOCKS) - 1}._pointwise_conv._conv.weight", BLOCKS[-1].width)
_ONE_LAYER = _Option("head.fc.weight", 1)
_TWO_LAYERS = _Option("head.fc2.weight", 1)

_BUILDERS = {
    "db_mobilenet_v3": _Builder(
        "det", {"scale": _width("backbone.stage3.3.conv.weight", LARGE_LAST), "channels": _NECK}
    ),
    "db_resnet18": _Builder("det", {"channels": _NECK}),
    "crnn_lcnet": _Builder("rec", {"num_classes": _TWO_LAYERS, "scale": _LCNET_WIDTH, "hidden": _HIDDEN}, _ANY_CLASSES),
    "crnn_mobilenet_v3": _Builder(
        "rec", {"num_classes": _ONE_LAYER, "scale": _TEXT_WIDTH, "hidden": _HIDDEN}, _ANY_CLASSES
    ),
    "crnn_resnet34": _Builder("rec", {"num_classes": _ONE_LAYER, "hidden": _HIDDEN}, _ANY_CLASSES),
    "direction_mobilenet_v3": _Builder("cls", {"scale": _TEXT_WIDTH}),
}


class Identified(NamedTuple):
    """A network of ppocr_jax with the weights of a checkpoint.

    Attributes:
        spec: Builder and options, with PaddleOCR's input size, normalization and thresholds.
        variables: "params" and "batch_stats", as float32 NumPy arrays.
    """

    spec: NetworkSpec
    variables: dict[str, Any]


def select_learner(tensors: Tensors, learner: str | None = None) -> tuple[str | None, Tensors]:
    """Return the tensors of one network in a checkpoint that may contain several.

    Args:
        tensors: Tensors of a checkpoint.
        learner: "Student", "Student2" or "Teacher"; default: "Student", or the only learner.

    Returns:
        The learner (None if the checkpoint contains a single network) and its tensors.

    Raises:
        WeightsError: There is no such learner, or there are several and none is named.
    """
    names = learner_names(tensors)
    if not names:
        if learner is not None:
            raise WeightsError(f"the checkpoint contains a single network, not a learner {learner!r}")
        return None, tensors
    chosen = learner or (DEFAULT_LEARNER if DEFAULT_LEARNER in names else names[0] if len(names) == 1 else None)
    if chosen not in names:
        wanted = f"no learner {chosen!r}" if chosen else "several learners"
        raise WeightsError(f"the checkpoint holds {wanted}: choose one of {', '.join(names)}")
    return chosen, split_learners(tensors)[chosen]


def identify(tensors: Tensors, network: str | None = None) -> Identified:
    """Return the network that matches the names and shapes of the tensors, with these as weights.

    Args:
        tensors: Tensors of one network, with the names of a PaddleOCR checkpoint.
        network: Name of a builder in `ppocr_jax.models`; default: detected.

    Raises:
        WeightsError: No network matches (the message names the nearest), or there is no such builder.
    """
    if network is not None and network not in _BUILDERS:
        raise WeightsError(f"PaddleOCR has no network {network!r}; choose from {', '.join(_BUILDERS)}")
    likeliest = sorted(_BUILDERS, key=lambda name: _BUILDERS[name].unknown(tensors))
    nearest: tuple[int, str] | None = None
    for name in likeliest if network is None else [network]:
        spec = _BUILDERS[name].spec(name, tensors)
        shapes = variable_shapes(spec)
        missing, left = differing_names(tensors, shapes)
        if not missing and not left:
            return _fill(spec, tensors, shapes)
        distance = len(missing) + len(left)
        if nearest is None or distance < nearest[0]:
            nearest = distance, f"{name}, {_difference(missing, left)}"
    assert nearest is not None
    what = (
        "the tensors match no network of ppocr_jax; the nearest is"
        if network is None
        else "these are not the tensors of"
    )
    raise WeightsError(f"{what} {nearest[1]} (for networks of PP-OCRv3 and later, use the ONNX files)")


def _fill(spec: NetworkSpec, tensors: Tensors, shapes: Mapping[str, Any]) -> Identified:
    try:
        return Identified(spec, variables_from_paddle(tensors, shapes))
    except WeightsError as error:
        raise WeightsError(f"the tensors have the names of {spec.network}, but {error}") from error


def _difference(missing: set[str], left: set[str]) -> str:
    parts = []
    if missing:
        parts.append(f"of which {len(missing)} are missing, such as {min(missing)!r}")
    if left:
        parts.append(f"in which {len(left)} have no place, such as {min(left)!r}")
    return " and ".join(parts)


def without_unused_classes(
    variables: Mapping[str, Any], classes: Sequence[str]
) -> tuple[dict[str, Any], Charset, tuple[int, ...]]:
    """Return a recognizer without duplicate classes, which PaddleOCR never trains, and its charset.

    If a dictionary lists a character several times, PaddleOCR trains its last class. The other classes only learn to be
    improbable, so that removing them hardly changes probabilities.

    Args:
        variables: Variables of a recognizer with K classes.
        classes: Characters of classes 1 to K - 1.

    Returns:
        The variables, the charset of the remaining classes, and the removed classes.
    """
    last = {character: i for i, character in enumerate(classes, start=1)}
    kept = [i for i, character in enumerate(classes, start=1) if last[character] == i]
    charset = Charset(tuple(classes[i - 1] for i in kept))
    head = variables["params"]["head"]
    layer = "fc2" if "fc2" in head else "fc"
    columns = np.array([0, *kept])
    smaller = {name: value[..., columns] for name, value in head[layer].items()}
    params = {**variables["params"], "head": {**head, layer: smaller}}
    unused = tuple(sorted(set(range(1, len(classes) + 1)) - set(kept)))
    return {**variables, "params": params}, charset, unused
