"""Speed of the synthetic data generator: lines and pages per second on one core, compared with Pillow.

    python benchmarks/data_speed.py [--seconds 10] [--corpus FILE ...] [--backgrounds DIR]

Needs ppocr_jax's [train] extra. "Pillow" renders the text of each line once, in black on white at the height of the
line, with the fonts of the generator, but without colors, background and degradation. Prints a Markdown table and
writes `results/data_speed.json`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
from PIL import Image, ImageDraw

from ppocr_jax.charset import load_charset
from ppocr_jax.synth.corpus import Corpus
from ppocr_jax.synth.fonts import FontFace, find_fonts
from ppocr_jax.synth.line import LineGenerator
from ppocr_jax.synth.page import PageGenerator

RESULTS = Path(__file__).resolve().parent / "results" / "data_speed.json"
PAGE_SIDE = 640


def rate(draw: Callable[[int], Any], seconds: float, warm: int = 20) -> float:
    """Return the number of calls per second, after some calls to warm up."""
    for index in range(warm):
        draw(index)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        draw(warm + count)
        count += 1
    return count / (time.perf_counter() - start)


def pillow_line(text: str, face: FontFace, height: int) -> Image.Image:
    """Return the text rendered in black on white."""
    chosen = face.at(max(6, round(0.75 * height)))
    image = Image.new("RGB", (max(1, round(chosen.getlength(text)) + 4), height), "white")
    ImageDraw.Draw(image).text((2, 0), text, "black", chosen)
    return image


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Return the lines and pages per second of the generator and of Pillow."""
    charset, faces = load_charset("en"), find_fonts(None)
    corpus = Corpus.from_files(options.corpus) if options.corpus else Corpus.from_faker()
    shared = {"charset": charset, "fonts": faces, "corpus": corpus, "backgrounds": options.backgrounds}
    lines, pages = LineGenerator(**shared), PageGenerator(**shared)
    samples = [lines(1, index) for index in range(400)]
    drawn = [(sample.text, faces[i % len(faces)], sample.image_rgb.shape[0]) for i, sample in enumerate(samples)]
    page_lines = [page_texts(pages, index, faces) for index in range(8)]

    def pillow_page(index: int) -> None:
        for line in page_lines[index % len(page_lines)]:
            pillow_line(*line)

    return {
        "lines": rate(lambda index: lines(0, index), options.seconds),
        "lines_pillow": rate(lambda index: pillow_line(*drawn[index % len(drawn)]), options.seconds / 2),
        "pages": rate(lambda index: pages(0, index, size=(PAGE_SIDE, PAGE_SIDE)), options.seconds, warm=4),
        "pages_pillow": rate(pillow_page, options.seconds / 2, warm=4),
    }


def page_texts(pages: PageGenerator, index: int, faces: Sequence[FontFace]) -> list[tuple[str, FontFace, int]]:
    """Return the text, a font and the height of each line of a synthetic page."""
    page = pages(1, index, size=(PAGE_SIDE, PAGE_SIDE))
    heights = [max(6, round(float(line.quad[3][1] - line.quad[0][1]))) for line in page.lines]
    return [(line.text, faces[i % len(faces)], h) for i, (line, h) in enumerate(zip(page.lines, heights, strict=True))]


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="time per measurement (default: %(default)s)")
    parser.add_argument(
        "--corpus", type=Path, nargs="+", default=[], metavar="FILE", help="texts to render (default: generated)"
    )
    parser.add_argument(
        "--backgrounds", type=Path, nargs="+", default=[], metavar="DIR", help="images without text (default: none)"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = measure(options)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print("| on one core | generator | Pillow, the same text | time to Pillow |\n|---|---:|---:|---:|")
    for name, unit in (("lines", "text lines/s"), ("pages", f"pages of {PAGE_SIDE} x {PAGE_SIDE} /s")):
        ours, bare = found[name], found[f"{name}_pillow"]
        print(f"| {unit} | {ours:.0f} | {bare:.0f} | {bare / ours:.1f}x |")


if __name__ == "__main__":
    main()
