"""Reading speed compared with RapidOCR, with the same networks, images and threads.

    python benchmarks/speed.py [--images DIR] [--count N] [--threads 1 2] [--rounds 2]

RapidOCR is installed into a separate environment below the user's cache folder; both use its ONNX files. Each contender
is a persistent process; images are in random order, and the contenders take turns in random order for each. Without
--images, synthetic pages of `ppocr-jax synth det` are read. Prints Markdown tables and writes `results/speed.json`. The
machine should have no other load.

Figures: images/s: images / sum of their times (each the median of its rounds); folder: all images in one call, if the
library has one; start: from starting the process to the text of the first image; memory: peak resident size after the
first image and after all. Texts are compared by the mean similarity (1 - edit distance / longer length) of whole pages.
A second table lists the times of the stages of ppocr_jax.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from workers import Worker, environment_with

from ppocr_jax.images import FORMATS, ImageError, load_image
from ppocr_jax.metrics.recognition import normalized_edit_distance

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "speed.json"
WORKER = HERE / "speed_worker.py"
RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
CONTENDERS = ("ppocr_jax", "rapidocr")
FILES = {
    "det": "ch_PP-OCRv4_det_infer.onnx",
    "cls": "ch_ppocr_mobile_v2.0_cls_infer.onnx",
    "rec": "ch_PP-OCRv4_rec_infer.onnx",
}


def start(name: str, python: Path | None, threads: int, models: dict[str, str]) -> Worker:
    """Start the process of a contender."""
    return Worker(name, WORKER, json.dumps({"contender": name, "threads": threads, "models": models}), python=python)


def bundled_files(python: Path) -> dict[str, str]:
    """Return the paths of RapidOCR's ONNX files."""
    code = "import importlib.util as u; print(u.find_spec('rapidocr_onnxruntime').submodule_search_locations[0])"
    folder = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    return {task: str(Path(folder) / "models" / name) for task, name in FILES.items()}


def images(options: argparse.Namespace, scratch: Path) -> list[str]:
    """Return the paths of the images to read."""
    folder = options.images
    if folder is None:
        folder = scratch / "pages"
        command = ["synth", "det", "--count", str(options.count), "--output", str(folder), "--seed", "7"]
        subprocess.run([sys.executable, "-m", "ppocr_jax", *command], check=True, stdout=subprocess.DEVNULL)
    found = [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and _readable(path)]
    return found[: options.count]


def _readable(path: Path) -> bool:
    if path.suffix.lower().lstrip(".").replace("jpg", "jpeg") not in {name.lower() for name in FORMATS}:
        return False
    try:
        load_image(path)
    except ImageError:
        return False
    return True


def measure(paths: list[str], threads: int, python: Path, models: dict[str, str], rounds: int) -> dict[str, Any]:
    """Return the speed of single calls and of a folder, the start time and the memory of both contenders."""
    pythons = {"ppocr_jax": None, "rapidocr": python}
    figures: dict[str, dict[str, Any]] = {}
    contenders = []
    for name in CONTENDERS:
        starts = []
        for _ in range(3):
            begin = time.perf_counter()
            contender = start(name, pythons[name], threads, models if name == "ppocr_jax" else {})
            contender.ask(read=paths[0])
            starts.append(time.perf_counter() - begin)
            memory = contender.ask(memory=True)["peak_mib"]
            if len(starts) < 3:
                contender.stop()
        contenders.append(contender)
        figures[name] = {"start_seconds": statistics.median(starts), "first_mib": memory}
    seconds, texts = _single_calls(contenders, paths, rounds)
    stages = contenders[0].ask(stages=paths)["seconds"]
    for contender in contenders:
        folder = min(contender.ask(folder=paths)["seconds"] for _ in range(rounds))
        figures[contender.name] |= {
            "single_per_second": len(paths) / sum(statistics.median(values) for values in seconds[contender.name]),
            "folder_per_second": len(paths) / folder,
            "all_mib": contender.ask(memory=True)["peak_mib"],
        }
        contender.stop()
    return {"threads": threads, "contenders": figures, "similarity": _similarity(texts), "stages": stages}


def _single_calls(
    contenders: list[Worker], paths: list[str], rounds: int
) -> tuple[dict[str, list[list[float]]], dict[str, list[str]]]:
    """Return the seconds of each round and the text of each image, by contender."""
    seconds: dict[str, list[list[float]]] = {c.name: [[] for _ in paths] for c in contenders}
    texts = {c.name: [""] * len(paths) for c in contenders}
    rng = random.Random(0)
    for _ in range(rounds):
        for index in rng.sample(range(len(paths)), len(paths)):
            for contender in rng.sample(contenders, len(contenders)):
                found = contender.ask(read=paths[index])
                seconds[contender.name][index].append(found["seconds"])
                texts[contender.name][index] = "\n".join(sorted(found["texts"][0]))
    return seconds, texts


def _similarity(texts: dict[str, list[str]]) -> float:
    pairs = zip(*(texts[name] for name in CONTENDERS), strict=True)
    return statistics.fmean(1 - normalized_edit_distance(a, b) for a, b in pairs)


def markdown(reports: list[dict[str, Any]]) -> str:
    """Return the table for the README."""
    rows = {
        "single_per_second": "images/s, one call each",
        "folder_per_second": "images/s, a folder",
        "start_seconds": "start to first text, s",
        "first_mib": "memory after one image, MiB",
        "all_mib": "memory after all, MiB",
    }
    lines = ["| threads | | ppocr_jax | RapidOCR | ratio |", "|---|---|---:|---:|---:|"]
    for report in reports:
        mine, other = (report["contenders"][name] for name in CONTENDERS)
        for key, title in rows.items():
            digits = 0 if key.endswith("mib") else 2
            lines.append(
                f"| {report['threads']} | {title} | {mine[key]:.{digits}f} | {other[key]:.{digits}f} "
                f"| {mine[key] / other[key]:.2f}x |"
            )
        lines.append(f"| {report['threads']} | similarity of the texts | {report['similarity']:.3f} | | |")
    return "\n".join(lines)


def stage_table(stages: dict[str, float], images: int) -> str:
    """Return a table of the times of the stages of ppocr_jax on one thread."""
    total = sum(stages.values())
    rows = [f"| {name} | {value / images * 1e3:.1f} | {value / total:.0%} |" for name, value in stages.items()]
    return "\n".join(["| stage | ms an image | share |", "|---|---:|---:|", *rows])


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of images to read (default: synthetic pages)"
    )
    parser.add_argument("--count", type=int, default=30, help="number of images (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, nargs="+", default=sorted({1, cores}), help="thread counts (default: 1 and all cores)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="times to read each image (default: %(default)s)")
    options = parser.parse_args()
    python = environment_with(RAPIDOCR, [RAPIDOCR], headless=True)
    models = bundled_files(python)
    with tempfile.TemporaryDirectory() as scratch:
        paths = images(options, Path(scratch))
        if not paths:
            sys.exit("no images")
        reports = [measure(paths, threads, python, models, options.rounds) for threads in options.threads]
    print(markdown(reports))
    print("\nppocr_jax on one thread:\n")
    print(stage_table(reports[0]["stages"], len(paths)))
    RESULTS.parent.mkdir(exist_ok=True)
    report = {"machine": platform.machine(), "images": len(paths), "rapidocr": RAPIDOCR, "threads": reports}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
