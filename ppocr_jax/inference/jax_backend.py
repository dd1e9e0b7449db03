"""Networks run by JAX, from the weights that training writes. Needs the [train] extra; reading text does not."""

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

# XLA compiles once per input shape, which takes seconds, so sizes are rounded up to these or, beyond the last, to its
# multiples: few shapes, and on average a fifth more to compute. Steps of a half of an octave and, for pages, a little
# finer, as their two sides add up; 960 is the longest side of most.
_WIDTHS = (160, 320, 480, 640, 960, 1280, 1920, 2560)
_SIDES = (320, 480, 640, 736, 960, 1280, 1600, 1920)
_CACHE = "ppocr_jax"
_logger = logging.getLogger("ppocr_jax")


class JaxBackend:
    """A Flax network with its weights (see `backends.Backend`). What is compiled is kept on disk (`keep_compiled`)."""

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
    """A Flax network compiled for a few sizes, to which batches are padded.

    That changes no result beyond rounding: the network does not see the padding (`models.padding`), and results are
    cut back. (A network of one's own sees it where it computes otherwise than by its `ops`.)
    """

    def __init__(self, model: Network, task: str, outputs: Sequence[str]) -> None:
        """
        Args:
            model: the network.
            task: "det", "cls" or "rec".
            outputs: names of those that are wanted: of a detector maps, of a recognizer values of its frames.
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
    """Return options and variables of a recognizer whose head has some of the classes; see `onnx_session`."""
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
    """Have JAX keep what it compiles in the user's cache folder, unless the process or its environment says where.

    JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 keeps nothing.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _CACHE / "compiled"
        if not folder.exists():
            _logger.info("JAX compiles for each image size, which takes a while the first time; cached in %s", folder)
        jax.config.update("jax_compilation_cache_dir", str(folder))


def pad_to_bucket(images: np.ndarray, task: str) -> np.ndarray:
    """Pad a batch (N, H, W, 3) with zeros, after the last image, row and column, to a shape that many others share.

    N becomes a power of two; a detector's H and W and a recognizer's W become one of a few sizes.
    """
    count, height, width, _ = images.shape
    rows = _rounded_up(height, _SIDES) - height if task == "det" else 0
    columns = _rounded_up(width, {"det": _SIDES, "rec": _WIDTHS}.get(task, (width,))) - width
    more = 2 ** (count - 1).bit_length() - count
    return np.pad(images, ((0, more), (0, rows), (0, columns), (0, 0)))


def _rounded_up(length: int, sizes: Sequence[int]) -> int:
    return next((size for size in sizes if size >= length), -(-length // sizes[-1]) * sizes[-1])
