"""Speed of training steps (plain, DML, CML, U-DML), on 1 to 8 devices, and of the input pipeline.

    python benchmarks/training_scale.py [--quick] [--devices 1 2 4 8]

Needs ppocr_jax's [train] extra. Each measurement runs in its own process (scale_worker.py), one after the other, in
random order. Prints Markdown tables and writes `results/training_scale.json`. The machine should have no other load.

A batch is split over the devices. On a CPU, these are simulated and share its cores. On accelerators
(`--platform gpu`), the real devices are used, and steps are measured in float32 and bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training_scale.json"
WORKER = HERE / "scale_worker.py"
TIMEOUT_SECONDS = 1200

OBJECTIVES = {
    "rec": ({"task": "rec", "batch": 64, "width": 160}, ("plain", "udml")),
    "det": ({"task": "det", "batch": 8, "width": 320}, ("plain", "dml", "cml")),
}


def measure(job: dict[str, Any], platform: str) -> dict[str, Any]:
    """Run one worker and return its figures.

    Raises:
        SystemExit: The worker failed; the message has the end of its output.
    """
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "JAX_PLATFORMS": platform}
    environment["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"  # as in the training commands
    if platform == "cpu":
        devices = f"--xla_force_host_platform_device_count={job['devices']}"
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {devices}"
    command = [sys.executable, WORKER, json.dumps(job)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )
    if done.returncode:
        sys.exit(f"{job}: the measurement failed\n{done.stderr[-2000:]}")
    return {**job, **json.loads(done.stdout.splitlines()[-1])}


def jobs_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return all measurements, in random order."""
    computes = ("float32",) if options.platform == "cpu" else ("float32", "bfloat16")
    jobs = []
    for case, objectives in ((dict(c), o) for c, o in OBJECTIVES.values()):
        case["batch"] //= 4 if options.quick else 1
        base = {**case, "kind": "step", "steps": 2 if options.quick else 3, "devices": 1}
        jobs += [{**base, "objective": objective, "compute": c} for objective in objectives for c in computes]
        jobs.append({**case, "kind": "input", "workers": 2, "devices": 1})
    rec = {**OBJECTIVES["rec"][0], "kind": "step", "objective": "plain", "compute": "float32", "steps": 3}
    if options.platform == "cpu":
        jobs += [{**rec, "devices": count} for count in options.devices if count != 1]
    random.Random(0).shuffle(jobs)
    return jobs


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" if i == 0 else "---:" for i in range(len(header))), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def report(results: list[dict[str, Any]]) -> str:
    """Return the tables of objectives and devices."""
    steps = [r for r in results if r["kind"] == "step"]
    inputs = {r["task"]: r["images_per_second"] for r in results if r["kind"] == "input"}
    plain = {r["task"]: r for r in steps if r["objective"] == "plain" and r["devices"] == 1}
    order = ("plain", "dml", "cml", "udml")
    objective_rows = [
        (
            f"{r['task']}, {r['objective']}",
            r["compute"],
            str(r["devices"]),
            f"{r['step_seconds']:.2f}",
            f"{r['images_per_second']:.1f}",
            f"{r['step_seconds'] / plain[r['task']]['step_seconds']:.2f}x",
            f"{inputs[r['task']]:.0f}",
        )
        for r in sorted(steps, key=lambda r: (r["task"], order.index(r["objective"])))
        if r["devices"] == 1 or r["objective"] != "plain"
    ]
    header = ("objective", "type", "devices", "s/step", "images/s", "time to plain", "input, images/s (2 workers)")
    device_rows = [
        (str(r["devices"]), f"{r['step_seconds']:.2f}", f"{r['images_per_second']:.1f}")
        for r in sorted(steps, key=lambda r: r["devices"])
        if r["task"] == "rec" and r["objective"] == "plain" and r["compute"] == "float32"
    ]
    return "\n\n".join([table(header, objective_rows), table(("devices", "s/step", "images/s"), device_rows)])


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="use small batches, for a trial run")
    add("--devices", type=int, nargs="+", default=[1, 2, 4, 8], help="numbers of CPU devices (default: 1 2 4 8)")
    add("--platform", default="cpu", choices=["cpu", "gpu", "cuda"], help="JAX platform (default: %(default)s)")
    add("--output", type=Path, default=RESULTS, help="JSON file to write (default: results/training_scale.json)")
    options = parser.parse_args()
    results = []
    for job in jobs_of(options):
        results.append(measure(job, options.platform))
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(report(results))


if __name__ == "__main__":
    main()
