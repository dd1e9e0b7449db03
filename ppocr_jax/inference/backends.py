"""Backends that run a network, from NHWC float32 to probabilities: ONNX Runtime here, JAX in `jax_backend`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ppocr_jax.errors import check_number
from ppocr_jax.inference.jax_backend import JaxBackend
from ppocr_jax.inference.many import in_background
from ppocr_jax.inference.model_folder import ModelError, ModelFolder, RecognizerSpec
from ppocr_jax.inference.onnx_session import make_session, providers_of
from ppocr_jax.onnx_graph.messages import Header, OnnxFileError, Shape, read_header
from ppocr_jax.onnx_graph.simplify import prepare

if TYPE_CHECKING:
    import onnxruntime

BACKENDS = ("onnx", "openvino", "jax")
DEVICES = ("auto", "cpu", "cuda")
PROBE_WIDTH = 320
"""Width in pixels of a blank line for a trial run of a recognizer whose file does not fix the width."""
_SLACK = 0.05  # tolerance for a sum of probabilities: networks in half precision or int8 have rounding errors


class Backend(Protocol):
    """Network that is ready to run. Calls from several threads at the same time must be safe.

    Images are normalized (N, H, W, 3) float32. Outputs are float32: a probability map (N, H, W) of a detector, and
    probabilities that sum to 1, (N, T, K) of a recognizer and (N, 2) of a classifier. A backend that compiles for each
    shape may have a method `padded_width`, which returns the width in pixels that it prefers for a batch of lines, and
    an attribute `batch_size`, the batch size that it prefers.
    """

    def __call__(self, images: np.ndarray) -> np.ndarray: ...


class OnnxBackend:
    """Network in an ONNX file (one input N 3 H W, one output), run by ONNX Runtime.

    The session is created at first use, and again in every process that unpickles the backend.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int | None = None,
        device: str = "auto",
        as_is: bool = False,
        classes: Sequence[int] | None = None,
    ) -> None:
        """Describe the network. Its file is loaded at the first call.

        Args:
            path: ONNX file.
            threads: Number of threads inside one operation. None: one per physical core.
            device: "cpu", "cuda", or "auto": CUDA if ONNX Runtime supports it.
            as_is: Run the graph unchanged, neither repaired nor simplified for a CPU (`onnx_graph.simplify`).
            classes: Classes to which a recognizer's head is cut (`onnx_session.cut_classes`). None: all.

        Raises:
            ValueError: If the device is unknown, or there is less than one thread.
        """
        if device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
        if threads is not None:
            check_number("threads", threads, least=1, whole=True)
        self.path = Path(path).absolute()  # the session is created later, perhaps in another working folder
        self.threads = threads
        self.device = device
        self.as_is = as_is
        self.classes = classes
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`.

        Raises:
            ModelError: If the file is not an ONNX model, or the device is not available.
        """
        session = self.session
        entry = session.get_inputs()[0]
        kind = np.float16 if entry.type == "tensor(float16)" else np.float32
        nchw = np.ascontiguousarray(images.transpose(0, 3, 1, 2), kind)
        fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
        parts = [nchw] if fixed in (None, len(nchw)) else _batches_of(nchw, fixed)
        outputs = [np.asarray(session.run(None, {entry.name: part})[0]) for part in parts]
        output = (outputs[0] if len(outputs) == 1 else np.concatenate(outputs))[: len(nchw)].astype(
            np.float32, copy=False
        )
        return output[:, 0] if output.ndim == 4 else output  # output of PP-OCR's detectors: N 1 H W

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The ONNX Runtime session.

        Raises:
            ModelError: If the file is not an ONNX model, or the device is not available.
        """
        with self._lock:
            if self._session is None:
                self._session = make_session(self.path, **self._options())
            return self._session

    def load(self) -> None:
        """Create the session now.

        Raises:
            ModelError: See `session`.
        """
        _ = self.session

    @property
    def loaded(self) -> bool:
        """Whether the session exists."""
        return self._session is not None

    @cached_property
    def header(self) -> Header:
        """Header of the file. It needs no session.

        Raises:
            ModelError: If the file does not exist or is not an ONNX model.
        """
        try:
            return read_header(self.path)
        except OnnxFileError as error:
            raise ModelError(str(error)) from error

    @property
    def repairs(self) -> tuple[str, ...]:
        """Faults of the file that are repaired on loading, one line each.

        Raises:
            ModelError: If the file does not exist.
        """
        try:
            return () if self.as_is else prepare(self.path.read_bytes(), faster=False).repairs
        except OSError as error:
            raise ModelError(f"cannot load {self.path}: {error.strerror}") from error

    @property
    def output_shape(self) -> Shape:
        """Shape of the first output, with a number for every axis that the network fixes."""
        shape = self.header.outputs[0].shape
        return tuple(self.session.get_outputs()[0].shape) if shape is None else shape

    @property
    def num_classes(self) -> int | None:
        """Size of the output's last axis, or None if the network does not fix it."""
        size = self.output_shape[-1] if self.classes is None else len(self.classes)
        return size if isinstance(size, int) else None

    def with_threads(self, threads: int) -> OnnxBackend:
        """Return the network with this number of threads, in another session unless the number is the same."""
        if threads == self.threads:
            return self
        return type(self)(self.path, **{**self._options(), "threads": threads})

    def _options(self) -> dict[str, Any]:
        return {"threads": self.threads, "device": self.device, "as_is": self.as_is, "classes": self.classes}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, **self._options()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __repr__(self) -> str:
        return f"OnnxBackend({str(self.path)!r}, threads={self.threads}, device={self.device!r})"


def _batches_of(images: np.ndarray, size: int) -> list[np.ndarray]:
    """Return images in batches of the fixed size that a network requires, filled up with copies of the last image."""
    padded = images[np.minimum(np.arange(-(-len(images) // size) * size), len(images) - 1)]
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def as_probabilities(output: np.ndarray) -> np.ndarray:
    """Return a network's output as probabilities on the last axis. Apply softmax if it contains logits."""
    if output.size == 0:
        return output
    first = output.reshape(-1, output.shape[-1])[0]  # one row is enough; checking all would take time
    if first.min() >= -_SLACK and abs(first.sum() - 1) < _SLACK:
        return output
    exponents = np.exp(output - output.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def load_ahead(backend: Backend, workers: int) -> None:
    """Start to load a network in the background, unless it is loaded or there is only one worker."""
    if workers > 1 and isinstance(backend, OnnxBackend) and not backend.loaded:
        in_background(backend.load)


def line_height(backend: Backend, spec: RecognizerSpec) -> int:
    """Return the height of lines, in pixels, that a recognizer was trained with.

    If the file does not contain the height, it is one of `RecognizerSpec.heights`. PP-OCR's recognizers of v1 and v2
    also run with 48 pixels, but recognize garbage. The number of output steps determines the height: a quarter of the
    width for lines 32 pixels high, an eighth for 48 pixels (v3 and later).

    Raises:
        ModelError: If it runs with none of the heights, or has another number of steps.
    """
    if not spec.heights:
        return spec.height
    width = spec.width or PROBE_WIDTH
    for height in spec.heights:
        try:
            steps = backend(np.zeros((1, height, width, 3), np.float32)).shape[1]
        except RuntimeError:  # ONNX Runtime's error for a shape that does not fit
            continue
        trained = {4: 32, 8: 48}.get(round(width / max(steps, 1)))
        if trained is not None:
            return trained
        raise ModelError(
            f"{backend} has {steps} steps for {width} pixels, unlike any PP-OCR recognizer: pass --rec-height"
        )
    raise ModelError(
        f"{backend} reads lines neither {' nor '.join(map(str, spec.heights))} pixels high: pass --rec-height"
    )


def make_backend(
    model: ModelFolder,
    task: str,
    kind: str = "onnx",
    *,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    cache_dir: str | Path | None = None,
    classes: Sequence[int] | None = None,
) -> Backend:
    """Return the backend that runs one network of a model folder. An ONNX file is checked against `model.json`.

    Args:
        model: The model.
        task: "det", "cls" or "rec".
        kind: "onnx", "openvino" or "jax".
        device, threads, classes: See `OnnxBackend`.
        precision, cache_dir: See `OpenVinoBackend`. The other backends compute in float32 and have no cache.

    Raises:
        ModelError: If the network or its file is missing, the file does not match the model, or the device is not
            available.
        ValueError: If the kind is unknown or does not support an option.
    """
    if kind not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {kind!r}")
    if precision not in ("auto", "float32"):
        raise ValueError(f"precision must be auto or float32, not {precision!r}")
    if cache_dir is not None and kind != "openvino":
        raise ValueError(f"cache_dir requires the backend openvino, not {kind}")
    if device == "cuda" and kind == "openvino":
        raise ValueError("the backend openvino runs on the CPU, not on the device cuda")
    if kind == "jax":
        spec = model.spec(task)
        weights = model.file(task, "safetensors")
        return JaxBackend(task, weights, network=spec.network, options=spec.options, classes=classes)
    backend = OnnxBackend(model.file(task, "onnx"), threads=threads, device=device)
    providers_of(device)  # report a missing device now and not at the first image
    model.check_embedded(task, backend.header.metadata)
    if task == "rec" and backend.num_classes not in (None, model.charset.num_classes):
        raise ModelError(
            f"{backend.path} has {backend.num_classes} classes, the charset of {model.path} "
            f"{model.charset.num_classes} (characters and the blank)"
        )
    if kind == "openvino":
        from ppocr_jax.inference.openvino_backend import OpenVinoBackend

        return OpenVinoBackend(
            backend.path, task, threads=threads, precision=precision, cache_dir=cache_dir, classes=classes
        )
    return backend if classes is None else OnnxBackend(backend.path, threads=threads, device=device, classes=classes)
