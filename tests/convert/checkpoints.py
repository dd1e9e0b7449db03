"""PaddleOCR's checkpoints, written as its releases write them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import traverse_util

from ppocr_jax.convert.paddle import network_of, paddle_names

NAMES = "StructuredToParameterName@@"


class _Tensor:
    """Pickled as a tensor outside a state dict: its parameter's name and its array."""

    def __init__(self, name: str, array: np.ndarray) -> None:
        self.parts = (name, array)

    def __reduce__(self):
        return tuple, (self.parts,)


def write_pdparams(
    path: Path, tensors: Mapping[str, np.ndarray], *, protocol: int = 4, layout: str = "state_dict"
) -> Path:
    """A checkpoint in one of several layouts: "state_dict", "ordered", "tuples", "reduced" (tuples made by a call)."""
    names = {name: f"param_{i}" for i, name in enumerate(tensors)}
    content: dict[str, Any] = dict(tensors)
    if layout in ("state_dict", "ordered"):
        content[NAMES] = names
    if layout == "ordered":
        content = OrderedDict(content)
    if layout == "tuples":
        content = {name: (names[name], array) for name, array in tensors.items()}
    if layout == "reduced":
        content = {name: _Tensor(names[name], array) for name, array in tensors.items()}
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def paddle_zeros(shapes: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors with Paddle's names and layouts for a network of ours of the given shapes."""
    network = network_of(shapes)
    flat: dict[Any, Any] = traverse_util.flatten_dict(dict(shapes))
    return {
        prefix + name: np.zeros(_paddle_shape(path, tuple(leaf.shape)), np.float32)
        for path, leaf in flat.items()
        for name in paddle_names(path[1:], network)
    }


def _paddle_shape(path: tuple[str, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    if path[-2].startswith("lstm"):
        return shape[:0:-1]
    if path[-2] == "depthwise" and path[-1] == "kernel":
        return shape[2], 1, *shape[:2]
    if path[-2] in ("up1", "up2") and path[-1] == "kernel":
        return shape[0], shape[3], *shape[1:3]
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape
