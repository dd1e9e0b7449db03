"""A server in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(*arguments: str, seconds: float = 60, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `ppocr-jax serve`; gives its address, once it is ready, and its process, which is stopped at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ppocr_jax", "serve", "--port", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("http"):
            process.wait(10)
            raise AssertionError(f"the server did not start: {line}{process.stderr and process.stderr.read()}")
        address = line.split()[0]
        deadline = time.monotonic() + seconds
        while not _ready(address):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline, "the server is not ready"
            time.sleep(0.1)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/ready", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
