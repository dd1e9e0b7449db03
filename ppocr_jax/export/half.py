"""Weights stored in half precision: files of half the size, for networks that compute in float32 as before.

Kernels are rounded to float16 once, when a network is exported; vectors (biases, BatchNorm) are few and stay as they
are, some variances being too large for float16. Both files then hold the same network. The safetensors loader widens
its kernels. In the ONNX file each is a float16 constant and a Cast, and a product with a scale for each output where
BatchNorm was folded into it; runtimes work that out when they open the file. Rounding the folded kernels instead would
make the ONNX file another network than the other one.

Measured with the `ch` recognizer on one thread: 8.54 -> 4.35 MB, probabilities differ by 6e-7, opening takes the same
0.04 s of CPU time and 3 MB more (35 instead of 32).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flax import traverse_util

from ppocr_jax.onnx_graph.graph import Graph

_LEAST = 256  # numbers: smaller constants are not worth two nodes
# Of a kernel's largest number: what float32 leaves when a scale is multiplied in and taken out again.
_ROUNDING = 4e-6


def round_kernels(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables whose kernels, all arrays of two axes or more, are float32 numbers that float16 holds."""

    def rounded(array: np.ndarray) -> np.ndarray:
        array = np.asarray(array)
        return array.astype(np.float16).astype(np.float32) if array.ndim > 1 else array

    flat = traverse_util.flatten_dict(dict(variables))
    return traverse_util.unflatten_dict({path: rounded(array) for path, array in flat.items()})


def store_half(graph: Graph, variables: Mapping[str, Any]) -> None:
    """Store the weights of an exported graph as float16, wherever they can be widened to just what they are.

    Args:
        graph: of the network.
        variables: of the network, with kernels from `round_kernels`.
    """
    kernels: dict[tuple[int, ...], list[np.ndarray]] = {}
    for path, array in traverse_util.flatten_dict(dict(variables["params"])).items():
        if path[-1] == "kernel" and np.array_equal(np.asarray(array, np.float16), array):
            for kernel in _as_convolution(np.asarray(array)):
                kernels.setdefault(kernel.shape, []).append(kernel)
    for name in dict.fromkeys(name for node in graph.nodes for name in node.input):  # in order: the same file each time
        weights = graph.constant(name)
        if weights is None or weights.size < _LEAST:
            continue
        half = weights.astype(np.float16)
        if np.array_equal(half, weights):
            graph.spell_out(name, half)
            continue
        for kernel in kernels.get(weights.shape, ()):
            scale = _scale(weights, kernel)
            if scale is not None:
                graph.spell_out(name, kernel.astype(np.float16), scale)
                break


def _as_convolution(kernel: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a kernel of ours in the layouts that it may have as an ONNX convolution: outputs, inputs, rows, columns."""
    if kernel.ndim == 3:  # depthwise: rows, columns, channels
        yield kernel.transpose(2, 0, 1)[:, None]
    elif kernel.ndim == 4:
        yield kernel.transpose(3, 2, 0, 1)
        # A transposed one (inputs, 2, 2, outputs), with the pixels of its patch as channels (`onnx_graph.simplify`).
        yield kernel.transpose(1, 2, 3, 0).reshape(-1, kernel.shape[0], 1, 1)


def _scale(weights: np.ndarray, kernel: np.ndarray) -> np.ndarray | None:
    """Return the factor of each output, shaped to be multiplied, where weights are a kernel times that; else None."""
    rows, source = (array.reshape(len(array), -1).astype(np.float64) for array in (weights, kernel))
    squares = (source**2).sum(axis=1)
    factors = np.where(squares > 0, (rows * source).sum(axis=1) / np.where(squares > 0, squares, 1), 1)
    if np.abs(rows - source * factors[:, None]).max() > _ROUNDING * np.abs(rows).max():
        return None
    return factors.astype(np.float32).reshape(-1, *[1] * (weights.ndim - 1))
