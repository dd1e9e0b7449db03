"""Speed and results of ONNX Runtime, OpenVINO, and recognizers restricted to some letters, in one run.

    taskset -c 0 python benchmarks/backends.py --labels FILE [--count 24] [--models en ppocr-v6] [--rounds 2]

Each contender is a persistent process with one thread. Images are in random order, and the contenders take turns in
random order for each. Times are CPU seconds of the whole process (so waiting on a busy machine does not count),
relative to ONNX Runtime with all letters. start: import, loading and the first image; cold: the first time that each
other image is read, when OpenVINO compiles for new sizes; warm: later times (medians). Memory: peak resident size after
the first image and after all. Hmean: end to end, ignoring case and spaces; same: share of pages with exactly the text
of ONNX Runtime. Prints a Markdown table and writes `results/backends.json`.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from workers import Worker

from ppocr_jax.data.labels import DetectionRecord, read_labels
from ppocr_jax.document.page import Page
from ppocr_jax.evaluation.pages import score_pages

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "backends.json"
CONTENDERS: dict[str, dict[str, Any]] = {
    "ONNX Runtime": {},
    "ONNX Runtime, letters latin": {"letters": "latin"},
    "OpenVINO, float32": {"backend": "openvino", "precision": "float32"},
    "OpenVINO": {"backend": "openvino"},
    "OpenVINO, letters latin": {"backend": "openvino", "letters": "latin"},
}
PLAIN = next(iter(CONTENDERS))


class Contender:
    """A worker process with the pages that it has read, their times, and its memory."""

    def __init__(self, name: str, model: str) -> None:
        self.name = name
        self.pages: dict[str, Page] = {}
        self.seconds: dict[str, list[float]] = {}
        self.memory: list[float] = []
        options = json.dumps({"model": model, "threads": 1, **CONTENDERS[name]})
        self.worker = Worker(name, Path(__file__).resolve(), "--worker", options)

    def read(self, path: str) -> None:
        """Read an image and record the result.

        Raises:
            RuntimeError: The worker has ended.
        """
        answer = self.worker.ask(read=path)
        self.pages[path] = Page.from_dict(answer["page"])
        self.seconds.setdefault(path, []).append(answer["seconds"])
        self.memory.append(answer["mib"])


def work(options: dict[str, Any]) -> None:
    """Read the images whose paths arrive on standard input; the time of the first includes import and loading."""
    from ppocr_jax import OCR

    answers, sys.stdout = sys.stdout, sys.stderr  # keeps the output of libraries out of the answers
    ocr, before = OCR(**options), 0.0
    for line in sys.stdin:
        page = ocr(json.loads(line)["read"]).to_dict()
        now, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"page": page, "seconds": now - before, "mib": peak}), file=answers, flush=True)
        before = time.process_time()


def measure(model: str, records: list[DetectionRecord], rounds: int, names: list[str]) -> dict[str, dict[str, float]]:
    """Return the figures of all contenders with one model."""
    paths = [str(record.image_path) for record in records]
    contenders = [Contender(name, model) for name in names]
    for contender in contenders:
        contender.read(paths[0])
    rng = random.Random(0)
    for done in range(rounds + 1):
        begun = time.perf_counter()
        for path in rng.sample(paths, len(paths)) if done else rng.sample(paths[1:], len(paths) - 1):
            for contender in rng.sample(contenders, len(contenders)):
                contender.read(path)
        print(f"{model}, round {done}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    figures = {}
    for contender in contenders:
        contender.worker.stop()
        seconds = contender.seconds
        score = score_pages(records, [contender.pages[p] for p in paths], ignore_case=True, ignore_space=True)
        figures[contender.name] = {
            "start": seconds[paths[0]][0],
            "cold": statistics.fmean(seconds[path][0] for path in paths[1:]),
            "warm": statistics.fmean(statistics.median(seconds[path][1:]) for path in paths),
            "first_mib": contender.memory[0],
            "all_mib": contender.memory[-1],
            "hmean": score["hmean"],
            "same": sum(contender.pages[p].text == contenders[0].pages[p].text for p in paths) / len(paths),
        }
    return figures


def table(model: str, figures: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table with times relative to ONNX Runtime."""
    plain = figures[PLAIN]
    lines = [
        f"| `{model}` | start, s | cold | warm | MiB, first | MiB, all | Hmean | same pages |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, f in figures.items():
        lines.append(
            f"| {name} | {f['start']:.1f} | {f['cold'] / plain['warm']:.2f} | {f['warm'] / plain['warm']:.2f} "
            f"| {f['first_mib']:.0f} | {f['all_mib']:.0f} | {f['hmean']:.3f} | {f['same']:.0%} |"
        )
    return "\n".join([*lines, f"\n1.00 is {plain['warm']:.2f} CPU seconds an image.\n"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--labels", type=Path, metavar="FILE", help="label file of the images to read")
    parser.add_argument("--count", type=int, default=24, help="number of images (default: %(default)s)")
    parser.add_argument(
        "--models", nargs="+", default=["en", "ppocr-v6"], metavar="NAME", help="models to run (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=2, help="times to read each image after warming up (default: %(default)s)"
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=list(CONTENDERS),
        metavar="NAME",
        help=f"contenders to run besides {PLAIN}: {'; '.join(CONTENDERS)} (default: all)",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(json.loads(options.worker))
    if options.labels is None:
        parser.error("--labels says which images to read")
    names = [PLAIN, *(name for name in options.contenders if name != PLAIN)]
    records = list(read_labels(options.labels).records[: options.count])
    reports = {model: measure(model, records, options.rounds, names) for model in options.models}
    for model, figures in reports.items():
        print(table(model, figures))
    RESULTS.parent.mkdir(exist_ok=True)
    report = {"machine": platform.machine(), "images": len(records), "models": reports}
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main()
