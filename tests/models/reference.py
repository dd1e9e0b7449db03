"""The reference implementation's networks: their tensors' names and shapes, and which of ours they are."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ppocr_jax.models import build_model
from ppocr_jax.models.ops import Ops, native_ops

GOLDEN = Path(__file__).parent.parent / "golden"
# Name -> our network, its options, a small input size.
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[int, int]]] = {
    "det_student": ("db_mobilenet_v3", {}, (64, 64)),
    "det_teacher": ("db_resnet18", {}, (64, 64)),
    "rec_v2_c97": ("crnn_lcnet", {"num_classes": 97}, (32, 64)),
    "rec_v2": ("crnn_lcnet", {"num_classes": 6625}, (32, 64)),
    "rec_v1_mobile": ("crnn_mobilenet_v3", {"num_classes": 6625}, (32, 64)),
    "rec_server": ("crnn_resnet34", {"num_classes": 6625}, (32, 64)),
    "cls": ("direction_mobilenet_v3", {}, (48, 192)),
}


@cache
def description(name: str) -> dict[str, Any]:
    """A network's tag, gains, count of trainable parameters ("trainable") and tensors ("entries")."""
    complete = json.loads((GOLDEN / "nets.json").read_text())
    if name in complete:
        return complete[name]
    manifest = json.loads((GOLDEN / "nets_manifests.json").read_text())[name]
    entries = [dict(zip(("name", "shape", "kind", "fan"), entry, strict=False)) for entry in manifest["entries"]]
    return {**manifest, "tag": "golden", "entries": entries}


@cache
def model_and_shapes(name: str, ops: Ops = native_ops):
    """Our network, and its variables' shapes. The native operations are the quickest to trace."""
    network, options, size = NETWORKS[name]
    model = build_model(network, ops=ops, **options)
    return model, jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *size, 3)), train=False))
