"""A network with everything needed to run it: trained, as the exporters take it, or in training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppocr_jax import __version__
from ppocr_jax.charset import Charset
from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import Backend
from ppocr_jax.inference.jax_backend import PaddedNetwork
from ppocr_jax.inference.model_folder import SPECS, NetworkSpec
from ppocr_jax.models import Network, build_model, outputs_of
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.models.ops import Ops, native_ops
from ppocr_jax.training.pact import QuantizedNetwork, is_quantized

_ANY_SIDE = 64  # pixels, for networks that take any size


@dataclass(frozen=True)
class TrainedNetwork:
    """Weights with everything needed to use them.

    Attributes:
        spec: Builder and options, input size, normalization, thresholds.
        variables: "params" and "batch_stats" as NumPy arrays.
        charset: Characters of a recognizer.
        origin: Where the weights come from, for `model.json`.
    """

    spec: NetworkSpec
    variables: Mapping[str, Any]
    charset: Charset | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task: "det", "cls" or "rec"."""
        return self.spec.task

    def for_reading(self) -> TrainedNetwork:
        """Return the network without the head that guides a recognizer's training, which is many times larger."""
        if not self.spec.options.get("guided"):
            return self
        params = {name: tree for name, tree in self.variables["params"].items() if name != "guide"}
        options = {name: value for name, value in self.spec.options.items() if name not in ("guided", "guide_width")}
        spec = replace(self.spec, options=options)
        return replace(self, spec=spec, variables={**self.variables, "params": params})

    def save(self, path: str | Path) -> None:
        """Write the weights as a safetensors file that can be exported or trained further without its folder.

        The file's metadata: `task`; `spec`: builder, its options, input size, normalization and thresholds, as in
        `model.json`; `charset` of a recognizer; `ppocr_jax_version`.

        Raises:
            UserError: If the file cannot be written.
        """
        from safetensors import SafetensorError

        spec = {name: value for name, value in asdict(self.spec).items() if name not in ("onnx", "safetensors")}
        metadata = {
            "task": self.task,
            "spec": json.dumps(spec, ensure_ascii=False),
            "ppocr_jax_version": __version__,
        }
        if self.charset is not None:
            metadata["charset"] = json.dumps(list(self.charset.characters), ensure_ascii=False)
        try:
            save_safetensors(path, self.variables, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise UserError(f"cannot write {path}: {error}") from error

    def function(self, ops: Ops | None = None, *, cut: bool = False) -> Callable[[jax.Array], jax.Array]:
        """Return the function from images (B H W 3) to the output of an `inference.backends.Backend`.

        Args:
            ops: See `models.build_model`.
            cut: See `pact.QuantizedNetwork`; it has no effect on other networks.
        """
        apply = self._apply(ops, cut)
        return lambda images: apply(self.variables, images)

    def compiled(self, ops: Ops | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Return `function`, compiled quickly for a few runs; by default with the operations used in training."""
        # Weights are arguments, not constants, so the program is smaller and the same for all weights of a network.
        apply = jax.jit(self._apply(ops, cut=False), compiler_options=quick_compile())
        return lambda images: np.asarray(apply(self.variables, images))

    def _apply(self, ops: Ops | None, cut: bool) -> Callable[[Mapping[str, Any], jax.Array], jax.Array]:
        build = partial(build_model, self.spec.network, **self.spec.options)
        model = (partial(QuantizedNetwork, build, cut=cut) if is_quantized(self.variables) else build)(ops=ops)
        return lambda variables, images: outputs_of(model, variables, images)[self.spec.output]


class NetworkInTraining:
    """Inference with a network whose weights change; compiled once for all weights."""

    def __init__(self, model: Network, task: str) -> None:
        self._output = SPECS[task].output
        self._network = PaddedNetwork(model, task, [self._output])

    def with_variables(self, variables: Mapping[str, Any]) -> Backend:
        """Return a backend that runs the network with these weights."""
        return lambda images: self._network(variables, images)[self._output]


def input_size(spec: NetworkSpec) -> tuple[int | None, int | None]:
    """Return height and width of a network's input in pixels; None if they may vary."""
    return getattr(spec, "height", None), getattr(spec, "width", None)


def initialize(model: Network, spec: NetworkSpec, key: jax.Array) -> Any:
    """Return random variables of a network; they do not depend on the size of the image they are traced with."""
    height, width = (size or _ANY_SIDE for size in input_size(spec))
    return model.init(key, jnp.zeros((1, height, width, 3)), train=False)


def variable_shapes(spec: NetworkSpec) -> Any:
    """Return shapes and types of a network's variables, traced with `native_ops`: they are the same for all `ops`."""
    model = build_model(spec.network, ops=native_ops, **spec.options)
    return jax.eval_shape(lambda key: initialize(model, spec, key), jax.random.key(0))


def quick_compile() -> dict[str, Any]:
    """Return `compiler_options` of `jax.jit` for functions that run only a few times.

    On a CPU they compile in a third of the time.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
