"""Comparison of the outputs of an exported file with those of the network in JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import NetworkSpec

TOLERANCE = 1e-4
"""Largest allowed difference of a probability."""
# After its first training steps, a network's running statistics do not fit its weights yet. It can be so steep that the
# last bits of its input change its output by more than TOLERANCE. The factor allows for rounding in every layer.
_ROUNDING, _LAYERS = 2.0**-23, 4.0
INT8_TOLERANCE = 0.5
"""Largest allowed difference of an int8 file. XLA and integer kernels sum in different orders, so that a sum between
two steps can be rounded to either, and one step in an early layer can change a pixel's probability much. Wrong scales
give differences near 1."""

Shape = tuple[int, int, int, int]

PARITY_SHAPES: dict[str, tuple[Shape, ...]] = {
    "det": ((1, 64, 96, 3), (2, 128, 64, 3), (1, 160, 160, 3)),
    "cls": ((1, 48, 192, 3), (3, 48, 192, 3), (6, 48, 192, 3)),
    "rec": ((1, 32, 320, 3), (2, 32, 100, 3), (3, 32, 160, 3)),
}


def parity_shapes(spec: NetworkSpec) -> tuple[Shape, ...]:
    """Return the shapes of `PARITY_SHAPES`, with the network's own height and width if these are fixed."""
    height, width = getattr(spec, "height", None), getattr(spec, "width", None)
    return tuple((batch, height or rows, width or columns, 3) for batch, rows, columns, _ in PARITY_SHAPES[spec.task])


class ParityError(UserError):
    """Error of an exported file whose output differs from that of the network."""


@dataclass(frozen=True)
class ParityRow:
    """Comparison of a file and its network for one input.

    Attributes:
        shape: Shape of the input, (B, H, W, 3).
        max_abs_diff: Largest absolute difference between the probabilities of both.
        rounding: Largest change of the network's own probabilities if the last bits of the input change; only measured
            if `max_abs_diff` is above `TOLERANCE`.
    """

    shape: Shape
    max_abs_diff: float
    rounding: float = 0.0


def parity_report(
    onnx_path: str | Path, jax_apply: Callable[[np.ndarray], np.ndarray], shapes: Sequence[Shape], *, seed: int = 0
) -> list[ParityRow]:
    """Return a comparison of a file in ONNX Runtime and a network in JAX on the same random images, a row per shape.

    Args:
        onnx_path: The file, with NCHW input.
        jax_apply: The network, from NHWC images to the output of the file.
        shapes: Shapes of the inputs, (B, H, W, 3).
        seed: Random seed of the images.

    Raises:
        ParityError: The outputs differ in shape.
        ModelError: The file cannot be loaded.
    """
    backend = OnnxBackend(onnx_path, threads=1, device="cpu", as_is=True)
    rng = np.random.default_rng(seed)
    rows = []
    for shape in shapes:
        images = rng.normal(0, 1, shape).astype(np.float32)
        got, expected = backend(images), jax_apply(images)
        if got.shape != expected.shape:
            raise ParityError(f"{onnx_path} gives {got.shape} for an input of {shape}, the network {expected.shape}")
        difference, rounding = float(np.abs(got - expected).max()), 0.0
        if difference > TOLERANCE:
            bits = rng.choice(np.array([1 - _ROUNDING, 1 + _ROUNDING], np.float32), shape)
            rounding = float(np.abs(jax_apply(images * bits) - expected).max())
        rows.append(ParityRow(shape, difference, rounding))
    return rows


def check_parity(rows: Sequence[ParityRow], onnx_path: str | Path, *, tolerance: float = TOLERANCE) -> None:
    """Check that a file computes the same as its network.

    Raises:
        ParityError: A difference is above `tolerance` and not explained by rounding, or is not a number.
    """
    for row in rows:
        allowed = max(tolerance, _LAYERS * row.rounding)
        if not row.max_abs_diff <= allowed:
            raise ParityError(
                f"{onnx_path} differs from the network by {row.max_abs_diff:.1e} for an input of {row.shape}; "
                f"at most {allowed:.0e} is allowed, so nothing was written"
            )
