"""Convert PaddleOCR's tensors to Flax variables.

The name of the Paddle tensor is derived from the path of each array in the network. The tensors are then converted to
the layouts of `ppocr_jax.models` (convolutions OIHW -> HWIO, transposed convolutions IOHW -> IHWO, LSTM directions
stacked).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

from ppocr_jax.models.io import WeightsError

Path = tuple[str, ...]

_LEARNER = re.compile(r"(?!backbone\.|neck\.|head\.)(\w+)\.((?:backbone|neck|head)\..+)")
# PaddleOCR's checkpoints contain the LSTM's tensors a second time, under the names of its cells.
_ALIAS = re.compile(r"neck\.encoder\.lstm\.\d\.cell_[fb]w\.")


class _Naming(NamedTuple):
    """Paddle's names for a backbone.

    Attributes:
        places: Name of a block here -> in Paddle; blocks that are not listed have the same name.
        parts: Name of a part of a block here -> in Paddle; parts that are not listed have the same name.
        conv: Name of the convolution in a convolution with BatchNorm.
        norm: Name of the BatchNorm in it.
    """

    places: Mapping[str, str]
    parts: Mapping[str, str]
    conv: str
    norm: str


# (stage, position) in Paddle of MobileNetV3-large's units; the last 1x1 convolution is the fourth member of stage 3.
_STAGES = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), *((2, i) for i in range(6)), *((3, i) for i in range(3)))
_MOBILENET_PARTS = {"expand": "expand_conv", "depthwise": "bottleneck_conv", "project": "linear_conv", "se": "mid_se"}
_LCNET_PARTS = {"depthwise": "_depthwise_conv", "pointwise": "_pointwise_conv", "se": "_se"}
_BACKBONES = {
    "mobilenet_v3_det": _Naming(
        {f"unit_{i}": f"stage{stage}.{place}" for i, (stage, place) in enumerate(_STAGES)} | {"last": "stage3.3"},
        _MOBILENET_PARTS,
        "conv",
        "bn",
    ),
    "mobilenet_v3_text": _Naming({f"unit_{i}": f"blocks.{i}" for i in range(11)}, _MOBILENET_PARTS, "conv", "bn"),
    "lcnet": _Naming({f"block_{i}": f"block_list.{i}" for i in range(13)}, _LCNET_PARTS, "_conv", "_batch_norm"),
    "resnet_vd": _Naming(
        {f"block_{stage}_{i}": f"bb_{stage}_{i}" for stage in range(4) for i in range(6)}, {}, "_conv", "_batch_norm"
    ),
}
# Block -> the only backbone that has it.
_KEY_BLOCKS = {
    "block_0_0": "resnet_vd",
    "block_0": "lcnet",
    "last": "mobilenet_v3_det",
    "conv2": "mobilenet_v3_text",
}
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
    """Return the variables of a network from Paddle's tensors.

    Args:
        tensors: Tensors with the names of a PaddleOCR checkpoint ("backbone.conv.conv.weight", ...), without the prefix
            of a student or teacher.
        like: Variables of the network, for names and shapes (from `model.init`, or `jax.eval_shape` of it).

    Returns:
        {"params": ..., "batch_stats": ...} of float32 NumPy arrays.

    Raises:
        WeightsError: A tensor is missing, has the wrong shape, or is not part of the network.
        ValueError: Paddle has no such network.
    """
    network = network_of(like)
    flat = {}
    left = {name for name in tensors if not _ALIAS.match(name)}
    wanted_arrays: dict[Any, Any] = traverse_util.flatten_dict(dict(like))
    for path, wanted in wanted_arrays.items():
        names = paddle_names(path[1:], network)
        missing = [name for name in names if name not in tensors]
        if missing:
            raise WeightsError(f"the Paddle weights lack {missing[0]!r}, needed for {'/'.join(path)}{_hint(tensors)}")
        arrays = [_arrange(path, np.asarray(tensors[name], np.float32)) for name in names]
        shape = tuple(wanted.shape)[1:] if len(arrays) > 1 else tuple(wanted.shape)
        for name, array in zip(names, arrays, strict=True):
            if array.shape != shape:
                raise WeightsError(f"{name!r} has shape {array.shape} after transposition, not {shape}")
        flat[path] = np.stack(arrays) if len(arrays) > 1 else arrays[0]
        left.difference_update(names)
    if left:
        raise WeightsError(f"the network has no place for {len(left)} Paddle tensors, such as {min(left)!r}")
    return traverse_util.unflatten_dict(flat)


def split_learners(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Return the networks of a checkpoint of PaddleOCR's distillation (DML, CML, U-DML).

    Args:
        tensors: Tensors with names such as "Student2.backbone.conv.conv.weight".

    Returns:
        Learner ("Teacher", "Student", "Student2") -> its tensors, with the names for `variables_from_paddle`.

    Raises:
        WeightsError: A tensor's name does not start with a learner, as in the checkpoint of a single network.
    """
    learners: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        match = _LEARNER.fullmatch(name)
        if match is None:
            raise WeightsError(f"not a checkpoint of several networks: {name!r} belongs to none")
        learners.setdefault(match[1], {})[match[2]] = tensor
    return learners


def learner_names(tensors: Mapping[str, np.ndarray]) -> list[str]:
    """Return the sorted names of the learners in a checkpoint; an empty list if it contains a single network."""
    return sorted({match[1] for match in map(_LEARNER.fullmatch, tensors) if match})


def differing_names(tensors: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the names of Paddle tensors that a network needs and that are missing, and those that it does not need.

    Args:
        tensors: See `variables_from_paddle`.
        like: Variables of the network; shapes are ignored.

    Raises:
        ValueError: Paddle has no such network.
    """
    network = network_of(like)
    paths = traverse_util.flatten_dict(dict(like))
    needed = {name for path in paths for name in paddle_names(path[1:], network)}
    return needed - tensors.keys(), {name for name in tensors if not _ALIAS.match(name)} - needed


def _hint(tensors: Mapping[str, np.ndarray]) -> str:
    learners = learner_names(tensors)
    return f"; they are of several networks: {', '.join(learners)}" if learners else ""


def paddle_names(path: Path, network: str) -> tuple[str, ...]:
    """Return the names of the Paddle tensors for an array: one, or one per direction of an LSTM.

    Args:
        path: Path of the array in the network, without the collection.
        network: The backbone, from `network_of`.

    Raises:
        ValueError: No network has such a path.
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


def network_of(like: Mapping[str, Any]) -> str:
    """Return the backbone of a network, identified by the names of its blocks, for `paddle_names`.

    Raises:
        ValueError: Paddle has no such backbone.
    """
    blocks = like["params"].get("backbone", {})
    for block, backbone in _KEY_BLOCKS.items():
        if block in blocks:
            return backbone
    raise ValueError(f"no Paddle names for a backbone of {', '.join(sorted(blocks)) or 'nothing'}")


def _backbone_name(rest: list[str], network: str) -> str:
    naming = _BACKBONES[network]
    block, *inner = rest
    place = f"backbone.{naming.places.get(block, block)}"
    if len(inner) == 1 or inner[0] == "bn":
        return f"{place}.{_conv_or_norm(inner, naming)}"
    part, *leaf = inner
    place = f"{place}.{naming.parts.get(part, part)}"
    return f"{place}.{leaf[0]}.{_leaf(leaf)}" if part == "se" else f"{place}.{_conv_or_norm(leaf, naming)}"


def _conv_or_norm(leaf: list[str], naming: _Naming) -> str:
    return f"{naming.conv}.weight" if leaf == ["kernel"] else f"{naming.norm}.{_NORM_LEAVES[leaf[-1]]}"


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
    if path[-2] == "depthwise" and value.shape[1] == 1:
        return value[:, 0].transpose(1, 2, 0)
    return value.transpose(2, 3, 1, 0)
