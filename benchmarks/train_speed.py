"""Training speed on a CPU: ppocr_jax with XLA's convolutions and with its own CPU forms, and the networks in PyTorch.

    python benchmarks/train_speed.py [--quick] [--large] [--only rec|det] [--threads N] [--torch-version 2.13.0]

Needs ppocr_jax's [train] extra; PyTorch is installed into a separate environment below the user's cache folder. Each
measurement runs in its own process (train_speed_worker.py) on the same cores; the contenders take turns in random
order. Prints a Markdown table and writes `results/train_speed.json`. The machine should have no other load.

Figures: images/s: batch / median step. GFLOP/s: 2 x 3 x (multiply-accumulates of the forward pass's convolutions and
matrix products, counted in the plain network) / step, because a backward pass costs two forward passes. The same count
is used for all contenders. XLA's own convolutions are so slow that they get a small batch and one timed step.
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
from typing import Any, NamedTuple

from workers import environment_with

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "train_speed.json"
WORKER = HERE / "train_speed_worker.py"
VARIANTS = {
    "native": "JAX, XLA's convolutions",
    "ours": "JAX, ours",
    "torch": "PyTorch",
    "torch_tuned": "PyTorch, our allocator settings",
}
# The setting of the training commands; see ppocr_jax.training.platform.restart_with_huge_pages.
HUGE_PAGES = "glibc.malloc.hugetlb=1"
# The settings of ppocr_jax.training.platform.prepare_cpu, for a process that cannot call it.
KEEP_MEMORY = (
    "glibc.malloc.mmap_threshold=2147483647:glibc.malloc.trim_threshold=2147483647:glibc.malloc.top_pad=268435456"
)
NATIVE_BATCH = 4
WORKER_TIMEOUT_SECONDS = 1200


class Case(NamedTuple):
    """A network with a batch shape."""

    task: str
    batch: int
    height: int
    width: int

    def __str__(self) -> str:
        name = {"rec": "recognizer", "det": "detector"}[self.task]
        return f"{name}, {self.batch} x {self.height}x{self.width}"


FULL = (Case("rec", 64, 32, 320), Case("rec", 64, 32, 160), Case("det", 8, 320, 320))
LARGE = Case("det", 8, 640, 640)
QUICK = (Case("rec", 16, 32, 160), Case("det", 2, 320, 320))


def measure(case: Case, variant: str, python: Path, options: argparse.Namespace, cache: str) -> dict[str, Any]:
    """Run one worker and return its figures.

    Raises:
        SystemExit: The worker failed; the message has the end of its output.
    """
    native = variant == "native"
    job = {
        **case._asdict(),
        "variant": variant,
        "batch": min(case.batch, NATIVE_BATCH) if native else case.batch,
        "steps": 1 if native else 2 if options.quick else 3,
        "threads": options.threads,
    }
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "PYTHONPATH": str(HERE.parent),
    }
    tunables = {"ours": HUGE_PAGES, "torch_tuned": f"{KEEP_MEMORY}:{HUGE_PAGES}"}.get(variant)
    environment["GLIBC_TUNABLES"] = ":".join(filter(None, (environment.get("GLIBC_TUNABLES"), tunables)))
    command = [python, WORKER, json.dumps(job)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WORKER_TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        sys.exit(f"{case}, {variant}: the measurement failed\n{done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "batch": job["batch"]}


def measure_all(cases: list[Case], options: argparse.Namespace) -> dict[Case, dict[str, list[dict[str, Any]]]]:
    """Run all measurements in random order; the slow native form is measured only in the first turn."""
    torch = environment_with(f"torch-{options.torch_version}", [f"torch=={options.torch_version}", "numpy"])
    pythons = {name: torch if name.startswith("torch") else Path(sys.executable) for name in VARIANTS}
    runs: dict[Case, dict[str, list[dict[str, Any]]]] = {case: {name: [] for name in VARIANTS} for case in cases}
    shuffle = random.Random(0).shuffle
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(options.turns):
            jobs = [(case, variant) for case in cases for variant in VARIANTS if turn == 0 or variant != "native"]
            shuffle(jobs)
            for case, variant in jobs:
                figures = measure(case, variant, pythons[variant], options, cache)
                runs[case][variant].append(figures)
                print(f"{case}, {variant}: {figures['median']:.3f} s a step", file=sys.stderr, flush=True)
    return runs


def summarize(case: Case, runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the medians over all timed steps of a case, and the ratios between the contenders.

    Raises:
        SystemExit: The contenders do not have the same number of parameters.
    """
    parameters = {variant: figures[0]["parameters"] for variant, figures in runs.items()}
    if len(set(parameters.values())) > 1:
        sys.exit(f"{case}: the networks differ in their number of parameters: {parameters}")
    macs_per_image = runs["ours"][0]["forward_macs"] / runs["ours"][0]["batch"]
    contenders: dict[str, dict[str, Any]] = {}
    for variant, figures in runs.items():
        seconds = statistics.median(second for run in figures for second in run["seconds"])
        images_per_second = figures[0]["batch"] / seconds
        contenders[variant] = {
            "batch": figures[0]["batch"],
            "step_seconds": seconds,
            "images_per_second": images_per_second,
            "gflops": 6 * macs_per_image * images_per_second / 1e9,
            "cpu_per_wall": statistics.median(run["cpu_ratio"] for run in figures),
            # Later turns find the compiled step in the cache.
            "compile_seconds": max(run["compile_seconds"] or 0 for run in figures),
        }
    speed = {variant: figures["images_per_second"] for variant, figures in contenders.items()}
    return {
        "case": str(case),
        "parameters": parameters["ours"],
        "forward_mmacs_per_image": macs_per_image / 1e6,
        "contenders": contenders,
        "ours_to": {variant: speed["ours"] / speed[variant] for variant in speed if variant != "ours"},
    }


def markdown(summaries: list[dict[str, Any]]) -> str:
    """Return the table for the README."""
    lines = [
        "| training step | contender | images/s | GFLOP/s | CPU/wall | compile, s | ours is |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for summary in summaries:
        for variant, figures in summary["contenders"].items():
            name = VARIANTS[variant] + (f" (batch {figures['batch']})" if variant == "native" else "")
            ratio = "" if variant == "ours" else f"{summary['ours_to'][variant]:.2f}x"
            lines.append(
                f"| {summary['case']} | {name} | {figures['images_per_second']:.1f} | {figures['gflops']:.0f} "
                f"| {figures['cpu_per_wall']:.2f} | {figures['compile_seconds']:.0f} | {ratio} |"
            )
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """Return the parsed command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="use small batches and a single round, to check that everything works"
    )
    parser.add_argument("--large", action="store_true", help="also measure the detector at 640x640")
    parser.add_argument("--only", choices=("rec", "det"), help="measure one network instead of both")
    parser.add_argument("--threads", type=int, default=cores, help="CPU cores to use (default: all, %(default)s)")
    parser.add_argument("--torch-version", default="2.13.0", help="version of PyTorch (default: %(default)s)")
    options = parser.parse_args()
    options.turns = 1 if options.quick else 2
    return options


def main() -> None:
    options = parse_arguments()
    wanted = [*(QUICK if options.quick else FULL), *([LARGE] if options.large else [])]
    cases = [case for case in wanted if options.only in (None, case.task)]
    start = time.perf_counter()
    summaries = [summarize(case, runs) for case, runs in measure_all(cases, options).items()]
    machine = f"{platform.machine()}, {options.threads} threads, torch {options.torch_version}"
    report = {"machine": machine, "seconds": time.perf_counter() - start, "cases": summaries}
    print(markdown(summaries))
    if not options.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
