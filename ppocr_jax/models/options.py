"""From a configuration to a network's builder options: what training builds and what a model folder records."""

from __future__ import annotations

from typing import Any

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, DetConfig, RecConfig


def builder_options(config: DetConfig | RecConfig | ClsConfig, charset: Charset | None = None) -> dict[str, Any]:
    """Keyword arguments of `build_model` for the network that `config` describes.

    Args:
        config: of any task.
        charset: of a recogniser, and of a classifier with an auxiliary loss.
    """
    if isinstance(config, DetConfig):
        return {"scale": config.model.scale, "channels": config.model.neck_channels}
    if isinstance(config, ClsConfig):
        options: dict[str, Any] = {"scale": config.model.scale}
        return options | {"frame_classes": 2 * charset.num_classes - 1} if config.loss.frame_weight > 0 else options
    assert charset is not None, "a recogniser needs its charset"
    return {"num_classes": charset.num_classes, "scale": config.model.scale, "hidden": config.model.hidden}
