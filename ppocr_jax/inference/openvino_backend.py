"""OpenVINO backend for networks in ONNX files. Needs the [openvino] extra.

On processors that multiply in bfloat16 (AVX512_BF16, AMX) it takes a third to two thirds of the time of ONNX Runtime,
whose kernels do not use it; in float32 it takes longer. It is worthwhile if one process reads many pages
(docs/openvino.md): a network is compiled for each new shape, which takes 0.3 to 1.3 s of one core.
"""

from __future__ import annotations

import sys
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.many import cores
from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.inference.onnx_session import prepare_model

if TYPE_CHECKING:
    import openvino


# Padded sizes, so that many images share a shape. Sides of pages are multiples of 96, such as 960, the longer side of
# most pages. Lines have one of these widths or a multiple of the last, and come in batches of two or eight.
_SIDE_STEP = 96
_WIDTHS = (*range(64, 512, 64), *range(512, 1024, 128), *range(1024, 2560, 512), 2560)
_LINES = (2, 8)
# Number of compiled networks to keep, the last used ones: each has buffers of up to 100 MB in a detector.
_MOST = {"det": 8, "cls": 4, "rec": 24}


@dataclass
class _Compiled:
    """Network compiled for one shape, and its idle requests. Each request runs one call at a time."""

    network: openvino.CompiledModel
    idle: deque[openvino.InferRequest] = field(default_factory=deque)

    def __call__(self, nchw: np.ndarray) -> np.ndarray:
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.network.create_infer_request()
        try:
            return np.array(request.infer([nchw])[0], np.float32)
        finally:
            self.idle.append(request)


class OpenVinoBackend(OnnxBackend):
    """Network in an ONNX file, compiled by OpenVINO for each new shape. See `backends.Backend`.

    Images are padded with zeros, to the right and at the bottom, to shapes that many share, and maps are cropped. Near
    the padding, and in networks with global context, results differ slightly from those without padding. Recognizers
    return the width that they prefer by `padded_width`, so that frames keep their positions.
    """

    batch_size = _LINES[-1]
    """Lines per call. Each operation costs some 25 microseconds per call, so that a single line takes three times as
    long as one of eight (a recognizer of PP-OCRv2, 192 pixels wide, bfloat16: 3.9 ms by two, 2.5 ms by eight)."""

    def __init__(
        self,
        path: str | Path,
        task: str,
        *,
        threads: int | None = None,
        precision: str = "auto",
        cache_dir: str | Path | None = None,
        classes: Sequence[int] | None = None,
    ) -> None:
        """Describe the network. Its file is loaded at the first call.

        Args:
            path: ONNX file.
            task: "det", "cls" or "rec".
            threads: Threads of one call. 1: as many simultaneous calls as there are cores, each on one. None: one
                thread per core.
            precision: "auto": bfloat16 if the processor supports it; "float32".
            cache_dir: Folder for compiled networks, which makes later starts faster. None: no cache.
            classes: See `OnnxBackend`.

        Raises:
            ValueError: If there is less than one thread.
            ModelError: If OpenVINO is not installed.
        """
        super().__init__(path, threads=threads, device="cpu", classes=classes)
        if find_spec("openvino") is None:
            raise ModelError('the OpenVINO backend needs openvino: pip install "ppocr-jax[openvino]"')
        self.task, self.precision, self.cache_dir = task, precision, cache_dir
        self._model: openvino.Model | None = None
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `backends.Backend`.

        Raises:
            ModelError: If OpenVINO cannot run the file.
        """
        count, height, width, _ = images.shape
        batch, _, rows, columns = self._loaded().inputs[0].partial_shape
        more = [0, 0]  # rows and columns of padding
        if self.task == "det":
            more = [0 if side.is_static else -size % _SIDE_STEP for side, size in ((rows, height), (columns, width))]
        elif self.task == "rec" and columns.is_dynamic:
            more[1] = self.padded_width(width) - width
        if batch.is_static:
            lines = batch.get_length()
        else:
            lines = 1 if self.task == "det" else next((n for n in _LINES if n >= count), _LINES[-1])
        padded = np.pad(images, ((0, -count % lines), (0, more[0]), (0, more[1]), (0, 0)))
        kind = self._loaded().inputs[0].element_type.to_dtype()
        nchw = np.ascontiguousarray(padded.transpose(0, 3, 1, 2), kind)
        compiled = self._compiled_for((lines, *nchw.shape[1:]))
        outputs = [compiled(nchw[start : start + lines]) for start in range(0, len(nchw), lines)]
        output = np.concatenate(outputs)[:count]
        output = output[:, 0] if output.ndim == 4 else output
        return output[:, :height, :width] if self.task == "det" else output

    @staticmethod
    def padded_width(width: int) -> int:
        """Return the width in pixels to which a batch of lines of this width is padded."""
        return next((step for step in _WIDTHS if step >= width), -(-width // _WIDTHS[-1]) * _WIDTHS[-1])

    def load(self) -> None:
        """Load the network now. It is compiled when images arrive.

        Raises:
            ModelError: See `__call__`.
        """
        self._loaded()

    @property
    def loaded(self) -> bool:
        """Whether the network is loaded."""
        return self._model is not None

    def _loaded(self) -> openvino.Model:
        with self._lock:
            if self._model is None:
                model = prepare_model(self.path, as_is=False, faster=False, classes=self.classes)
                try:
                    self._model = openvino_core().read_model(model)
                except RuntimeError as error:
                    raise self._failure(error) from error
            return self._model

    def _compiled_for(self, shape: tuple[int, ...]) -> _Compiled:
        """Return the network compiled for images (N, 3, H, W)."""
        model = self._loaded()
        with self._lock:
            if shape not in self._compiled:
                bfloat16 = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
                # Streams run calls in parallel, each on a share of the threads. If bound to cores, they would compete
                # with other processes bound to the same cores.
                config: dict[str, Any] = {
                    "INFERENCE_NUM_THREADS": cores() if self.threads in (None, 1) else self.threads,
                    "NUM_STREAMS": cores() if self.threads == 1 else 1,
                    "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "auto" and bfloat16 else "f32",
                    "ENABLE_CPU_PINNING": False,
                }
                if self.cache_dir is not None:
                    config["CACHE_DIR"] = str(self.cache_dir)
                one = model.clone()
                try:
                    one.reshape(list(shape))
                    self._compiled[shape] = _Compiled(openvino_core().compile_model(one, "CPU", config))
                except RuntimeError as error:
                    raise self._failure(error) from error
                if len(self._compiled) > _MOST[self.task]:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(shape)
            return self._compiled[shape]

    def _failure(self, error: RuntimeError) -> ModelError:
        return ModelError(f"OpenVINO cannot run {self.path}: {str(error).strip().splitlines()[-1]}")

    def _options(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "threads": self.threads,
            "precision": self.precision,
            "cache_dir": self.cache_dir,
            "classes": self.classes,
        }

    def __repr__(self) -> str:
        return f"OpenVinoBackend({str(self.path)!r}, threads={self.threads}, precision={self.precision!r})"


@cache
def openvino_core() -> openvino.Core:
    """Return the OpenVINO core, imported without its telemetry.

    The package writes an identifier into the user's home and may send it on import, unless the package
    `openvino_telemetry` is missing.
    """
    missing = "openvino_telemetry" not in sys.modules
    if missing:
        sys.modules["openvino_telemetry"] = None  # pyright: ignore[reportArgumentType] - marks it as missing
    try:
        import openvino
    finally:
        if missing:
            del sys.modules["openvino_telemetry"]
    return openvino.Core()
