"""Networks run by JAX, from the weights that training writes. Needs the [train] extra; reading text does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ppocr_jax.inference.model_folder import SPECS, ModelError

# XLA compiles once per input shape, so sizes are rounded up to multiples of these (height, width). The recognizer was
# trained on lines padded with zeros on the right; the detector sees the mean color beyond the picture's border.
_BUCKETS = {"det": (128, 128), "cls": (1, 1), "rec": (1, 64)}


class JaxBackend:
    """A Flax network with its weights, compiled per size bucket. See `backends.Backend`.

    Batches are padded to the next power of two and sizes to a bucket; results are cut back. A recognizer's time axis
    is not cut: the padding decodes to blanks.
    """

    def __init__(
        self,
        task: str,
        weights: str | Path,
        *,
        network: str,
        options: Mapping[str, Any] | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        """
        Args:
            task: "det", "cls" or "rec".
            weights: a .safetensors file of `ppocr_jax.models.io`.
            network: name for `ppocr_jax.models.build_model`; options: its keyword arguments.
            classes: of a recognizer, those that its head is cut to; None: all.

        Raises:
            ValueError: another task.
            ModelError: JAX is not installed.
        """
        if task not in SPECS:
            raise ValueError(f"task must be one of {', '.join(SPECS)}, not {task!r}")
        _require_jax()
        self.task = task
        self.weights = Path(weights)
        self.network = network
        self.options = dict(options or {})
        self.classes = classes
        self._lock = threading.Lock()
        self._predict: Callable[[np.ndarray], Any] | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `backends.Backend`."""
        count, height, width, _ = images.shape
        probabilities = np.asarray(self._predictor()(pad_to_bucket(images, self.task)))[:count]
        return probabilities[:, :height, :width] if self.task == "det" else probabilities

    def _predictor(self) -> Callable[[np.ndarray], Any]:
        with self._lock:
            if self._predict is None:
                self._predict = self._build()
            return self._predict

    def _build(self) -> Callable[[np.ndarray], Any]:
        import jax

        from ppocr_jax.models import build_model, outputs_of
        from ppocr_jax.models.io import load_safetensors

        options, variables = self.options, load_safetensors(self.weights)
        if self.classes is not None:
            options, variables = _cut_classes(options, variables, np.array(self.classes))
        model = build_model(self.network, **options)
        variables = jax.device_put(variables)
        output = SPECS[self.task].output
        return partial(jax.jit(lambda variables, images: outputs_of(model, variables, images)[output]), variables)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("task", "weights", "network", "options", "classes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)


def _cut_classes(
    options: Mapping[str, Any], variables: Mapping[str, Any], classes: np.ndarray
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return options and variables of a recognizer whose head has some of the classes; see `onnx_graph.head`."""
    params, count = dict(variables["params"]), options["num_classes"]
    params["head"] = {
        layer: {n: a[..., classes] if a.shape[-1] == count else a for n, a in arrays.items()}
        for layer, arrays in params["head"].items()
    }
    return {**options, "num_classes": len(classes)}, {**variables, "params": params}


def _require_jax() -> None:
    missing = [name for name in ("jax", "flax", "safetensors") if find_spec(name) is None]
    if missing:
        raise ModelError(f"the JAX backend needs {', '.join(missing)}: pip install 'ppocr-jax[train]'")


def pad_to_bucket(images: np.ndarray, task: str) -> np.ndarray:
    """Pad a batch (N, H, W, 3) with zeros, after the last picture, row and column, to a shape that many others share.

    N becomes a power of two, H and W multiples that depend on the task ("det", "cls" or "rec").
    """
    count, height, width, _ = images.shape
    rows, columns = _BUCKETS[task]
    more = 2 ** (count - 1).bit_length() - count
    return np.pad(images, ((0, more), (0, -height % rows), (0, -width % columns), (0, 0)))
