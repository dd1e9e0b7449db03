"""Speed of the networks in ONNX Runtime, compared with PP-OCRv2's Tables 3 (recognizers), 4 (backbones), 5 (systems).

    python benchmarks/networks.py --output benchmarks/results/networks.md

Weights are random, which does not change the time. Each network runs once per round, so that other load affects all
equally; the tables show the fastest and the median round. The paper's machine is different, so that only ratios can be
compared. The large networks run only in every eighth round.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

from ppocr_jax.charset import Charset
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, NetworkSpec, RecognizerSpec

CLASSES = 6625  # of PP-OCR's Chinese and English recognizer
LINES = 20  # on the page of Table 5
PAGE = (960, 704)
IMAGE = (224, 224)
LINE, TALL_LINE, CLS_LINE = (32, 320), (48, 320), (48, 192)


class Network(NamedTuple):
    """A network to time: builder, options, and (height, width) of its input."""

    builder: str
    options: Mapping[str, object]
    size: tuple[int, int]


RECOGNIZER = {"num_classes": CLASSES}
NETWORKS = {
    "PP-LCNet x1.0": Network("pp_lcnet", {"scale": 1.0}, IMAGE),
    "MobileNetV1 x0.75": Network("mobilenet_v1", {"scale": 0.75}, IMAGE),
    "MobileNetV2 x0.75": Network("mobilenet_v2", {"scale": 0.75}, IMAGE),
    "MobileNetV3-small x1.0": Network("mobilenet_v3_small", {"scale": 1.0}, IMAGE),
    "MobileNetV3-large x0.5": Network("mobilenet_v3_large", {"scale": 0.5}, IMAGE),
    "GhostNet x0.5": Network("ghostnet", {"scale": 0.5}, IMAGE),
    "rec MobileNetV3": Network("crnn_mobilenet_v3", RECOGNIZER, LINE),
    "rec PP-LCNet": Network("crnn_lcnet", RECOGNIZER, LINE),
    "rec ResNet34": Network("crnn_resnet34", RECOGNIZER, LINE),
    "rec SVTR-LCNet": Network("svtr_lcnet", RECOGNIZER, TALL_LINE),
    "det mobile": Network("db_mobilenet_v3", {}, PAGE),
    "det server": Network("db_resnet18", {}, PAGE),
    "det RSE-FPN": Network("db_rse_fpn", {}, PAGE),
    "cls": Network("direction_mobilenet_v3", {}, CLS_LINE),
}
# These take most of the time, and are slow enough to be measured with few runs.
HEAVY = ("det mobile", "det server", "det RSE-FPN", "rec ResNet34")
HEAVY_EVERY = 8  # rounds
# The paper's milliseconds: Table 4 on four threads of a Xeon 6148, Tables 3 and 5 on another CPU setting.
TABLE_4 = {
    "PP-LCNet x1.0": 3.16,
    "MobileNetV1 x0.75": 3.88,
    "MobileNetV2 x0.75": 4.56,
    "MobileNetV3-small x1.0": 4.20,
    "MobileNetV3-large x0.5": 4.54,
    "GhostNet x0.5": 6.63,
}
TABLE_3 = {"rec PP-LCNet": 6.2, "rec MobileNetV3": 7.7}
# System -> detector, recognizer, the paper's milliseconds and MB (None for PP-OCRv3, which came later).
TABLE_5 = {
    "PP-OCR mobile": ("det mobile", "rec MobileNetV3", 356.0, 8.1),
    "PP-OCR server": ("det server", "rec ResNet34", 1056.0, 155.1),
    "PP-OCRv2": ("det mobile", "rec PP-LCNet", 330.0, 11.6),
    "PP-OCRv3": ("det RSE-FPN", "rec SVTR-LCNet", None, None),
}


def describe(network: Network) -> NetworkSpec:
    """Return the specification of a network for the exporter."""
    height, width = network.size
    if network.builder.startswith("db_"):
        return DetectorSpec(network=network.builder, options=network.options)
    if "num_classes" in network.options:
        return RecognizerSpec(network=network.builder, options=network.options, height=height)
    return ClassifierSpec(network=network.builder, options=network.options, height=height, width=width)


def export(network: Network, path: Path) -> None:
    """Write a network with random weights as an ONNX file."""
    from flax import traverse_util

    from ppocr_jax.export.onnx import export_onnx
    from ppocr_jax.training.network import TrainedNetwork, variable_shapes

    spec = describe(network)
    rng = np.random.default_rng(0)
    variables = {}
    for names, leaf in traverse_util.flatten_dict(variable_shapes(spec)).items():
        if names[-1] in ("scale", "var"):
            value = np.ones(leaf.shape)
        else:
            value = rng.normal(0, np.prod(leaf.shape[:-1], initial=1.0) ** -0.5, leaf.shape)
        variables[names] = value.astype(np.float32)
    charset = Charset(tuple(chr(0x4E00 + i) for i in range(CLASSES - 1))) if spec.task == "rec" else None
    export_onnx(TrainedNetwork(spec, traverse_util.unflatten_dict(variables), charset), path)


def timed(paths: Mapping[str, Path], *, threads: int, rounds: int) -> dict[str, np.ndarray]:
    """Return the milliseconds of each network in each round."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning would slow the next network
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for name, path in paths.items()
    }
    rng = np.random.default_rng(0)
    images = {name: rng.normal(size=(1, 3, *NETWORKS[name].size)).astype(np.float32) for name in paths}
    spent: dict[str, list[float]] = {name: [] for name in paths}
    for turn in range(rounds + 1):  # the first is a warm-up
        for name, session in sessions.items():
            if name in HEAVY and turn % HEAVY_EVERY:
                continue
            start = time.perf_counter()
            session.run(None, {"images": images[name]})
            if turn or (name in HEAVY and rounds < HEAVY_EVERY):
                spent[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in spent.items()}


def backbone_table(times: Mapping[int, Mapping[str, np.ndarray]]) -> list[str]:
    """Return the rows of Table 4."""
    base = "PP-LCNet x1.0"
    heads = "".join(f" {n} thread{'s' * (n > 1)}: least / median ms | ratio |" for n in times)
    rows = [f"| backbone, 224 x 224 |{heads} paper's ratio |", "|---|" + "---|---|" * len(times) + "---|"]
    for name, paper in TABLE_4.items():
        cells = "".join(
            f" {t[name].min():.2f} / {np.median(t[name]):.2f} | {t[name].min() / t[base].min():.2f} |"
            for t in times.values()
        )
        rows.append(f"| {name} |{cells} {paper / TABLE_4[base]:.2f} |")
    return rows


def recognizer_table(times: Mapping[int, Mapping[str, np.ndarray]]) -> list[str]:
    """Return the rows of Table 3 and of the other recognizers."""
    heads = "".join(f" {n} thread{'s' * (n > 1)}: least / median ms |" for n in times)
    rows = [f"| recognizer, one line 320 wide |{heads} paper ms |", "|---|" + "---|" * len(times) + "---|"]
    for name in (name for name in NETWORKS if name.startswith("rec ")):
        cells = "".join(f" {t[name].min():.2f} / {np.median(t[name]):.2f} |" for t in times.values())
        rows.append(f"| {name.removeprefix('rec ')} |{cells} {TABLE_3.get(name, '')} |")
    return rows


def system_table(times: Mapping[int, Mapping[str, np.ndarray]], sizes: Mapping[str, float]) -> list[str]:
    """Return the rows of Table 5: time of the networks only, for a page with `LINES` lines."""
    heads = "".join(f" {n} thread{'s' * (n > 1)}: ms | ratio |" for n in times)
    rows = [
        f"| system, a page of {PAGE[0]} x {PAGE[1]} with {LINES} lines |{heads} MB | paper ms | ratio | MB |",
        "|---|" + "---|---|" * len(times) + "---|---|---|---|",
    ]

    def page(t: Mapping[str, np.ndarray], det: str, rec: str) -> float:
        return t[det].min() + LINES * (t["cls"].min() + t[rec].min())

    base_det, base_rec, base_paper, _ = TABLE_5["PP-OCRv2"]
    assert base_paper is not None
    for name, (det, rec, paper, megabytes) in TABLE_5.items():
        cells = "".join(
            f" {page(t, det, rec):.0f} | {page(t, det, rec) / page(t, base_det, base_rec):.2f} |"
            for t in times.values()
        )
        size = sizes[det] + sizes[rec] + sizes["cls"]
        published = f"{paper:.0f} | {paper / base_paper:.2f} | {megabytes}" if paper else " |  | "
        rows.append(f"| {name} |{cells} {size:.1f} | {published} |")
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Export and time the networks, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="runs of every network (default: 40)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="thread counts of ONNX Runtime (default: 1 2)"
    )
    parser.add_argument(
        "--folder", type=Path, help="folder for the ONNX files, kept for the next run (default: a temporary one)"
    )
    parser.add_argument("--output", type=Path, help="Markdown file to write (default: only print)")
    parser.add_argument(
        "--note", default="", help="note to put below the heading, such as the other load on the machine"
    )
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = {name: folder / f"{name.replace(' ', '_')}.onnx" for name in NETWORKS}
        for name, path in paths.items():
            if not path.is_file():
                print(f"exporting {name}", flush=True)
                export(NETWORKS[name], path)
        times = {n: timed(paths, threads=n, rounds=args.rounds) for n in args.threads}
        sizes = {name: path.stat().st_size / 1e6 for name, path in paths.items()}
    load = " / ".join(f"{value:.1f}" for value in os.getloadavg())
    heading = f"{args.rounds} rounds, ONNX Runtime {onnxruntime.__version__}, {os.cpu_count()} cores, load {load}."
    tables = (backbone_table(times), recognizer_table(times), system_table(times, sizes))
    text = "\n\n".join([f"# Speed of the networks\n\n{heading} {args.note}".rstrip(), *("\n".join(t) for t in tables)])
    print(text)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
