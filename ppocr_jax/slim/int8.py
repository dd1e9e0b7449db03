"""int8 quantization after training: calibration inputs, quantization, and comparison with the float network.

`record_inputs` records the inputs of a model's networks while it reads images, `quantize_to_folder` writes the int8
files, `compare` runs both versions on the same inputs.
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
from ppocr_jax.inference.model_folder import TASKS, ModelFolder, with_language_of, write_model_json
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.recognize import TextRecognizer
from ppocr_jax.onnx_graph.graph import Graph
from ppocr_jax.onnx_graph.int8 import STEM, UNCHANGED, Range, quantize_graph, set_ranges
from ppocr_jax.onnx_graph.simplify import SIMPLER, apply, fold, spell_out_hard_swish

MOST_INPUTS = {"det": 32, "cls": 256, "rec": 256}
"""Largest number of recorded inputs per network; one of the detector takes 9 MB."""
_SEED = 0

# Operators between convolutions must be quantized, too; otherwise each costs a conversion to float32 and back.
# Measured against convolutions alone: 8 % less time for the detector, 13 % for the recognizer.
_OPERATORS = ("Conv", "Relu", "Add", "Mul", "MaxPool", "Concat", "Resize")
_HEAD = 2
_WEIGHTED = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM", "GRU")
_POOLING = ("GlobalAveragePool", "ReduceMean")
_OF_EACH_CHANNEL = ("Conv", "Relu", "HardSigmoid", "Sigmoid", "HardSwish", "Clip", "Add", "BatchNormalization")
_LEAST_OPSET = 13  # the first version whose QuantizeLinear has a scale per channel

_TURNS = 5
_TIMED = {"det": 4, "cls": 32, "rec": 32}  # timed inputs; about equal total time for each network


class Recorder:
    """A backend that keeps a random sample of its inputs, in which each call is equally likely."""

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
        """The kept inputs, (N, H, W, 3) float32, in the order of the calls."""
        return list(self._kept.values())


def record_inputs(
    model: ModelFolder, images: Iterable[np.ndarray], tasks: Sequence[str]
) -> dict[str, list[np.ndarray]]:
    """Read images and record the inputs of the networks: normalized tiles of pages, batches of line crops.

    Args:
        model: The model. Lines are those that its detector finds.
        images: (H, W, 3) uint8 RGB.
        tasks: Tasks of the networks whose inputs are recorded.

    Returns:
        For each task up to `MOST_INPUTS` inputs, spread over the images.

    Raises:
        ModelError: If the model lacks one of the networks, or one that precedes it.
        UserError: If a network got no input because there are no images or no text in them.
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
    """Return a function that processes an image with all available networks."""
    detector = TextDetector(recorders["det"], model.spec("det"))
    if "rec" not in recorders:
        return OCR.from_stages(detector).detect
    recognizer = TextRecognizer(recorders["rec"], model.spec("rec"), model.charset)
    classifier = TextClassifier(recorders["cls"], model.spec("cls")) if "cls" in recorders else None
    return OCR.from_stages(detector, recognizer, classifier)


def check_folder(model: ModelFolder, folder: Path) -> None:
    """Check the output folder before the slow part.

    Raises:
        UserError: If it is the model's own folder, or not a folder.
    """
    if folder.resolve() == model.path.resolve():
        raise UserError(f"{folder} is the folder of the model itself: name another one for the quantized networks")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"cannot write {folder}: it is a file; name a folder")


def quantize_to_folder(
    model: ModelFolder, inputs: Mapping[str, Sequence[np.ndarray]], folder: Path, *, seven_bits: bool = False
) -> ModelFolder:
    """Write a model folder in which some networks are quantized and the others copied.

    It has no weights for the JAX backend and for fine-tuning, because those would belong to other networks.

    Args:
        model: The model.
        inputs: Task -> calibration inputs of its network, see `quantize_network`.
        folder: The new model folder; created if it does not exist.
        seven_bits: See `quantize_network`.

    Returns:
        The new model.

    Raises:
        ModelError: If the model lacks one of the networks, or its ONNX file.
        UserError: See `check_folder`.
        OSError: If the folder cannot be written.
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
            shutil.copyfile(file, folder / file.name)  # copied, not moved: existing files keep their permissions
    provenance = {
        **model.provenance,
        **{task: _origin(model, task, len(inputs[task]), seven_bits) for task in inputs},
    }
    quantized = replace(model, path=folder, name=f"{model.name}-int8", provenance=provenance, language=None, **networks)
    quantized = with_language_of(quantized, model)
    write_model_json(quantized)
    return quantized


def _origin(model: ModelFolder, task: str, calibrated_with: int, seven_bits: bool) -> dict[str, object]:
    known = model.provenance.get(task, {})
    facts = known if isinstance(known, Mapping) else {"from": known}
    versions = {"onnxruntime": onnxruntime.__version__, "ppocr_jax": __version__}
    return {**facts, "int8": {"of": model.name, "inputs": calibrated_with, "seven_bits": seven_bits, **versions}}


def quantize_network(model: bytes, inputs: Sequence[np.ndarray], *, seven_bits: bool = False) -> bytes:
    """Quantize the convolutions of a network and the operators between them to int8 (`onnx_graph.int8`).

    The range of a feature map is the mean, over the inputs, of its minimum and maximum, so one unusual input does not
    reduce the resolution. Nodes that are in `float_nodes`, or not between convolutions, stay in float32.

    Args:
        model: An ONNX file with one input (N, 3, H, W).
        inputs: Calibration inputs, at least one (N, H, W, 3) float32, normalized.
        seven_bits: Use 7-bit weights, for x86 CPUs without VNNI: their sums of two 8-bit products overflow.

    Returns:
        An ONNX file with the same input, output and metadata.
    """
    if Graph(model).opset < _LEAST_OPSET:
        newer = onnx.version_converter.convert_version(onnx.load_from_string(model), _LEAST_OPSET)
        model = newer.SerializeToString()
    given = onnx.load_from_string(Graph(model).to_bytes())
    simpler = Graph(fold(given.SerializeToString()))
    apply((*SIMPLER, spell_out_hard_swish), simpler)
    plain = simpler.to_bytes()
    graph = Graph(plain)
    set_ranges(graph, measured_ranges(plain, between_convolutions(graph), inputs))
    quantize_graph(graph, seven_bits=seven_bits)
    quantized = onnx.load_from_string(graph.to_bytes())
    for name in ("metadata_props", "opset_import"):  # drop those that ONNX Runtime added
        del getattr(quantized, name)[:]
        getattr(quantized, name).extend(getattr(given, name))
    quantized.producer_name, quantized.producer_version = given.producer_name, given.producer_version
    onnx.checker.check_model(quantized)
    return quantized.SerializeToString()


def between_convolutions(graph: Graph) -> list[str]:
    """Return the feature maps to quantize: inputs and outputs of quantizable nodes that are not `float_nodes`."""
    apart = float_nodes(graph)
    values: dict[str, None] = {}
    for node in graph.nodes:
        if node.output[0] in apart or node.op_type not in _OPERATORS:
            continue
        made = () if node.op_type in UNCHANGED else node.output
        for value in (*node.input, *made):
            user, producer = graph.only_user(value), graph.producer(value)
            if producer is None or value in graph.outputs:
                continue
            if user is not None and user.op_type == "Relu" and user.output[0] not in apart:
                continue  # quantizing its result also applies the Relu
            if producer.op_type in UNCHANGED and producer.output[0] not in apart:
                continue  # has the range of its input
            if producer.op_type == "HardSigmoid" and producer.output[0] not in apart:
                continue  # its quantized form has a fixed range
            values[value] = None
    return list(values)


def measured_ranges(network: bytes, values: Sequence[str], inputs: Sequence[np.ndarray]) -> dict[str, Range]:
    """Run a network on inputs; return the mean minimum and the mean maximum of each value."""
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
    """Return the outputs of nodes that stay in float32: stem, squeeze-and-excitation branches, and head."""
    branches = _branches(graph)
    return branches | _stem(graph, branches) | _head(graph)


def _branches(graph: Graph) -> set[str]:
    """Return the values computed with one number per channel, from pooling to before they scale a feature map."""
    values: set[str] = set()
    for node in graph.nodes:
        fed = {value for value in node.input if not graph.is_constant(value)}
        if node.op_type in _POOLING or (node.op_type in _OF_EACH_CHANNEL and fed and fed <= values):
            values.update(node.output)
    return values


def _stem(graph: Graph, branches: set[str]) -> set[str]:
    """Return the values computed before the convolution that follows the first `STEM` convolutions."""
    values: set[str] = set()
    count = 0
    for node in graph.nodes:
        count += node.op_type == "Conv" and node.output[0] not in branches
        if count > STEM:
            break
        values.update(node.output)
    return values


def _head(graph: Graph) -> set[str]:
    """Return the outputs of the last two layers with weights and of everything after them.

    These are DB's upsampling and the classes of a recognizer or classifier, where errors no longer average out.
    """
    values: set[str] = set()
    ahead = [(output, 0) for output in graph.outputs]
    while ahead:
        value, layers = ahead.pop()
        node = graph.producer(value)
        if node is None or layers == _HEAD:
            continue
        values.update(node.output)
        layers += node.op_type in _WEIGHTED
        ahead += [(before, layers) for before in node.input]
    return values


@dataclass(frozen=True)
class Comparison:
    """One network before and after quantization.

    Attributes:
        task: Task of the network.
        megabytes: File size, before and after.
        milliseconds: Median time of an input on one thread, mean over inputs, before and after.
        mean_difference, max_difference: Differences of the probabilities.
        agreement: Share of equal results: texts of lines, directions of lines; for a detector, the area that both call
            text divided by the area that either does.
        inputs: Number of inputs compared.
    """

    task: str
    megabytes: tuple[float, float]
    milliseconds: tuple[float, float]
    mean_difference: float
    max_difference: float
    agreement: float
    inputs: int


def compare(before: ModelFolder, after: ModelFolder, task: str, inputs: Sequence[np.ndarray]) -> Comparison:
    """Run the networks of two models on the same inputs.

    Args:
        before, after: The models.
        task: "det", "cls" or "rec".
        inputs: At least one, (N, H, W, 3) float32, normalized.

    Raises:
        ModelError: If a model lacks the network, or its file cannot be loaded.
    """
    paths = [model.file(task, "onnx") for model in (before, after)]
    old, new = (OnnxBackend(path, threads=1, device="cpu") for path in paths)
    differences, same, whole = [], 0, 0
    for images in inputs:
        expected, got = old(images), new(images)
        differences.append(np.abs(expected - got))
        agreeing, counted = _agreement(before, task, expected, got)
        same, whole = same + agreeing, whole + counted
    return Comparison(
        task,
        megabytes=(paths[0].stat().st_size / 1e6, paths[1].stat().st_size / 1e6),
        milliseconds=_milliseconds((old, new), inputs[:: -(-len(inputs) // _TIMED[task])]),
        mean_difference=float(np.mean([difference.mean() for difference in differences])),
        max_difference=float(max(difference.max() for difference in differences)),
        agreement=same / whole if whole else 1.0,
        inputs=len(inputs),
    )


def _milliseconds(backends: tuple[OnnxBackend, OnnxBackend], inputs: Sequence[np.ndarray]) -> tuple[float, float]:
    """Time both backends alternately, so that other load on the machine affects both."""
    medians: list[list[float]] = [[], []]
    for images in inputs:
        taken: list[list[float]] = [[], []]
        for turn in range(_TURNS + 1):
            for k, backend in enumerate(backends):
                start = time.perf_counter()
                backend(images)
                if turn:  # the first run of a size allocates memory
                    taken[k].append(1000 * (time.perf_counter() - start))
        for k in (0, 1):
            medians[k].append(median(taken[k]))
    return float(np.mean(medians[0])), float(np.mean(medians[1]))


def _agreement(model: ModelFolder, task: str, before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """Return the number of equal results of a network's probabilities before and after, and the total number."""
    if task == "det":
        old, new = (maps > model.spec("det").postprocess.threshold for maps in (before, after))
        return int((old & new).sum()), int((old | new).sum())
    if task == "cls":
        return int((before.argmax(-1) == after.argmax(-1)).sum()), len(before)
    pairs = zip(ctc_greedy_decode(before, model.charset), ctc_greedy_decode(after, model.charset), strict=True)
    return sum(old.text == new.text for old, new in pairs), len(before)
