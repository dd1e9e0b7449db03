"""Weights named and laid out as in PaddleOCR -> our variables.

For every array of our network the Paddle tensor's name follows from its path; arrays are then brought to the layouts
of `ppocr_jax.models` (convolutions OIHW -> HWIO, transposed convolutions IOHW -> IHWO, LSTM directions stacked).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ppocr_jax.models.io import WeightsError

Path = tuple[str, ...]

# MobileNetV3-large's units lie in four stages in Paddle; the last 1x1 convolution is stage 3's fourth member.
_STAGES = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), *((2, i) for i in range(6)), *((3, i) for i in range(3)))
_MOBILENET_PARTS = {"expand": "expand_conv", "depthwise": "bottleneck_conv", "project": "linear_conv", "se": "mid_se"}
_LCNET_PARTS = {"depthwise": "_depthwise_conv", "pointwise": "_pointwise_conv", "se": "_se"}
_BRANCHES = {"probability": "head.binarize", "threshold": "head.thresh"}
_BRANCH_PARTS = {"bn1": "conv_bn1", "up1": "conv2", "bn2": "conv_bn2", "up2": "conv3"}
_NORM_LEAVES = {"scale": "weight", "bias": "bias", "mean": "_mean", "var": "_variance"}
_LSTM_LEAVES = {
    "input_kernel": "weight_ih",
    "recurrent_kernel": "weight_hh",
    "input_bias": "bias_ih",
    "recurrent_bias": "bias_hh",
}


def variables_from_paddle(tensors: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> dict[str, Any]:
    """Variables of one of our networks from Paddle's tensors.

    Args:
        tensors: by the names of a PaddleOCR checkpoint ("backbone.conv.conv.weight", ...), without the prefix of a
            student or teacher.
        like: variables of the network, for names and shapes (from `model.init`, or `jax.eval_shape` of it).

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        WeightsError: a tensor is missing or has the wrong shape.
    """
    network = network_of(like)
    flat = {}
    for path, wanted in traverse_util.flatten_dict(dict(like)).items():
        names = paddle_names(path[1:], network)
        missing = [name for name in names if name not in tensors]
        if missing:
            raise WeightsError(f"the Paddle weights lack {missing[0]!r}, needed for {'/'.join(path)}")
        arrays = [_arrange(path, np.asarray(tensors[name], np.float32)) for name in names]
        value = np.stack(arrays) if len(arrays) > 1 else arrays[0]
        if value.shape != tuple(wanted.shape):
            raise WeightsError(f"{names[0]!r} has shape {value.shape} after transposition, not {tuple(wanted.shape)}")
        flat[path] = value
    return traverse_util.unflatten_dict(flat)


def paddle_names(path: Path, network: str) -> tuple[str, ...]:
    """Names of the Paddle tensors that make up the array at `path` (without its collection): one, or one a direction.

    Raises:
        ValueError: no network of ours has such a path.
    """
    head, *rest = path
    if head == "backbone":
        return (_backbone_name(rest, network),)
    if head == "neck":
        return (f"neck.{rest[0]}_conv.weight",)
    if head in _BRANCHES:
        part = "conv1.weight" if rest == ["kernel"] else f"{_BRANCH_PARTS[rest[0]]}.{_leaf(rest)}"
        return (f"{_BRANCHES[head]}.{part}",)
    if match := re.fullmatch(r"lstm_(\d)", head):
        stem = f"neck.encoder.lstm.{_LSTM_LEAVES[rest[0]]}_l{match[1]}"
        return stem, f"{stem}_reverse"
    if head == "head":
        return (f"head.{rest[0] if len(rest) > 1 else 'fc'}.{_leaf(rest)}",)
    raise ValueError(f"no Paddle name for {'/'.join(path)}")


def _backbone_name(rest: list[str], network: str) -> str:
    first, *inner = rest
    if network == "rec":
        if first == "conv1":
            return f"backbone.conv1.{_conv_or_norm(inner, '_conv', '_batch_norm')}"
        return f"backbone.block_list.{_number(first)}.{_part(inner, _LCNET_PARTS, '_conv', '_batch_norm')}"
    if first in ("conv", "conv1", "conv2"):
        return f"backbone.{first}.{_conv_or_norm(inner, 'conv', 'bn')}"
    if first == "last":
        return f"backbone.stage3.3.{_conv_or_norm(inner, 'conv', 'bn')}"
    number = _number(first)
    place = f"blocks.{number}" if network == "cls" else "stage{}.{}".format(*_STAGES[number])
    return f"backbone.{place}.{_part(inner, _MOBILENET_PARTS, 'conv', 'bn')}"


def _number(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


def network_of(like: Mapping[str, Any]) -> str:
    """Whether a network is "det", "rec" or "cls", told by the names at the top of its parameters."""
    top = like["params"].keys()
    return "det" if "neck" in top else "rec" if "lstm_0" in top else "cls"


def _part(inner: list[str], parts: Mapping[str, str], conv: str, norm: str) -> str:
    name, *leaf = inner
    if name == "se":
        return f"{parts[name]}.{leaf[0]}.{_leaf(leaf)}"
    return f"{parts[name]}.{_conv_or_norm(leaf, conv, norm)}"


def _conv_or_norm(leaf: list[str], conv: str, norm: str) -> str:
    return f"{conv}.weight" if leaf == ["kernel"] else f"{norm}.{_NORM_LEAVES[leaf[-1]]}"


def _leaf(rest: list[str]) -> str:
    if len(rest) > 1 and rest[-2].startswith("bn"):
        return _NORM_LEAVES[rest[-1]]
    return {"kernel": "weight"}.get(rest[-1], rest[-1])


def _arrange(path: Path, value: np.ndarray) -> np.ndarray:
    if path[-1] in _LSTM_LEAVES:
        return value.T
    if value.ndim != 4:
        return value
    if path[-2] in ("up1", "up2"):
        return value.transpose(0, 2, 3, 1)
    if path[-2] == "depthwise":
        return value[:, 0].transpose(1, 2, 0)
    return value.transpose(2, 3, 1, 0)
