"""What several test modules share."""

from __future__ import annotations

import fcntl
import io
import os
import pickle
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from PIL import Image

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


def once_a_session(tmp_path_factory: Any, name: str, make: Callable[[Path], Any]) -> Any:
    """Return what `make` returned in whichever process of this test session came first; the others wait for it.

    Args:
        tmp_path_factory: pytest's.
        name: of the result, and of the folder that `make` is given to write into.
        make: from the folder's path, which does not exist yet, to what pickle can store.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the session's folder, in which each process has one of its own
    result = base / f"{name}.pickle"
    with open(base / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            made = make(base / name)
            result.write_bytes(pickle.dumps(made))
        return pickle.loads(result.read_bytes())


def iou(first: Any, second: Any) -> float:
    """Intersection over union of two quads."""
    a, b = shapely.Polygon(first), shapely.Polygon(second)
    return a.intersection(b).area / a.union(b).area


def damaged_tiff(data: bytes, index: int) -> bytes:
    """Return a TIFF whose page `index`, from 0, alone cannot be read: its compressed pixels are overwritten."""
    with Image.open(io.BytesIO(data)) as image:
        image.seek(index)
        start, size = image.tag_v2[273][0], image.tag_v2[279][0]  # where its first strip is, and how long
    return data[:start] + bytes(size) + data[start + size :]
