"""What a model folder says of each network: its files, and the numbers that go with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, LINE_NORMALIZATION, Normalization


@dataclass(frozen=True)
class NetworkSpec:
    """Files of one network, relative to the folder, and how `ppocr_jax.models.build_model` rebuilds it.

    Attributes:
        onnx: file for ONNX Runtime, or None.
        safetensors: file of weights for the JAX backend and fine-tuning, or None.
        network: builder name, such as "db_mobilenet_v3"; options: its keyword arguments.
    """

    task: ClassVar[str]
    onnx: str | None = None
    safetensors: str | None = None
    network: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorSpec(NetworkSpec):
    """The detector: picture size rule (`preprocess.detector_size`), normalization, DB thresholds.

    `size`: (height, width) in pixels of a network that takes no other; pictures are squeezed into it.
    """

    task: ClassVar[str] = "det"
    normalization: Normalization = DETECTOR_NORMALIZATION
    limit_side: int = 960
    limit_type: str = "max"
    postprocess: DBOptions = field(default_factory=DBOptions)
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class ClassifierSpec(NetworkSpec):
    """The direction classifier: input size in pixels, its classes in order, and how sure it must be to turn a crop.

    `long_lines`: "squeeze" a line that is too long into the width (PaddleOCR), or look at up to three "windows" of it
    (`preprocess.line_windows`), where the letters keep their shapes.
    """

    task: ClassVar[str] = "cls"
    normalization: Normalization = LINE_NORMALIZATION
    height: int = 48
    width: int = 192
    labels: tuple[str, ...] = ("0", "180")
    threshold: float = 0.9
    long_lines: str = "squeeze"


@dataclass(frozen=True)
class RecognizerSpec(NetworkSpec):
    """The recognizer: input height, least width of a batch, and its least margin beyond the widest line, in pixels.

    `width`: of a network that takes no other; longer lines are read through windows.
    `heights`: instead of `height`, the first of these that the network takes, where its file does not say.
    """

    task: ClassVar[str] = "rec"
    normalization: Normalization = LINE_NORMALIZATION
    height: int = 32
    min_width: int = 320
    margin: int = 0
    width: int | None = None
    heights: tuple[int, ...] = ()


SPECS: dict[str, type[NetworkSpec]] = {spec.task: spec for spec in (DetectorSpec, ClassifierSpec, RecognizerSpec)}
"""Task -> description of its network."""
