"""Does an exported file compute what the network in JAX computes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import NetworkSpec

TOLERANCE = 1e-4
"""Largest difference of a probability that is allowed."""
# A network after its first steps, whose running statistics do not fit its weights yet, can be so steep that the last
# bits of its input change it by more than TOLERANCE. Two programs round in every layer, not in the input alone.
_ROUNDING, _LAYERS = 2.0**-23, 4.0
INT8_TOLERANCE = 0.5
"""The same of an int8 file. XLA and integer kernels add up in another order; a sum just between two steps is rounded to
either, and one step in an early layer can move a pixel's probability far. Wrong scales give differences near 1."""

Shape = tuple[int, int, int, int]

PARITY_SHAPES: dict[str, tuple[Shape, ...]] = {
    "det": ((1, 64, 96, 3), (2, 128, 64, 3), (1, 160, 160, 3)),
    "cls": ((1, 48, 192, 3), (3, 48, 192, 3), (6, 48, 192, 3)),
    "rec": ((1, 32, 320, 3), (2, 32, 100, 3), (3, 32, 160, 3)),
}


def parity_shapes(spec: NetworkSpec) -> tuple[Shape, ...]:
    """Return the shapes of `PARITY_SHAPES`, with the height or size that a network reads where it reads no other."""
    height, width = getattr(spec, "height", None), getattr(spec, "width", None)
    return tuple((batch, height or rows, width or columns, 3) for batch, rows, columns, _ in PARITY_SHAPES[spec.task])


class ParityError(UserError):
    """An exported file computes something else than the network."""


@dataclass(frozen=True)
class ParityRow:
    """What both make of one input.

    Attributes:
        shape: of the input, (B, H, W, 3).
        max_abs_diff: largest difference between the probabilities of both.
        rounding: how much those of the network itself change with the last bits of the input; asked for where
            `max_abs_diff` is above `TOLERANCE`.
    """

    shape: Shape
    max_abs_diff: float
    rounding: float = 0.0


def parity_report(
    onnx_path: str | Path, jax_apply: Callable[[np.ndarray], np.ndarray], shapes: Sequence[Shape], *, seed: int = 0
) -> list[ParityRow]:
    """Run a file with ONNX Runtime, and the network with JAX, on the same random images.

    Args:
        onnx_path: the file; it takes NCHW.
        jax_apply: the network, from NHWC images to what the file gives.
        shapes: of the inputs, (B, H, W, 3).
        seed: of the images.

    Raises:
        ParityError: the outputs differ in shape.
        ModelError: the file cannot be loaded.
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
    """Raise where a file differs from its network.

    Raises:
        ParityError: a difference above `tolerance` that rounding does not explain, or one that is not a number.
    """
    for row in rows:
        allowed = max(tolerance, _LAYERS * row.rounding)
        if not row.max_abs_diff <= allowed:
            raise ParityError(
                f"{onnx_path} differs from the network by {row.max_abs_diff:.1e} for an input of {row.shape}; "
                f"at most {allowed:.0e} is allowed, so nothing was written"
            )
