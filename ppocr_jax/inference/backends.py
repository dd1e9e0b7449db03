"""What runs a network: NHWC float32 in, probabilities out. ONNX Runtime here; JAX in `jax_backend`."""

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
from ppocr_jax.inference.model_folder import ModelError, ModelFolder
from ppocr_jax.inference.onnx_session import make_session, providers_of
from ppocr_jax.onnx_graph.messages import Header, OnnxFileError, Shape, read_header
from ppocr_jax.onnx_graph.simplify import prepare

if TYPE_CHECKING:
    import onnxruntime

BACKENDS = ("onnx", "openvino", "jax")
DEVICES = ("auto", "cpu", "cuda")
_PROBE_WIDTH = 320
_SLACK = 0.05  # of a sum of probabilities: networks in half precision or int8 round


class Backend(Protocol):
    """A network ready to run. Calls from several threads at a time must be safe.

    Images are (N, H, W, 3) float32, normalized. Gives, by the network's task, float32: detector (N, H, W) probability
    map; recognizer (N, T, K) and classifier (N, 2) probabilities that sum to 1. One that compiles for each shape may
    have a method `padded_width` that says how wide it wants a batch of lines, pixels, and a `batch_size` that it likes.
    """

    def __call__(self, images: np.ndarray) -> np.ndarray: ...


class OnnxBackend:
    """A network in an ONNX file (one input N 3 H W, one output), run by ONNX Runtime.

    The session is made on first use, and anew in every process that unpickles the backend.
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
        """
        Args:
            path: the file.
            threads: threads inside one operation; None: one per physical core.
            device: "cpu", "cuda", or "auto": CUDA where ONNX Runtime has it.
            as_is: run the graph in the file and not, on a CPU, what `onnx_graph.simplify` makes of it.
            classes: of a recognizer, those that its head is cut to (`onnx_session.cut_classes`); None: all.

        Raises:
            ValueError: another device, or fewer than one thread.
        """
        if device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}, not {device!r}")
        if threads is not None:
            check_number("threads", threads, least=1, whole=True)
        self.path = Path(path).absolute()  # the session is made later, perhaps in another working folder
        self.threads = threads
        self.device = device
        self.as_is = as_is
        self.classes = classes
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`.

        Raises:
            ModelError: the file is not an ONNX model, or the device is not there.
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
        return output[:, 0] if output.ndim == 4 else output  # PP-OCR's detectors give N 1 H W

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The ONNX Runtime session.

        Raises:
            ModelError: the file is not an ONNX model, or the device is not there.
        """
        with self._lock:
            if self._session is None:
                self._session = make_session(self.path, **self._options())
            return self._session

    def load(self) -> None:
        """Make the session now.

        Raises:
            ModelError: see `session`.
        """
        _ = self.session

    @property
    def loaded(self) -> bool:
        """Whether the session has been made."""
        return self._session is not None

    @cached_property
    def header(self) -> Header:
        """What the file says of the network; needs no session.

        Raises:
            ModelError: there is no such file, or it is no ONNX model.
        """
        try:
            return read_header(self.path)
        except OnnxFileError as error:
            raise ModelError(str(error)) from error

    @property
    def repairs(self) -> tuple[str, ...]:
        """Faults of the file that are mended when it is opened, a line each.

        Raises:
            ModelError: there is no such file.
        """
        try:
            return () if self.as_is else prepare(self.path.read_bytes(), faster=False).repairs
        except OSError as error:
            raise ModelError(f"cannot load {self.path}: {error.strerror}") from error

    @property
    def output_shape(self) -> Shape:
        """Of the first output, a number on every axis that the network fixes."""
        shape = self.header.outputs[0].shape
        return tuple(self.session.get_outputs()[0].shape) if shape is None else shape

    @property
    def num_classes(self) -> int | None:
        """Size of the output's last axis, where the network fixes it."""
        size = self.output_shape[-1] if self.classes is None else len(self.classes)
        return size if isinstance(size, int) else None

    def with_threads(self, threads: int) -> OnnxBackend:
        """Return the same network with so many threads, in another session unless it has them already."""
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
    """Return images in batches of just `size`, which a network needs; the last image is repeated to fill up."""
    padded = images[np.minimum(np.arange(-(-len(images) // size) * size), len(images) - 1)]
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def as_probabilities(output: np.ndarray) -> np.ndarray:
    """Return a network's output with probabilities on its last axis: of logits, as some converters leave, softmax."""
    if output.size == 0:
        return output
    first = output.reshape(-1, output.shape[-1])[0]  # one row tells, and looking at all costs time
    if first.min() >= -_SLACK and abs(first.sum() - 1) < _SLACK:
        return output
    exponents = np.exp(output - output.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def load_ahead(backend: Backend, workers: int) -> None:
    """Begin to load a network, if that is to be done and there are cores to do it beside other work."""
    if workers > 1 and isinstance(backend, OnnxBackend) and not backend.loaded:
        in_background(backend.load)


def line_height(backend: Backend, width: int | None = None) -> int:
    """Return the height of the lines, in pixels, that a recognizer of PP-OCR was trained with.

    Recognizers of v1 and v2 run with 48 pixels too, and then read garbage. What tells is the number of output steps: a
    quarter of the width where lines are 32 pixels high, an eighth from v3 on, where they are 48.

    Args:
        backend: of a recognizer whose file does not fix the height.
        width: of its input, where the file fixes that.

    Raises:
        ModelError: it runs with neither height, or has another number of steps.
    """
    width = width or _PROBE_WIDTH
    for height in (48, 32):
        try:
            steps = backend(np.zeros((1, height, width, 3), np.float32)).shape[1]
        except RuntimeError:  # ONNX Runtime's errors of shapes that do not fit
            continue
        told = {4: 32, 8: 48}.get(round(width / max(steps, 1)))
        if told is not None:
            return told
        raise ModelError(
            f"{backend} has {steps} steps for {width} pixels, unlike any PP-OCR recognizer: pass --rec-height"
        )
    raise ModelError(f"{backend} reads lines neither 48 nor 32 pixels high: pass --rec-height")


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
    """Return the backend that runs one network of a model folder; an ONNX file is checked against `model.json`.

    Args:
        model: the model.
        task: "det", "cls" or "rec".
        kind: "onnx", "openvino" or "jax".
        device, threads, classes: see `OnnxBackend`.
        precision, cache_dir: see `OpenVinoBackend`; the others compute in float32 and keep nothing.

    Raises:
        ModelError: the folder lacks the network or the file, the file does not belong to it, or there is no such
            device.
        ValueError: another kind, or an option that it does not have.
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
    providers_of(device)  # a device that is not there is said now, not at the first image
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
