"""ONNX Runtime sessions with measured settings for threads, memory and devices, and heads cut to some classes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ppocr_jax.inference.model_folder import ModelError
from ppocr_jax.onnx_graph.graph import Graph, Node, make_node, renamed
from ppocr_jax.onnx_graph.messages import OnnxFileError, read_header
from ppocr_jax.onnx_graph.simplify import FINAL, FORM, prepare

if TYPE_CHECKING:
    import onnxruntime

_logger = logging.getLogger(__name__)
_ARENA_START = 64 << 20
_PASSED = ("Softmax", "Identity", "Cast")  # between the last layer and the output; they keep the order of classes
_ONE_ARENA = Lock()  # networks may be loaded by several threads


def make_session(
    path: Path,
    *,
    threads: int | None,
    device: str,
    as_is: bool = False,
    classes: Sequence[int] | None = None,
) -> onnxruntime.InferenceSession:
    """Return a session for the network in an ONNX file. For the arguments, see `backends.OnnxBackend`.

    Raises:
        ModelError: If the file is not an ONNX model, or the device is not available.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors  # pyright: ignore[reportAttributeAccessIssue]

    onnxruntime.disable_telemetry_events()  # for a program that started ONNX Runtime before it imported ppocr_jax
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads and equal shares of an operation are good on idle machines only: if one of two cores is busy, two
    # threads take 1.6 times as long as one. Therefore threads sleep and fetch small shares, which is as fast on idle
    # cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.dynamic_block_base", "4")
    options.enable_mem_pattern = False  # memory patterns are planned for one size, but every image has another one
    with _ONE_ARENA:
        _share_arena()
    options.add_session_config_entry("session.use_env_allocators", "1")
    providers = providers_of(device)
    # The operations that simplification avoids are slow on CPUs only.
    model = prepare_model(path, as_is=as_is, faster="CUDAExecutionProvider" not in providers, classes=classes)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except (errors.NoSuchFile, errors.InvalidProtobuf, errors.InvalidGraph, errors.Fail, errors.InvalidArgument) as e:
        raise ModelError(f"cannot load {path}: {str(e).splitlines()[0]}") from e
    # The Python session keeps the model's bytes, as large as its weights again, for a fallback to other providers. On a
    # CPU there are none.
    session._model_bytes = None
    return session


def on_gpu(device: str) -> bool:
    """Return whether ONNX Runtime would run networks on a GPU."""
    import onnxruntime

    return device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def providers_of(device: str) -> list[str]:
    """Return the execution providers of ONNX Runtime for a device, in order of preference.

    Raises:
        ModelError: If the device is not available.
    """
    cuda = on_gpu(device)
    if device == "cuda" and not cuda:
        raise ModelError("this ONNX Runtime has no CUDA support: install onnxruntime-gpu, or use the device cpu")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"] if cuda else ["CPUExecutionProvider"]


@lru_cache(maxsize=1)
def _share_arena() -> None:
    """Create one memory arena for the feature maps of all sessions, kept for the life of the process.

    Fresh memory from the system costs more than the arithmetic done on it: a detector that frees its feature maps after
    every run takes 250 ms for 1472 x 736 pixels. With an arena it takes 200 ms and 130 MB less, because there is no
    fragmentation. The shared arena is as large as the largest network needs, instead of the sum of all. Its large first
    chunk, which only counts as far as it is used, loses no space between chunks.
    """
    import onnxruntime

    kind = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limits = onnxruntime.OrtArenaCfg({"max_mem": 0, "initial_chunk_size_bytes": _ARENA_START})
    with suppress(RuntimeError):  # the surrounding program already has an arena, which is shared then
        onnxruntime.create_and_register_allocator(kind, limits)


def prepare_model(path: Path, *, as_is: bool, faster: bool, classes: Sequence[int] | None = None) -> Path | bytes:
    """Return the model for a session: the path of the file, or the bytes of a repaired, faster or smaller model.

    Args:
        path: ONNX file.
        as_is: Neither repair nor simplify the model.
        faster: Simplify the model, besides repairing it.
        classes: Classes to which a recognizer's head is cut. None: all.

    Raises:
        ModelError: If the file cannot be read, is not an ONNX model, or its head cannot be cut.
    """
    try:
        final = as_is or read_header(path).metadata.get(FORM) == FINAL
        if final and classes is None:
            return path
        model = read = path.read_bytes()
        if not final:
            model, repairs = prepare(read, faster=faster)
            for repair in repairs:
                _logger.info("%s: %s", path, repair)
        if classes is not None:
            model = cut_classes(model, classes)
        return path if model is read else model  # ONNX Runtime finds external weights by the path
    except OnnxFileError as error:
        raise ModelError(f"{error}" if str(path) in str(error) else f"cannot load {path}: {error}") from error
    except OSError as error:
        raise ModelError(f"cannot load {path}: {error.strerror}") from error


def cut_classes(model: bytes, classes: Sequence[int]) -> bytes:
    """Return a recognizer cut to some of its classes.

    Their logits do not change, and softmax is computed over them alone. If the last layer is a product with a constant
    matrix and a bias, as in PP-OCR's files and ours, its columns are removed. For any other layer, such as an int8 one,
    all logits are computed and some are gathered.

    Args:
        model: ONNX file with one output (N, T, K), probabilities or logits.
        classes: Classes to keep, in the order of the new output.

    Raises:
        OnnxFileError: If it is not an ONNX file, or its graph is not supported.
    """
    graph, ids = Graph(model), np.array(classes, np.int64)
    value = graph.outputs[0]
    while (node := graph.producer(value)) is not None and node.op_type in _PASSED:
        value = node.input[0]
    if node is None:
        raise OnnxFileError("its output is no layer's")
    if not _cut_layer(graph, node, ids):
        whole = graph.new_name(value)
        taken = make_node("Gather", [whole, graph.add_constant(f"{value}/classes", ids)], value, axis=2)
        graph.replace([node], [renamed(node, whole), taken])
    graph.forget_output_shapes()
    return graph.to_bytes()


def _cut_layer(graph: Graph, node: Node, ids: np.ndarray) -> bool:
    """Cut x W or x W + b, which ends at `node`, to some columns. Return False if the node is neither."""
    bias = next((name for name in node.input if graph.is_constant(name)), None) if node.op_type == "Add" else None
    product = node
    if bias is not None:
        product = graph.producer(next(name for name in node.input if name != bias), "MatMul")
    if product is None or product.op_type != "MatMul" or len(graph.users(product.output[0])) != 1:
        return False
    weights, offsets = graph.array(product.input[1]), None if bias is None else graph.array(bias)
    if weights is None or weights.ndim != 2 or (offsets is not None and offsets.shape[-1:] != weights.shape[1:]):
        return False
    columns = graph.add_constant(product.input[1], weights[:, ids])
    new = [make_node("MatMul", [product.input[0], columns], product.output[0])]
    if bias is not None and offsets is not None:
        new.append(make_node("Add", [product.output[0], graph.add_constant(bias, offsets[..., ids])], node.output[0]))
    graph.replace([product] if bias is None else [product, node], new)
    return True
