"""Memory stays flat however many images of however many sizes are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
import numpy as np
from ppocr_jax import OCR
from ppocr_jax.images import load_image

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

page = load_image("examples/receipt.jpg")
rng = np.random.default_rng(0)

def images(count):
    for _ in range(count):
        height, width = rng.integers(100, page.shape[0] + 1), rng.integers(100, page.shape[1] + 1)
        top, left = rng.integers(0, page.shape[0] - height + 1), rng.integers(0, page.shape[1] - width + 1)
        yield page[top : top + height, left : left + width]

ocr, readings = OCR("en"), []
for number, _ in enumerate(ocr.read_many(images(int(sys.argv[1])))):
    if number % 50 == 49:
        readings.append(round(resident()))
print(json.dumps(readings))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_over_500_images_of_random_sizes():
    command = [sys.executable, "-c", SCRIPT, "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    readings = json.loads(done.stdout)
    print("MiB every 50 images:", readings)
    assert len(readings) == 10
    # What an image needs comes and goes; a leak of one small map an image would add 100 MiB.
    assert max(readings[5:]) < max(readings[:5]) + 40
