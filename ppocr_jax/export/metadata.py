"""What an exported file says of itself, so that it is usable without its model folder."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from ppocr_jax import __version__
from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.training.network import TrainedNetwork

_STORED_ELSEWHERE = {field.name for field in fields(NetworkSpec)} | {"normalization"}


def file_metadata(network: TrainedNetwork) -> dict[str, str]:
    """Key-value pairs for an ONNX file; values other than the task and the version are JSON.

    `task`; `normalization` (mean, std, channel order); `options`: resize rule or input size, and thresholds; `charset`
    of a recognizer: its characters in the order of classes 1, 2, ...; `ppocr_jax_version`.
    """
    values = asdict(network.spec)
    options = {name: value for name, value in values.items() if name not in _STORED_ELSEWHERE}
    metadata = {
        "task": network.task,
        "normalization": _json(values["normalization"]),
        "options": _json(options),
        "ppocr_jax_version": __version__,
    }
    if network.charset is not None:
        metadata["charset"] = _json(list(network.charset.characters))
    return metadata


def weights_metadata(network: TrainedNetwork) -> dict[str, str]:
    """Key-value pairs for a safetensors file: enough to export or train it further without its folder.

    `task`; `spec`: builder, its options, input size, normalization and thresholds, as `model.json` has them; `charset`
    of a recognizer; `ppocr_jax_version`.
    """
    spec = {name: value for name, value in asdict(network.spec).items() if name not in ("onnx", "safetensors")}
    metadata = {"task": network.task, "spec": _json(spec), "ppocr_jax_version": __version__}
    if network.charset is not None:
        metadata["charset"] = _json(list(network.charset.characters))
    return metadata


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
