"""The server under load and faults, compared with the library in the same run.

    python benchmarks/load.py [--seconds 60] [--clients 1 8 64] [--requests 5000] [--image examples/receipt.jpg]

Load: clients send one image after the other on persistent connections; throughput is compared with `OCR.read_many` on
the same image, in turns. Faults: slow clients, interrupted uploads, bad inputs, a killed worker; after each, the server
must still give the right answer. Memory: resident MiB while many small images are read.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from PIL import Image

from ppocr_jax import OCR

ROOT = Path(__file__).resolve().parents[1]
SLICES = 6
SLOW_BYTES, SLOW_PAUSE = 256, 0.05  # bytes that a slow client sends at a time, and seconds between them


@contextmanager
def server(*arguments: str) -> Iterator[tuple[str, int, psutil.Process]]:
    """Run `ppocr-jax serve`; yield its host, port and process."""
    command = [
        sys.executable,
        "-m",
        "ppocr_jax",
        "serve",
        "--port",
        "0",
        "--queue",
        "256",
        "--read-seconds",
        "900",
        *arguments,
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.match(r"http://([\d.]+):(\d+)", process.stdout.readline())
        if found is None:
            raise SystemExit("the server did not start")
        host, port = found[1], int(found[2])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://{host}:{port}/ready", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield host, port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> tuple[int, bytes]:
    """Send POST /ocr on an open connection; return the status and body."""
    head = f"POST /ocr HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await writer.drain()
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", answer)
    return int(answer.split(b" ", 2)[1]), await reader.readexactly(int(length[1]) if length else 0)


async def load(
    host: str, port: int, data: bytes, clients: int, seconds: float, expected: bytes
) -> tuple[list[float], int, float]:
    """Run clients without pauses; return the seconds of each request, the number of errors, and the total time."""
    times: list[float] = []
    errors = 0
    begun = time.perf_counter()

    async def client() -> None:
        nonlocal errors
        reader, writer = await asyncio.open_connection(host, port)
        while (asked := time.perf_counter()) < begun + seconds:
            status, body = await ask(reader, writer, data)
            if status != 200 or body != expected:
                errors += 1
            times.append(time.perf_counter() - asked)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return times, errors, time.perf_counter() - begun


def bare(ocr: OCR, data: bytes, seconds: float, threads: int) -> tuple[int, float]:
    """Read with `OCR.read_many`; return the number of pages and the time."""
    begun, count = time.perf_counter(), 0
    for _ in ocr.read_many(itertools.repeat(data), workers=threads):
        count += 1
        if time.perf_counter() - begun >= seconds:
            break
    return count, time.perf_counter() - begun


def compare(
    address: tuple[str, int],
    process: psutil.Process,
    ocr: OCR,
    data: bytes,
    clients: int,
    seconds: float,
    expected: bytes,
) -> str:
    """Return a table row: server and library in `SLICES` turns, so that other load affects both equally."""
    threads = len(os.sched_getaffinity(0))
    served, lasted, errors, pages, library_lasted, cpu, library_cpu = [], 0.0, 0, 0, 0.0, 0.0, 0.0
    for _ in range(SLICES):
        before = time.process_time()
        count, taken = bare(ocr, data, seconds / SLICES, threads)
        library_cpu += time.process_time() - before
        pages, library_lasted = pages + count, library_lasted + taken
        before = sum(process.cpu_times()[:2])
        times, wrong, taken = asyncio.run(load(*address, data, clients, seconds / SLICES, expected))
        cpu += sum(process.cpu_times()[:2]) - before
        served, errors, lasted = [*served, *times], errors + wrong, lasted + taken
    served.sort()
    ratio = len(served) / lasted / (pages / library_lasted)
    cpu_ratio = cpu / len(served) / (library_cpu / pages)
    p50, p99 = (1000 * served[min(len(served) - 1, len(served) * share // 100)] for share in (50, 99))
    row = f"| {clients} | {len(served) / lasted:.2f} | {ratio:.2f} | {cpu_ratio:.2f} | {p50:.0f} | {p99:.0f} "
    return f"{row}| {len(served)} | {errors} |"


async def slow_clients(host: str, port: int, data: bytes, count: int, seconds: float) -> None:
    """Run clients that upload slowly and disconnect before the end."""

    async def dribble() -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST /ocr HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        end = time.perf_counter() + seconds
        for start in range(0, len(data) - SLOW_BYTES, SLOW_BYTES):
            if time.perf_counter() > end:
                break
            writer.write(data[start : start + SLOW_BYTES])
            await writer.drain()
            await asyncio.sleep(SLOW_PAUSE)
        writer.close()

    await asyncio.gather(*(dribble() for _ in range(count)))


async def faults(host: str, port: int, data: bytes, expected: bytes, bad: int) -> None:
    """Test the faults of clients and print the results."""

    async def good() -> bool:
        reader, writer = await asyncio.open_connection(host, port)
        answer = await ask(reader, writer, data)
        writer.close()
        return answer == (200, expected)

    slow = asyncio.create_task(slow_clients(host, port, data, 100, 10))
    await asyncio.sleep(1)
    answers = [await good() for _ in range(5)]
    await slow
    print(f"| beside 100 slow clients | 5 requests: {answers.count(True)} right |")

    for _ in range(200):
        _, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST /ocr HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:5000])
        await writer.drain()
        writer.transport.abort()
    print(f"| after 200 uploads that were broken off | {'right' if await good() else 'WRONG'} |")

    generator, statuses = random.Random(0), Counter()
    reader, writer = await asyncio.open_connection(host, port)
    for number in range(bad):
        damaged = bytearray(data)
        kind = number % 4
        if kind == 0:
            damaged = bytearray(generator.randbytes(generator.randrange(1, 5000)))
        elif kind == 1:
            damaged = damaged[: generator.randrange(1, len(damaged) // 3)]
        elif kind == 2:
            damaged[:4] = generator.randbytes(4)
        else:
            damaged = bytearray(b"%PDF-1.7\n") + bytearray(generator.randbytes(2000))
        status, _ = await ask(reader, writer, bytes(damaged))
        statuses[status] += 1
    writer.close()
    said = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    print(f"| {bad} bad inputs: {said} | then {'right' if await good() else 'WRONG'} |", flush=True)


async def killed_worker(host: str, port: int, process: psutil.Process, data: bytes, expected: bytes) -> None:
    """Kill one of two workers during requests of eight clients, and print the outcomes of the requests."""
    outcomes: Counter[str] = Counter()
    end = time.perf_counter() + 20

    async def client() -> None:
        while time.perf_counter() < end:
            try:
                reader, writer = await asyncio.open_connection(host, port)
                answer = await ask(reader, writer, data)
                outcomes["right" if answer == (200, expected) else f"wrong ({answer[0]})"] += 1
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                outcomes["connection lost"] += 1

    def workers() -> list[psutil.Process]:
        return [child for child in process.children() if "spawn_main" in " ".join(child.cmdline())]

    before = workers()
    tasks = [asyncio.create_task(client()) for _ in range(8)]
    await asyncio.sleep(3)
    os.kill(before[0].pid, signal.SIGKILL)
    await asyncio.gather(*tasks)
    said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"| a worker killed under 8 clients | {said}; {len(workers())} workers afterwards |", flush=True)


async def memory(host: str, port: int, process: psutil.Process, requests: int) -> None:
    """Print the resident MiB while many small images of different sizes are read."""
    generator = random.Random(0)
    with Image.open(ROOT / "examples" / "sign.jpg") as image:
        images = []
        for _ in range(50):
            wide, high = generator.randrange(60, 240), generator.randrange(40, 120)
            left, top = generator.randrange(image.width - wide), generator.randrange(image.height - high)
            out = io.BytesIO()
            image.crop((left, top, left + wide, top + high)).save(out, "JPEG")
            images.append(out.getvalue())
    counted, failed, figures = itertools.count(), 0, []

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(host, port)
        while (number := next(counted)) < requests:
            status, _ = await ask(reader, writer, images[number % 50])
            failed += status != 200
            if number % max(1, requests // 5) == 0:
                figures.append((number, process.memory_info().rss / 2**20))
        writer.close()

    await asyncio.gather(*(client() for _ in range(8)))
    figures.append((requests, process.memory_info().rss / 2**20))
    print(
        "| " + ", ".join(f"after {number}: {size:.0f}" for number, size in figures) + f" | {failed} failed |",
        flush=True,
    )


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seconds", type=float, default=60, help="time per number of clients (default: %(default)s)")
    add("--clients", type=int, nargs="+", default=[1, 8, 64], help="numbers of clients (default: 1 8 64)")
    add("--requests", type=int, default=5000, help="requests for measuring memory (default: %(default)s)")
    add("--bad", type=int, default=1000, help="number of bad inputs (default: %(default)s)")
    add(
        "--image",
        type=Path,
        default=ROOT / "examples" / "receipt.jpg",
        help="image to read (default: examples/receipt.jpg)",
    )
    args = parser.parse_args()
    data, threads = args.image.read_bytes(), len(os.sched_getaffinity(0))
    ocr = OCR("en").warm_up()
    expected = (ocr.single_threaded()(data).text + "\n").encode()
    print(f"{args.image.name}, {threads} cores, load {psutil.getloadavg()[0]:.1f} from others\n")
    print("| clients | pages/s | beside the library | its CPU time | p50 ms | p99 ms | requests | errors |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    with server() as (host, port, process):
        for clients in args.clients:
            print(compare((host, port), process, ocr, data, clients, args.seconds, expected), flush=True)
        print("\n| fault | |\n|---|---|")
        asyncio.run(faults(host, port, data, expected, args.bad))
        with server("--workers", "2", "--threads", "1") as (other, other_port, other_process):
            asyncio.run(killed_worker(other, other_port, other_process, data, expected))
        print("\n| resident MiB | |\n|---|---|")
        asyncio.run(memory(host, port, process, args.requests))
        with urllib.request.urlopen(f"http://{host}:{port}/health", timeout=10) as answer:
            assert json.load(answer)["status"] == "ok"


if __name__ == "__main__":
    main()
