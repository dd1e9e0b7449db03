"""The networks, by name."""

from __future__ import annotations

from collections.abc import Callable

from flax import linen as nn

from ppocr_jax.models.crnn import Recognizer
from ppocr_jax.models.db import Detector
from ppocr_jax.models.direction import DirectionClassifier
from ppocr_jax.models.ops import Ops, default_ops

MODELS: dict[str, Callable[..., nn.Module]] = {
    "db_mobilenet_v3": Detector,
    "crnn_lcnet": Recognizer,
    "direction_mobilenet_v3": DirectionClassifier,
}


def build_model(name: str, *, ops: Ops | None = None, **options: object) -> nn.Module:
    """A network by name.

    Args:
        name: an entry of `MODELS`.
        ops: forms of the basic operations; those of the default JAX backend if left out.
        options: attributes of the network's class.

    Raises:
        ValueError: no such network.
    """
    if name not in MODELS:
        raise ValueError(f"no network {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name](ops=ops or default_ops(), **options)


__all__ = ["MODELS", "build_model", "default_ops"]
