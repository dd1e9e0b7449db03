"""Which channels of the detector belong together: several layers make, pass on and take them, and all are pruned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ppocr_jax.models.mobilenet_v3 import LARGE, large_stages

PRUNABLE = "db_mobilenet_v3"
_BACKBONE = "backbone"


@dataclass
class ChannelGroup:
    """Channels that are pruned together.

    Attributes:
        name: "expansions/3", "features/1" or "last": their place among `BackboneWidths`.
        made: blocks (convolution and batch norm) whose filters they are; more than one where shortcuts join them.
        followed: depthwise blocks that work on each of them alone.
        taken: blocks that take them as input.
    """

    name: str
    made: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


def detector_groups(options: Mapping[str, Any]) -> list[ChannelGroup]:
    """Groups of the backbone of `db_mobilenet_v3`; neck and head, which share their widths, stay as they are.

    Args:
        options: of its builder.
    """
    stages = large_stages(options.get("scale", 0.5))
    features = {stage: ChannelGroup(f"features/{stage}") for stage in stages}
    features[0].made.append(f"{_BACKBONE}/conv")
    inner = []
    before = features[0]
    for i, stage in enumerate(stages):
        unit = f"{_BACKBONE}/unit_{i}"
        before.taken.append(f"{unit}/expand")
        inner.append(ChannelGroup(f"expansions/{i}", [f"{unit}/expand"], [f"{unit}/depthwise"], [f"{unit}/project"]))
        before = features[stage]
        before.made.append(f"{unit}/project")
    for level, stage in enumerate(_lateral_stages(stages), start=2):
        features[stage].taken.append(f"neck/in{level}")
    before.taken.append(f"{_BACKBONE}/last")
    return [*inner, *features.values(), ChannelGroup("last", [f"{_BACKBONE}/last"], [], ["neck/in5"])]


def _lateral_stages(stages: Sequence[int]) -> list[int]:
    """Stages whose maps the neck takes: those before a reduction, but for the step to stride 4."""
    return [stages[i - 1] for i, unit in enumerate(LARGE) if unit.strides == (2, 2) and i > 1]
