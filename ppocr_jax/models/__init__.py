"""Networks and their registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol, cast

import jax
from flax import linen as nn

from ppocr_jax.models.classifiers import (
    DirectionNet,
    ghostnet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
    pp_lcnet,
)
from ppocr_jax.models.crnn import crnn_lcnet, crnn_mobilenet_v3, crnn_resnet34
from ppocr_jax.models.db import db_lk_pan, db_mobilenet_v3, db_resnet18, db_rse_fpn
from ppocr_jax.models.ops import Ops, default_ops
from ppocr_jax.models.svtr import SVTRLCNet

MODELS: dict[str, Callable[..., nn.Module]] = {
    "db_mobilenet_v3": db_mobilenet_v3,
    "db_resnet18": db_resnet18,
    "db_rse_fpn": db_rse_fpn,
    "db_lk_pan": db_lk_pan,
    "crnn_lcnet": crnn_lcnet,
    "crnn_mobilenet_v3": crnn_mobilenet_v3,
    "crnn_resnet34": crnn_resnet34,
    "svtr_lcnet": SVTRLCNet,
    "direction_mobilenet_v3": DirectionNet,
    "pp_lcnet": pp_lcnet,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_small": mobilenet_v3_small,
    "mobilenet_v3_large": mobilenet_v3_large,
    "ghostnet": ghostnet,
}
"""Name -> builder; takes `ops` and the network's own options as keyword arguments."""


def build_model(name: str, *, ops: Ops | None = None, **options: object) -> nn.Module:
    """Build a network by name.

    Args:
        name: An entry of `MODELS`.
        ops: Implementations of the basic operations; by default those for the default JAX backend.
        options: Keyword arguments of the network's builder.

    Raises:
        ValueError: If there is no such network, or it has no such option.
    """
    if name not in MODELS:
        raise ValueError(f"no network {name!r}; choose from {', '.join(sorted(MODELS))}")
    unknown = options.keys() - inspect.signature(MODELS[name]).parameters.keys()
    if unknown:
        raise ValueError(f"network {name!r} has no option {', '.join(sorted(unknown))}")
    return MODELS[name](ops=ops or default_ops(), **options)


class Network(Protocol):
    """A linen module, or an object with the same `init` and `apply` (`training.pact.QuantizedNetwork`)."""

    def init(self, rngs: Any, /, *args: Any, **kwargs: Any) -> Any: ...
    def apply(self, variables: Any, /, *args: Any, **kwargs: Any) -> Any: ...


def outputs_of(model: Network, variables: Any, images: Any) -> dict[str, jax.Array]:
    """Return a network's named outputs for images (B, H, W, 3) in evaluation mode (running statistics)."""
    return cast("dict[str, jax.Array]", model.apply(variables, images, train=False))


__all__ = ["MODELS", "Network", "build_model", "default_ops", "outputs_of"]
