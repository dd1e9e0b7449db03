"""A trained network as the exporters take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppocr_jax.charset import Charset
from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.models import build_model, outputs_of
from ppocr_jax.models.ops import Ops

_OUTPUT = {"det": "probability", "cls": "probabilities", "rec": "probabilities"}
_QUICK_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
_ANY_SIDE = 64  # pixels, where the network takes any


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights, and all that is needed to use them.

    Attributes:
        spec: builder and options, input size, normalization, thresholds.
        variables: "params" and "batch_stats" as NumPy arrays.
        charset: of a recognizer.
        origin: where the weights come from, for `model.json`.
    """

    spec: NetworkSpec
    variables: Mapping[str, Any]
    charset: Charset | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task: "det", "cls" or "rec"."""
        return self.spec.task

    def function(self, ops: Ops | None = None) -> Callable[[jax.Array], jax.Array]:
        """From images (B H W 3) to what `inference.backends.Backend` gives; `ops`: see `models.build_model`."""
        model = build_model(self.spec.network, ops=ops, **self.spec.options)

        return lambda images: outputs_of(model, self.variables, images)[_OUTPUT[self.task]]

    def compiled(self) -> Callable[[np.ndarray], np.ndarray]:
        """`function` in the form that the network is trained in, compiled in a hurry: for a few runs."""
        apply = jax.jit(self.function(), compiler_options=_QUICK_COMPILE)
        return lambda images: np.asarray(apply(images))


def input_size(spec: NetworkSpec) -> tuple[int | None, int | None]:
    """Height and width of a network's input in pixels; None where they may vary."""
    return getattr(spec, "height", None), getattr(spec, "width", None)


def variable_shapes(spec: NetworkSpec, ops: Ops | None = None) -> Any:
    """Shapes and types of a network's variables, the same for all `ops`: the native ones are the quickest to trace."""
    model = build_model(spec.network, ops=ops, **spec.options)
    height, width = (size or _ANY_SIDE for size in input_size(spec))
    return jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, height, width, 3)), train=False), jax.random.key(0))
