"""A small detection set with one of every damage, and its problems counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

GOOD = [[10, 10], [60, 10], [60, 30], [10, 30]]
SIZE = (100, 50)  # width, height


def region(text: str = "good", points: Any = GOOD) -> dict[str, Any]:
    return {"transcription": text, "points": points}


SHAPES = [
    region(),
    region("###", [GOOD[0], GOOD[2], GOOD[1], GOOD[3]]),  # self-intersecting
    region("good", GOOD[::-1]),  # counter-clockwise
    region("good", [GOOD[0], GOOD[1], GOOD[1], GOOD[0]]),  # degenerate
    region("*", [[110, 10], [130, 10], [130, 30], [110, 30]]),  # outside
    region("good", [[90, 10], [120, 10], [120, 30], [90, 30]]),  # partly outside
    region("good", GOOD[1:] + GOOD[:1]),  # turned
]
TEXTS = [
    region("caféé"),  # unknown character
    region("中a"),  # unknown character
    region("x" * 26),  # too long
    region("cafe\u0301"),  # decomposed, with an accent that is unknown
    region(""),  # not transcribed
]

EXPECTED_COUNTS = {
    "bad-entry": 1,
    "missing-image": 1,
    "unreadable-image": 1,
    "contradiction": 1,
    "degenerate": 1,
    "self-intersecting": 1,
    "counter-clockwise": 1,
    "outside": 1,
    "partly-outside": 1,
    "duplicate": 1,
    "unknown-characters": 3,
    "too-long": 1,
    "decomposed": 1,
    "rotated": 1,
}


def write_damaged_set(folder: Path) -> Path:
    """Write images and `label.txt`; gives the path of the latter."""
    for name in ("shapes", "texts", "empty"):
        Image.new("RGB", SIZE, (200, 200, 200)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"no image")
    lines = [
        ("shapes.png", SHAPES),
        ("texts.png", TEXTS),
        ("texts.png", None),
        ("empty.png", []),
        ("empty.png", []),
        ("empty.png", [region("a")]),
        ("missing.png", []),
        ("broken.png", [region("ok")]),
        ("empty2.png", []),
    ]
    Image.new("RGB", SIZE).save(folder / "empty2.png")
    text = "".join(f"{name}\t{'[{' if regions is None else json.dumps(regions)}\n" for name, regions in lines)
    (folder / "label.txt").write_text(text, encoding="utf-8")
    return folder / "label.txt"
