"""From a configuration to a network's builder options: what training builds and what a model folder records."""

from __future__ import annotations

from typing import Any

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, DetConfig, DetModelConfig, RecConfig


def builder_options(config: DetConfig | RecConfig | ClsConfig, charset: Charset | None = None) -> dict[str, Any]:
    """Keyword arguments of `build_model` for the network that `config` describes.

    Args:
        config: of any task.
        charset: of a recognizer, and of a classifier with an auxiliary loss.
    """
    model = config.model
    if isinstance(config, DetConfig):
        return _given(scale=model.scale, channels=config.model.neck_channels, widths=_widths(config.model))
    if isinstance(config, ClsConfig):
        frame_classes = 2 * charset.num_classes - 1 if charset and config.loss.frame_weight > 0 else None
        return _given(scale=model.scale, frame_classes=frame_classes)
    assert charset is not None, "a recognizer needs its charset"
    return _given(num_classes=charset.num_classes, scale=model.scale, hidden=config.model.hidden)


def _widths(model: DetModelConfig) -> dict[str, Any] | None:
    if not model.expansions:
        return None
    return {"expansions": list(model.expansions), "features": list(model.features), "last": model.last}


def _given(**options: Any) -> dict[str, Any]:
    """Options that are not left to the network's builder."""
    return {name: value for name, value in options.items() if value is not None}
