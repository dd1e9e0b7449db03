"""Networks that compute with bytes: what they are calibrated with, how they are made, and what that costs.

`record_inputs` notes what the networks of a model really see while it reads images, `quantize_to_folder` makes the
int8 files, `compare` runs both forms on the same inputs.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime

from ppocr_jax import __version__
from ppocr_jax.errors import UserError
from ppocr_jax.inference.backends import Backend, OnnxBackend, make_backend
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.decode import ctc_greedy_decode
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, write_model_json
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import STEM, UNCHANGED, Range, compute_with_bytes, set_ranges
from ppocr_jax.onnx_graph.simplify import SIMPLER, apply, fold, spell_out_hard_swish

MOST_INPUTS = {"det": 32, "cls": 256, "rec": 256}
"""Inputs that are kept of each network; one of the detector takes 9 MB."""
_SEED = 0

# What lies between convolutions has to be quantized with them, or every one is followed by a way to float32 and back.
# Measured against convolutions alone: 8 % less time for the detector, 13 % for the recognizer.
_OPERATORS = ("Conv", "Relu", "Add", "Mul", "MaxPool", "Concat", "Resize")
_HEAD = 2
_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU")
_POOLING = ("GlobalAveragePool", "ReduceMean")
_OF_EACH_CHANNEL = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "HardSwish", "Clip", "Add", "BatchNormalization")
_LEAST_OPSET = 13  # the first whose QuantizeLinear has a scale for each channel

_TURNS = 5
_TIMED = {"det": 4, "cls": 32, "rec": 32}  # inputs: about as much time for each network


class Recorder:
    """A backend that keeps some of its inputs, each call as likely as any other."""

    def __init__(self, backend: Backend, most: int) -> None:
        self._backend = backend
        self._most = most
        self._random = random.Random(_SEED)
        self._calls = 0
        self._kept: dict[int, np.ndarray] = {}

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """See `Backend`."""
        self._calls += 1
        if len(self._kept) < self._most:
            self._kept[self._calls] = images.copy()
        elif self._random.randrange(self._calls) < self._most:
            del self._kept[self._random.choice(list(self._kept))]
            self._kept[self._calls] = images.copy()
        return self._backend(images)

    @property
    def inputs(self) -> list[np.ndarray]:
        """Those kept, (N, H, W, 3) float32, in the order of the calls."""
        return list(self._kept.values())


def record_inputs(
    model: ModelFolder, images: Iterable[np.ndarray], tasks: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """Read images, and note what the networks are given: normalized tiles of pages, batches of line crops.

    Args:
        model: the model. Lines are those that its detector finds.
        images: (H, W, 3) uint8 RGB.
        tasks: of the networks whose inputs are wanted.

    Returns:
        for each task up to `MOST_INPUTS`, spread over the images.

    Raises:
        ModelError: the model lacks one of the networks, or those before it.
        UserError: a network was given nothing: there are no images, or no text in them.
    """
    needed = {"det", *tasks} | ({"rec"} if "cls" in tasks else set())
    present = [task for task in TASKS if task in needed or getattr(model, task) is not None]
    recorders = {task: Recorder(make_backend(model, task, device="cpu"), MOST_INPUTS[task]) for task in present}
    read = _reader(model, recorders)
    count = 0
    for image in images:
        read(image)
        count += 1
    inputs = {task: recorders[task].inputs for task in tasks}
    for task, found in inputs.items():
        if not found:
            reason = f"found no text in the images ({count} given)" if count else "got no images"
            raise UserError(
                f"nothing to calibrate {task!r} with: model {model.name!r} {reason}; give it pages with text"
            )
    return inputs


def _reader(model: ModelFolder, recorders: Mapping[str, Recorder]) -> Callable[[np.ndarray], object]:
    """Return what looks at an image with all the networks that are there."""
    detector = TextDetector(recorders["det"], model.spec("det"))
    if "rec" not in recorders:
        return OCR.from_stages(detector).detect
    recognizer = TextRecognizer(recorders["rec"], model.spec("rec"), model.charset)
    classifier = TextClassifier(recorders["cls"], model.spec("cls")) if "cls" in recorders else None
    return OCR.from_stages(detector, recognizer, classifier)


def check_folder(model: ModelFolder, folder: Path) -> None:
    """Refuse what cannot become the folder of a quantized model, before the long work.

    Raises:
        UserError: it is the model's own, or no folder.
    """
    if folder.resolve() == model.path.resolve():
        raise UserError(f"{folder} is the folder of the model itself: name another one for the quantized networks")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"cannot write {folder}: it is a file; name a folder")


def quantize_to_folder(
    model: ModelFolder, inputs: Mapping[str, Sequence[np.ndarray]], folder: Path, *, seven_bits: bool = False
) -> ModelFolder:
    """Write a model folder with some networks quantized and the others copied.

    Weights for the JAX backend and for fine-tuning are left out: they would belong to other networks.

    Args:
        model: the model.
        inputs: task -> what its network is calibrated with, see `quantize_network`.
        folder: the new model folder; made where it does not exist.
        seven_bits: see `quantize_network`.

    Returns:
        the new model.

    Raises:
        ModelError: the model lacks one of the networks, or its ONNX file.
        UserError: see `check_folder`.
        OSError: the folder cannot be written.
    """
    check_folder(model, folder)
    sources = {task: model.file(task, "onnx") for task in TASKS if task in inputs or getattr(model, task) is not None}
    folder.mkdir(parents=True, exist_ok=True)
    networks = {task: replace(model.spec(task), onnx=f"{task}.onnx", safetensors=None) for task in sources}
    with tempfile.TemporaryDirectory(dir=folder) as workspace:
        for task, path in sources.items():
            target = Path(workspace) / f"{task}.onnx"
            if task in inputs:
                target.write_bytes(quantize_network(path.read_bytes(), inputs[task], seven_bits=seven_bits))
            else:
                shutil.copyfile(path, target)
        for file in Path(workspace).iterdir():
            shutil.copyfile(file, folder / file.name)  # not moved: what is there keeps its permissions
    provenance = {
        **model.provenance,
        **{task: _origin(model, task, len(inputs[task]), seven_bits) for task in inputs},
    }
    quantized = replace(model, path=folder, name=f"{model.name}-int8", provenance=provenance, **networks)
    write_model_json(quantized)
    return quantized


def _origin(model: ModelFolder, task: str, calibrated_with: int, seven_bits: bool) -> dict[str, object]:
    known = model.provenance.get(task, {})
    facts = known if isinstance(known, Mapping) else {"from": known}
    versions = {"onnxruntime": onnxruntime.__version__, "ppocr_jax": __version__}
    return {**facts, "int8": {"of": model.name, "inputs": calibrated_with, "seven_bits": seven_bits, **versions}}


def quantize_network(model: bytes, inputs: Sequence[np.ndarray], *, seven_bits: bool = False) -> bytes:
    """Return a network whose convolutions, and what lies between them, compute with bytes (`onnx_graph.int8`).

    The range of a feature map is the mean, over the inputs, of its least and greatest values: one odd input then costs
    no resolution. What `float_nodes` names is left in float32, and what is neither a convolution nor lies between some.

    Args:
        model: an ONNX file with one input (N, 3, H, W).
        inputs: what it is calibrated with, at least one (N, H, W, 3) float32, normalized.
        seven_bits: of weights, for x86 CPUs without VNNI: their sums of two products of 8 bits overflow.

    Returns:
        an ONNX file with the same input, output and metadata.
    """
    graph = Graph(model)
    if graph.opset < _LEAST_OPSET:
        plain = onnx.version_converter.convert_version(onnx.load_from_string(model), _LEAST_OPSET)
        graph = Graph(plain.SerializeToString())
    given = onnx.load_from_string(graph.to_bytes())
    graph = Graph(fold(given.SerializeToString()))
    apply((*SIMPLER, spell_out_hard_swish), graph)
    plain = graph.to_bytes()
    graph = Graph(plain)
    set_ranges(graph, measured_ranges(plain, between_convolutions(graph), inputs))
    compute_with_bytes(graph, seven_bits=seven_bits)
    quantized = onnx.load_from_string(graph.to_bytes())
    for name in ("metadata_props", "opset_import"):  # ONNX Runtime adds its own
        del getattr(quantized, name)[:]
        getattr(quantized, name).extend(getattr(given, name))
    quantized.producer_name, quantized.producer_version = given.producer_name, given.producer_version
    onnx.checker.check_model(quantized)
    return quantized.SerializeToString()


def between_convolutions(graph: Graph) -> list[str]:
    """Return the feature maps that shall be bytes: what layers that are not `float_nodes` take and make."""
    apart = float_nodes(graph)
    values: dict[str, None] = {}
    for node in graph.nodes:
        if node.output[0] in apart or node.op_type not in _OPERATORS:
            continue
        made = () if node.op_type in UNCHANGED else node.output
        for value in (*node.input, *made):
            user, maker = graph.only_user(value), graph.maker(value)
            if maker is None or value in graph.outputs:
                continue
            if user is not None and user.op_type == "Relu" and user.output[0] not in apart:
                continue  # the Relu is done by quantizing its result
            if maker.op_type in UNCHANGED and maker.output[0] not in apart:
                continue  # has the range of what it was made of
            if maker.op_type == "HardSigmoid" and maker.output[0] not in apart:
                continue  # between bytes it has a range of its own
            values[value] = None
    return list(values)


def measured_ranges(network: bytes, values: Sequence[str], inputs: Sequence[np.ndarray]) -> dict[str, Range]:
    """Run a network on inputs; return the mean of the least, and that of the greatest, number of each value."""
    model = onnx.load_from_string(network)
    del model.graph.output[:]
    for value in values:
        for op_type in ("ReduceMin", "ReduceMax"):
            name = f"{value}/{op_type}"
            model.graph.node.append(onnx.helper.make_node(op_type, [value], [name], keepdims=0))
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ()))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ends = [
        session.run(None, {model.graph.input[0].name: np.ascontiguousarray(x.transpose(0, 3, 1, 2))}) for x in inputs
    ]
    means = np.mean(np.asarray(ends, np.float64), axis=0).reshape(-1, 2)
    return {value: (float(low), float(high)) for value, (low, high) in zip(values, means, strict=True)}


def float_nodes(graph: Graph) -> set[str]:
    """Return what nodes that stay in float32 make: stem, squeeze-and-excitation branches, and head."""
    branches = _branches(graph)
    return branches | _stem(graph, branches) | _head(graph)


def _branches(graph: Graph) -> set[str]:
    """Return what is computed with one number for each channel, from pooling up to where that scales a feature map."""
    values: set[str] = set()
    for node in graph.nodes:
        fed = {value for value in node.input if not graph.is_constant(value)}
        if node.op_type in _POOLING or (node.op_type in _OF_EACH_CHANNEL and fed and fed <= values):
            values.update(node.output)
    return values


def _stem(graph: Graph, branches: set[str]) -> set[str]:
    """Return what is made before the convolution that follows the first `STEM`."""
    values: set[str] = set()
    count = 0
    for node in graph.nodes:
        count += node.op_type == "Conv" and node.output[0] not in branches
        if count > STEM:
            break
        values.update(node.output)
    return values


def _head(graph: Graph) -> set[str]:
    """Return what the last two layers with weights make, and what comes after them.

    DB's upsampling, the classes of a recognizer or a classifier: an error here is not averaged out any more.
    """
    values: set[str] = set()
    ahead = [(output, 0) for output in graph.outputs]
    while ahead:
        value, layers = ahead.pop()
        node = graph.maker(value)
        if node is None or layers == _HEAD:
            continue
        values.update(node.output)
        layers += node.op_type in _WEIGHTED
        ahead += [(before, layers) for before in node.input]
    return values


@dataclass(frozen=True)
class Comparison:
    """One network before and after.

    Attributes:
        task: of the network.
        megabytes: size of the file, before and after.
        milliseconds: median time of an input on one thread, mean over inputs, before and after.
        mean_difference, max_difference: of the probabilities.
        agreement: share of equal results: texts of lines, directions of lines; of a detector the area that both call
            text of what either does.
        inputs: compared.
    """

    task: str
    megabytes: tuple[float, float]
    milliseconds: tuple[float, float]
    mean_difference: float
    max_difference: float
    agreement: float
    inputs: int


def compare(before: ModelFolder, after: ModelFolder, task: str, inputs: Sequence[np.ndarray]) -> Comparison:
    """Run a network of two models on the same inputs.

    Args:
        before, after: the models.
        task: "det", "cls" or "rec".
        inputs: at least one, (N, H, W, 3) float32, normalized.

    Raises:
        ModelError: a model lacks the network, or its file cannot be loaded.
    """
    paths = [model.file(task, "onnx") for model in (before, after)]
    old, new = (OnnxBackend(path, threads=1, device="cpu") for path in paths)
    agreement = _AGREEMENTS[task](before)
    differences, same, whole = [], 0, 0
    for images in inputs:
        expected, got = old(images), new(images)
        differences.append(np.abs(expected - got))
        agreeing, counted = agreement(expected, got)
        same, whole = same + agreeing, whole + counted
    sizes = [path.stat().st_size / 1e6 for path in paths]
    times = _milliseconds((old, new), inputs[:: -(-len(inputs) // _TIMED[task])])
    return Comparison(
        task,
        (sizes[0], sizes[1]),
        times,
        float(np.mean([difference.mean() for difference in differences])),
        float(max(difference.max() for difference in differences)),
        same / whole if whole else 1.0,
        len(inputs),
    )


def _milliseconds(backends: tuple[OnnxBackend, OnnxBackend], inputs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Both in turn, so that a machine that is busy for a while is so for both."""
    medians: list[list[float]] = [[], []]
    for images in inputs:
        taken: list[list[float]] = [[], []]
        for turn in range(_TURNS + 1):
            for k, backend in enumerate(backends):
                start = time.perf_counter()
                backend(images)
                if turn:  # the first run of a size asks for memory
                    taken[k].append(1000 * (time.perf_counter() - start))
        for k in (0, 1):
            medians[k].append(median(taken[k]))
    return float(np.mean(medians[0])), float(np.mean(medians[1]))


Agreement = Callable[[np.ndarray, np.ndarray], tuple[int, int]]
"""(probabilities before, after) -> what is the same, of how much."""


def _same_area(model: ModelFolder) -> Agreement:
    threshold = model.spec("det").postprocess.threshold

    def count(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
        old, new = before > threshold, after > threshold
        return int((old & new).sum()), int((old | new).sum())

    return count


def _same_directions(model: ModelFolder) -> Agreement:
    return lambda before, after: (int((before.argmax(-1) == after.argmax(-1)).sum()), len(before))


def _same_texts(model: ModelFolder) -> Agreement:
    def count(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
        pairs = zip(ctc_greedy_decode(before, model.charset), ctc_greedy_decode(after, model.charset), strict=True)
        return sum(old.text == new.text for old, new in pairs), len(before)

    return count


_AGREEMENTS = {"det": _same_area, "cls": _same_directions, "rec": _same_texts}
