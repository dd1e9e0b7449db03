"""JAX backend for networks with the weights that training writes. Needs the [train] extra, unlike the rest."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppocr_jax.inference.model_folder import SPECS, ModelError

if TYPE_CHECKING:
    import jax

    from ppocr_jax.models import Network

# XLA compiles once per input shape, which takes seconds. Therefore sizes are rounded up to these values or, beyond the
# last one, to its multiples: few shapes, and on average a fifth more computation. The steps are half an octave, and
# slightly finer for pages, whose two sides add up; 960 is the longer side of most pages.
_WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560)
_SIDES = (320, 480, 640, 736, 960, 1280, 1600, 1920)
_CACHE = "ppocr_jax"
_logger = logging.getLogger("ppocr_jax")


class JaxBackend:
    """Flax network with its weights (see `backends.Backend`). Compiled code is cached on disk (`keep_compiled`)."""

    def __init__(
        self,
        task: str,
        weights: str | Path,
        *,
        network: str,
        options: Mapping[str, Any] | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        """Describe the network. Its weights are loaded at the first call.

        Args:
            task: "det", "cls" or "rec".
            weights: A .safetensors file of `ppocr_jax.models.io`.
            network: Name for `ppocr_jax.models.build_model`.
            options: Keyword arguments of the network.
            classes: Classes to which a recognizer's head is cut. None: all.

        Raises:
            ValueError: If the task is unknown.
            ModelError: If JAX is not installed.
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
        self._run: Callable[[np.ndarray], np.ndarray] | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `backends.Backend`."""
        with self._lock:
            if self._run is None:
                self._run = self._build()
        return self._run(images)

    def _build(self) -> Callable[[np.ndarray], np.ndarray]:
        import jax

        from ppocr_jax.models import build_model
        from ppocr_jax.models.io import load_safetensors

        keep_compiled()
        options, variables = self.options, load_safetensors(self.weights)
        if self.classes is not None:
            options, variables = _cut_classes(options, variables, np.array(self.classes))
        output = SPECS[self.task].output
        network = PaddedNetwork(build_model(self.network, **options), self.task, [output])
        variables = jax.device_put(variables)
        return lambda images: network(variables, images)[output]

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("task", "weights", "network", "options", "classes")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)


class PaddedNetwork:
    """Flax network compiled for a few sizes, to which batches are padded.

    Padding changes results only by rounding errors: the network masks it (`models.padding`), and results are cropped.
    (A custom network that does not compute by its `ops` is affected by the padding.)
    """

    def __init__(self, model: Network, task: str, outputs: Sequence[str]) -> None:
        """Wrap a network, which is compiled at the first call with each size.

        Args:
            model: The network.
            task: "det", "cls" or "rec".
            outputs: Names of the outputs to return: maps of a detector, values per frame of a recognizer.
        """
        import jax

        from ppocr_jax.models import outputs_of
        from ppocr_jax.models.padding import Extent, with_ops

        def predict(variables: Any, images: jax.Array, size: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
            true = {"det": {"height": size[0], "width": size[1]}, "rec": {"width": size[1]}}.get(task, {})
            extent = Extent((images.shape[1], images.shape[2]), **true)
            every = outputs_of(with_ops(model, extent.ops), variables, images)
            wanted = {name: every[name] for name in outputs}
            return wanted, extent.columns(wanted[outputs[0]].shape[1])

        self._task, self._predict = task, jax.jit(predict)

    def __call__(self, variables: Any, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of a batch (N, H, W, 3), each (N, ...)."""
        count, height, width, _ = images.shape
        size = np.array([height, width], np.int32)
        outputs, frames = self._predict(variables, pad_to_bucket(images, self._task), size)
        cuts = {"det": np.s_[:count, :height, :width], "rec": np.s_[:count, : int(frames)]}
        return {name: np.asarray(output)[cuts.get(self._task, np.s_[:count])] for name, output in outputs.items()}


def _cut_classes(
    options: Mapping[str, Any], variables: Mapping[str, Any], classes: np.ndarray
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return options and variables of a recognizer with its head cut to some classes; see `onnx_session`."""
    params, count = dict(variables["params"]), options["num_classes"]
    params["head"] = {
        layer: {n: a[..., classes] if a.shape[-1] == count else a for n, a in arrays.items()}
        for layer, arrays in params["head"].items()
    }
    return {**options, "num_classes": len(classes)}, {**variables, "params": params}


def _require_jax() -> None:
    missing = [name for name in ("jax", "flax", "safetensors") if find_spec(name) is None]
    if missing:
        raise ModelError(f'the JAX backend needs {", ".join(missing)}: pip install "ppocr-jax[train]"')


def keep_compiled() -> None:
    """Enable JAX's compilation cache in the user's cache folder, unless the process or its environment configures it.

    JAX_COMPILATION_CACHE_DIR sets another folder. JAX_ENABLE_COMPILATION_CACHE=0 disables the cache.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE / "compiled"
        if not folder.exists():
            _logger.info("JAX compiles for each image size, which takes a while the first time; cached in %s", folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))


def pad_to_bucket(images: np.ndarray, task: str) -> np.ndarray:
    """Pad a batch (N, H, W, 3) with zeros after the last image, row and column, to one of a few shapes.

    N is rounded up to a power of two, a detector's H and W and a recognizer's W to one of a few sizes.
    """
    count, height, width, _ = images.shape
    rows = _rounded_up(height, _SIDES) - height if task == "det" else 0
    columns = _rounded_up(width, {"det": _SIDES, "rec": _WIDTHS}.get(task, (width,))) - width
    more = 2 ** (count - 1).bit_length() - count
    return np.pad(images, ((0, more), (0, rows), (0, columns), (0, 0)))


def _rounded_up(length: int, sizes: Sequence[int]) -> int:
    return next((size for size in sizes if size >= length), -(-length // sizes[-1]) * sizes[-1])
