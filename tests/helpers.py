"""What several test modules share."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

# For functions that run once or twice: compiling them well takes far longer than running them badly.
QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


def golden_tensor(tag: str, entry: Mapping[str, Any], gain: Mapping[str, float]) -> np.ndarray:
    """Values of one tensor by the deterministic rule that the golden outputs were made with."""
    generator = np.random.default_rng(zlib.crc32(f"{tag}:{entry['name']}".encode()))
    kind, shape = entry["kind"], tuple(entry["shape"])
    if kind == "bn_var":
        return (0.75 + 0.5 * generator.random(shape)).astype(np.float32)
    z = generator.standard_normal(shape)
    if kind in ("bn_mean", "bias"):
        z = 0.1 * z
    elif kind == "norm_scale":
        z = 1 + 0.1 * z
    else:
        z = gain[kind] * z / np.sqrt(entry["fan"])
    return z.astype(np.float32)


def golden_tensors(description: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All tensors of a network, by their Paddle names."""
    return {e["name"]: golden_tensor(description["tag"], e, description["gain"]) for e in description["entries"]}


def iou(first: Any, second: Any) -> float:
    """Intersection over union of two quads."""
    a, b = shapely.Polygon(first), shapely.Polygon(second)
    return a.intersection(b).area / a.union(b).area
