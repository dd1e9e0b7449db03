"""PP-OCR's systems by name, and the size of a network: its parameters and the multiplications per image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import jax
from flax import linen as nn
from jax.extend import core

from ppocr_jax.models import build_model
from ppocr_jax.models.ops import Ops


class Part(NamedTuple):
    """One network of a system.

    Attributes:
        network: An entry of `MODELS`, with its default options.
        config: The configuration file that trains it.
    """

    network: str
    config: str


class System(NamedTuple):
    """A detector, a direction classifier and a recognizer.

    Attributes:
        about: Purpose and source.
    """

    about: str
    det: Part
    cls: Part
    rec: Part


_CLS = Part("direction_mobilenet_v3", "configs/cls/pp_ocr.toml")
SYSTEMS: dict[str, System] = {
    "ppocr_mobile": System(
        "PP-OCR for phones (arXiv 2009.09941)",
        Part("db_mobilenet_v3", "configs/det/pp_ocr.toml"),
        _CLS,
        Part("crnn_mobilenet_v3", "configs/rec/pp_ocr_mv3.toml"),
    ),
    "ppocr_server": System(
        "PP-OCR for servers (arXiv 2009.09941): large networks",
        Part("db_resnet18", "configs/det/teacher_resnet18.toml"),
        _CLS,
        Part("crnn_resnet34", "configs/rec/pp_ocr_server.toml"),
    ),
    "ppocr_v2": System(
        "PP-OCRv2 (arXiv 2109.03144): CML, U-DML, Enhanced CTC",
        Part("db_mobilenet_v3", "configs/det/ppocr_v2_cml_copy_paste.toml"),
        _CLS,
        Part("crnn_lcnet", "configs/rec/ppocr_v2_enhanced_ctc.toml"),
    ),
    "ppocr_v3": System(
        "PP-OCRv3 (arXiv 2206.03001): RSE-FPN, SVTR-LCNet",
        Part("db_rse_fpn", "configs/det/ppocr_v3_cml.toml"),
        _CLS,
        Part("svtr_lcnet", "configs/rec/ppocr_v3.toml"),
    ),
}


def build_system(name: str, *, num_classes: int, ops: Ops | None = None) -> dict[str, nn.Module]:
    """Build the networks of a system.

    Args:
        name: An entry of `SYSTEMS`.
        num_classes: Classes of the recognizer, blank included.
        ops: Implementations of the basic operations; by default those for the default JAX backend.

    Returns:
        Task ("det", "cls", "rec") -> network.

    Raises:
        ValueError: If there is no such system.
    """
    if name not in SYSTEMS:
        raise ValueError(f"no system {name!r}; choose from {', '.join(SYSTEMS)}")
    system = SYSTEMS[name]
    return {
        "det": build_model(system.det.network, ops=ops),
        "cls": build_model(system.cls.network, ops=ops),
        "rec": build_model(system.rec.network, ops=ops, num_classes=num_classes),
    }


TRAINING_ONLY = ("threshold", "frame_head", "guide")
"""Top-level parts of networks that inference does not use."""


class NetworkSize(NamedTuple):
    """Size and cost of a network at inference.

    Attributes:
        parameters: Trained values, without the parts that only training uses.
        statistics: Running means and variances of BatchNorm.
        training_only: Trained values of the parts that only training uses.
        macs: Multiply-accumulate operations of convolutions, matrix products and LSTMs for one image.
    """

    parameters: int
    statistics: int
    training_only: int
    macs: int


def network_size(model: nn.Module, size: tuple[int, int]) -> NetworkSize:
    """Measure a network without running it.

    Args:
        model: Built with `ops.native_ops`, whose convolutions are counted as convolutions.
        size: (height, width) of the image.
    """
    image = jax.ShapeDtypeStruct((1, *size, 3), "float32")
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    parts = {name: _values(tree) for name, tree in variables["params"].items()}
    dropped = sum(count for name, count in parts.items() if name in TRAINING_ONLY)
    reading = jax.make_jaxpr(lambda v, x: model.apply(v, x, train=False))(variables, image)
    statistics = _values({k: v for k, v in variables.get("batch_stats", {}).items() if k not in TRAINING_ONLY})
    return NetworkSize(sum(parts.values()) - dropped, statistics, dropped, _macs(reading.jaxpr))


def _values(tree: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _macs(jaxpr: core.Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        taken, made = ([cast("Any", v.aval) for v in values] for values in (equation.invars, equation.outvars))
        if equation.primitive.name == "conv_general_dilated":
            kernel = taken[1].shape  # (kh, kw, inputs of a group, outputs)
            total += made[0].size * math.prod(kernel[:-1])
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            summed = math.prod(taken[0].shape[axis] for axis in contracted)
            total += made[0].size * summed
        else:
            repeats = equation.params["length"] if equation.primitive.name == "scan" else 1
            total += repeats * sum(_macs(inner) for inner in _inner(equation.params.values()))
    return total


def _inner(params: Any) -> Iterator[core.Jaxpr]:
    """Yield the inner programs of an equation."""
    for value in params:
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _inner(value)
