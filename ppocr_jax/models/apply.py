"""Running a network as it is used, not as it is trained."""

from __future__ import annotations

from typing import Any, cast

import jax
from flax import linen as nn


def outputs_of(model: nn.Module, variables: Any, images: Any) -> dict[str, jax.Array]:
    """A network's named outputs for images (N, H, W, 3), in evaluation mode: BatchNorm with its running statistics."""
    return cast("dict[str, jax.Array]", model.apply(variables, images, train=False))
