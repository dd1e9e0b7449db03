"""Speed of `ppocr-jax bulk` compared with a plain loop: images/s, and CPU seconds per page over all processes.

    python benchmarks/bulk.py [--pages 40] [--rounds 2] [--image examples/sign.jpg] [--engines local ray]

Each contender reads copies of one image in its own processes, once a few and once all. The time to start is computed
from both. On a machine with other load, CPU seconds are the reliable figure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
FEW = 2
LOOP = """
import sys
from ppocr_jax import OCR
ocr = OCR("en", threads=1)
for path in sys.argv[1:]:
    ocr(path).text
"""


def measured(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return the wall and CPU seconds of all its processes, including daemons."""
    begun, spent = time.perf_counter(), {}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        known = {process.pid: psutil.Process(process.pid)}
        while process.poll() is None:
            for child in [child for parent in list(known.values()) for child in _children(parent)]:
                known.setdefault(child.pid, child)
            for pid, one in known.items():
                try:
                    times = one.cpu_times()
                    spent[pid] = times.user + times.system
                except psutil.Error:
                    continue
            time.sleep(0.2)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command[:8])} failed with {process.returncode}:\n{said.read()[-3000:]}")
    return time.perf_counter() - begun, sum(spent.values())


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def main() -> None:
    """Measure all contenders and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=40, help="copies of the image to read (default: %(default)s)")
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        help="rounds, in which contenders take turns so that other load affects all equally (default: %(default)s)",
    )
    parser.add_argument(
        "--image",
        type=Path,
        default=ROOT / "examples" / "sign.jpg",
        help="JPEG file to read (default: examples/sign.jpg)",
    )
    parser.add_argument(
        "--engines", nargs="+", default=["local", "ray"], help="engines of bulk to run (default: local ray)"
    )
    args = parser.parse_args()
    load = psutil.getloadavg()[0]
    print(f"{args.pages} copies of {args.image.name}, {psutil.cpu_count()} cores, load {load:.1f} from others\n")
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for count in (FEW, args.pages + FEW):
            folders[count] = Path(scratch) / str(count)
            folders[count].mkdir()
            for number in range(count):
                (folders[count] / f"{number}.jpg").write_bytes(args.image.read_bytes() + bytes(number))

        def contender(name: str, count: int, turn: int) -> list[str]:
            if name == "loop":
                return [sys.executable, "-c", LOOP, *map(str, sorted(folders[count].iterdir()))]
            engine, workers = name.split()
            output = Path(scratch) / f"{engine}{workers}-{count}-{turn}"
            bulk = [sys.executable, "-m", "ppocr_jax", "bulk", str(folders[count]), "--output", str(output)]
            return [*bulk, "--engine", engine, "--num-cpus", workers]

        names = ["loop", *(f"{engine} {workers}" for engine in args.engines for workers in (1, 2))]
        sums = {(name, count): [0.0, 0.0] for name in names for count in folders}
        for turn in range(args.rounds):
            for (name, count), total in sums.items():
                for place, value in enumerate(measured(contender(name, count, turn))):
                    total[place] += value / args.rounds
        print("| | start, s | images/s | CPU s/image | CPU beside the loop |\n|---|---:|---:|---:|---:|")
        few, every = folders
        for name in names:
            wall, cpu = ((sums[name, every][i] - sums[name, few][i]) / args.pages for i in (0, 1))
            loop_cpu = (sums["loop", every][1] - sums["loop", few][1]) / args.pages
            start = sums[name, few][0] - FEW * wall
            print(f"| {name} | {start:.1f} | {1 / wall:.2f} | {cpu:.3f} | {cpu / loop_cpu:.2f}x |")


if __name__ == "__main__":
    main()
