"""Networks run by OpenVINO, from the same ONNX files. Needs the [openvino] extra.

On processors that multiply in bfloat16 (AVX512_BF16, AMX) it takes a third to two thirds of ONNX Runtime's time, whose
kernels do not; in float32 it takes more. It pays where one process reads many pages (docs/openvino.md): a network is
compiled for each shape when that first comes, which takes 0.3 to 1.3 s of one core.
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
from ppocr_jax.inference.onnx_session import prepared

if TYPE_CHECKING:
    import openvino


# What images are padded to, so that many share a shape: sides of pages are multiples of 96, of which 960, the longest
# side of most, is one; lines have one of these widths or a multiple of the last, and come by two or eight.
_SIDE_STEP = 96
_WIDTHS = (*range(64, 512, 64), *range(512, 1024, 128), *range(1024, 2560, 512), 2560)
_LINES = (2, 8)
# Compiled networks that are kept, those used last: each has room for its feature maps, up to 100 MB in a detector.
_MOST = {"det": 8, "cls": 4, "rec": 24}


@dataclass
class _Compiled:
    """A network for one shape, and requests that nobody runs now: each runs one call at a time."""

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
    """A network in an ONNX file, compiled by OpenVINO for each shape when it first comes. See `backends.Backend`.

    Images are padded with zeros, to the right and at the bottom, to shapes that many share, and maps cut back: near
    the padding, and where a network looks at its whole image, results differ a little from those without.
    Recognizers say by `padded_width` how wide they want their lines, so that frames are where they seem to be.
    """

    batch_size = _LINES[-1]
    """Lines of a call: each operation of a call costs some 25 microseconds, so that a line alone takes three times as
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
        """
        Args:
            path: the file.
            task: "det", "cls" or "rec".
            threads: of one call; 1: as many calls at a time as there are cores, each on one. None: one per core.
            precision: "auto": bfloat16 where the processor has it; "float32".
            cache_dir: folder for compiled networks, which makes later starts quicker; None: none are kept.
            classes: see `OnnxBackend`.

        Raises:
            ValueError: fewer than one thread.
            ModelError: OpenVINO is not installed.
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
            ModelError: the file is no ONNX model that OpenVINO runs.
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
        """Return the width that a batch of lines so wide is padded to, pixels."""
        return next((step for step in _WIDTHS if step >= width), -(-width // _WIDTHS[-1]) * _WIDTHS[-1])

    def load(self) -> None:
        """Read the network now; it is compiled once images come.

        Raises:
            ModelError: see `__call__`.
        """
        self._loaded()

    @property
    def loaded(self) -> bool:
        """Whether the network has been read."""
        return self._model is not None

    def _loaded(self) -> openvino.Model:
        with self._lock:
            if self._model is None:
                model = prepared(self.path, as_is=False, faster=False, classes=self.classes)
                try:
                    self._model = openvino_core().read_model(model)
                except RuntimeError as error:
                    raise self._failure(error) from error
            return self._model

    def _compiled_for(self, shape: tuple[int, ...]) -> _Compiled:
        """Return the network for images (N, 3, H, W), compiled now or before."""
        model = self._loaded()
        with self._lock:
            if shape not in self._compiled:
                bfloat16 = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
                # Streams run calls at the same time, on a share of the threads each. Bound to cores they would share
                # those with whatever else is bound there.
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
    """Return OpenVINO's one entry, imported without its telemetry.

    Its package writes an identifier into the user's home and may send it when it is imported, unless the package
    `openvino_telemetry` is missing.
    """
    missing = "openvino_telemetry" not in sys.modules
    if missing:
        sys.modules["openvino_telemetry"] = None  # pyright: ignore[reportArgumentType] - Python's way to say so
    try:
        import openvino
    finally:
        if missing:
            del sys.modules["openvino_telemetry"]
    return openvino.Core()
