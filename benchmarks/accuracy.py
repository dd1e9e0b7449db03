"""Accuracy on labeled images: built-in models, PP-OCR's released files in this package, RapidOCR and Tesseract.

    python benchmarks/accuracy.py --data DIR [--limit N] [--lines N] [--systems en ppocr-v4 ...] [--sets SROIE ...]

DIR contains label files at the paths of `SETS`. Missing sets are skipped, and systems that cannot run are skipped with
a message. `ppocr-v2` to `ppocr-v6` are PP-OCR's released files (docs/models.md says how to get them). RapidOCR is
installed, with its own files, into separate environments below the user's cache folder; each system runs in its own
process. Prints Markdown tables. Writes `results/accuracy.json` after each set, so that an interrupted run can be
continued (a built-in model of another version is measured again), and `results/accuracy_worst.html` with the pages
with the highest character error rates.

N images and N lines of each set are read, evenly spread. Lines with a confidence below .5 do not count. Columns:
det: Hmean of boxes matched one to one, IoU > .5; area: the same by covered area, which allows other granularities; e2e:
Hmean of lines detected and recognized correctly, ignoring spaces; `+ spaces`: the same with spaces; words: Hmean of the
pages' bags of words (each ideograph is a word); CER: edits per character of the pages, independent of the order and
granularity of boxes, ignoring spaces; lines: share of labeled lines, cropped by their labels, that the recognizer alone
reads correctly, ignoring spaces.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import re
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from workers import Worker, environment_with

from ppocr_jax.data.images import evenly_spread, load_record_image
from ppocr_jax.data.labels import DetectionRecord, read_labels
from ppocr_jax.document.draw import draw_page
from ppocr_jax.document.page import Line, Page
from ppocr_jax.evaluation.lines import line_samples
from ppocr_jax.evaluation.pages import MIN_CONFIDENCE, score_boxes, score_pages
from ppocr_jax.geometry import min_area_quad
from ppocr_jax.inference.model_folder import builtin_models, load_model_folder
from ppocr_jax.metrics.recognition import recognition_score

HERE = Path(__file__).resolve().parent
RESULTS, WORST = HERE / "results" / "accuracy.json", HERE / "results" / "accuracy_worst.html"
WORKER = HERE / "accuracy_worker.py"
RAPIDOCR = {"rapidocr-v4": "rapidocr-onnxruntime==1.4.4", "rapidocr-v6": "rapidocr==3.10.0"}
SYSTEMS = ("en", "ch", "ppocr-v2", "ppocr-v3", "ppocr-v4", "ppocr-v6", *RAPIDOCR, "tesseract")
WORST_PAGES = 3  # per set and system
IDEOGRAPHS = re.compile(r"([\u2e80-\u9fff\uf900-\ufaff])")


class Labels(NamedTuple):
    """A labeled set.

    Attributes:
        path: Path of the label file below DIR.
        ignore_case: Whether the labels do not distinguish case, or published scores ignore it.
        languages: Languages for Tesseract; the other systems read all characters of their model.
    """

    path: str
    ignore_case: bool = False
    languages: str = "eng"


SETS = {
    "SROIE": Labels("sroie/val/label.txt", ignore_case=True),
    "FUNSD": Labels("funsd/val/label.txt"),
    "ICDAR 2015": Labels("scene_en/icdar2015/val/label.txt", ignore_case=True),
    "MSRA-TD500": Labels("scene_zh_en/td500/val/label.txt", languages="eng+chi_sim"),
    "IIIT5K": Labels("rec_en/iiit5k/val/rec_label.txt", ignore_case=True),
    "SVT": Labels("rec_en/svt/val/rec_label.txt", ignore_case=True),
    "WildReceipt": Labels("receipts/wildreceipt/val/label.txt"),
    "ICDAR 2003": Labels("scene_en/icdar2003/val/label.txt", ignore_case=True),
    "PDF pages": Labels("pdf_pages/val/label.txt"),
    "typed pages": Labels("docs/typed_latin/val/label.txt"),
    "printed books": Labels("docs/print_latin/val/label.txt"),
    "German catalogue": Labels("rec_latin/catalogue_de/val/rec_label.txt", languages="deu"),
    "tables": Labels("docs/tables_zh/val/label.txt", languages="eng+chi_sim"),
    "Taiwan pages": Labels("docs/taiwan_pages/val/label.txt", languages="eng+chi_tra"),
    "game screens": Labels("ui/game_zh/val/label.txt", languages="eng+chi_sim"),
    "wire marks": Labels("labels/wire_marks/val/label.txt"),
}
COLUMNS = ("det", "area", "e2e", "+ spaces", "words", "CER", "lines")


def start(name: str, languages: str) -> Worker:
    """Start the process of a system."""
    python = None
    if name in RAPIDOCR:
        package = RAPIDOCR[name]
        python = environment_with(package, [package, "onnxruntime"], headless=True)
    return Worker(name, WORKER, name, languages, python=python, quiet=False)


def measure(
    system: Worker, labels: Labels, data: Path, limit: int | None, lines: int, scratch: Path
) -> tuple[dict[str, float], list[tuple[float, Page]]]:
    """Return a system's figures on a set, and its worst pages with their error rates.

    Raises:
        RuntimeError: The system's process has ended.
    """
    records = list(read_labels(data / labels.path).records)
    figures: dict[str, float] = {}
    worst: list[tuple[float, Page]] = []
    if isinstance(records[0], DetectionRecord):
        chosen = evenly_spread(records, limit)
        pages = [read_page(system, record.image_path) for record in chosen]
        figures, worst = page_figures(chosen, pages, ignore_case=labels.ignore_case)
        records = chosen
    samples = evenly_spread([s for s in line_samples(evenly_spread(records, 20 * lines)) if s[1]], lines)
    paths = []
    for i, (image_rgb, _) in enumerate(samples):
        paths.append(str(scratch / f"{i}.png"))
        cv2.imwrite(paths[-1], cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    texts = system.ask(lines=paths)
    targets = [text for _, text in samples]
    options = {"ignore_case": labels.ignore_case, "ignore_space": True}
    figures["lines"] = recognition_score(texts, targets, **options)["accuracy"]
    return figures, worst


def read_page(system: Worker, path: Path) -> Page:
    """Return the page that a system reads in an image.

    Raises:
        RuntimeError: The system's process has ended.
    """
    answer = system.ask(page=str(path))
    height, width = load_record_image(path).shape[:2]
    lines = (Line(_quad(line["points"]), line["text"], line["score"]) for line in answer if line["text"].strip())
    return Page(width, height, tuple(lines), source=str(path))


def _quad(points: list[list[float]]) -> Any:
    corners = np.array(points, np.float32)
    return tuple(map(tuple, (corners if len(corners) == 4 else min_area_quad(corners)[0]).tolist()))


class _Box(NamedTuple):
    points: np.ndarray


def page_figures(
    records: Sequence[DetectionRecord], pages: Sequence[Page], *, ignore_case: bool
) -> tuple[dict[str, float], list[tuple[float, Page]]]:
    """Return the figures of pages compared with their labels, and the worst pages with their error rates."""
    boxes = [[_Box(np.array(line.quad)) for line in page if line.confidence >= MIN_CONFIDENCE] for page in pages]
    det = score_boxes(records, boxes)
    without, with_spaces = (
        score_pages(records, pages, ignore_case=ignore_case, ignore_space=ignore) for ignore in (True, False)
    )
    figures = {
        "det": det["hmean"],
        "area": det["area_hmean"],
        "e2e": without["hmean"],
        "+ spaces": with_spaces["hmean"],
        "words": bag_of_words(records, pages, ignore_case=ignore_case),
        "CER": without["cer_without_spaces"],
    }
    rates = [
        score_pages([record], [page], ignore_case=ignore_case)["cer_without_spaces"]
        for record, page in zip(records, pages, strict=True)
    ]
    order = sorted(range(len(pages)), key=lambda i: -rates[i])
    return figures, [(rates[i], pages[i]) for i in order[:WORST_PAGES]]


def bag_of_words(records: Sequence[DetectionRecord], pages: Sequence[Page], *, ignore_case: bool) -> float:
    """Return the Hmean of the words of pages as multisets, independent of boxes and order."""

    def words(texts: Sequence[str]) -> Counter[str]:
        joined = unicodedata.normalize("NFKC", " ".join(texts))
        return Counter(IDEOGRAPHS.sub(r" \1 ", joined.lower() if ignore_case else joined).split())

    hits = found = wanted = 0
    for record, page in zip(records, pages, strict=True):
        truth = words([region.text for region in record.regions if not region.ignore])
        read = words([line.text for line in page if line.confidence >= MIN_CONFIDENCE])
        hits, found, wanted = hits + (truth & read).total(), found + read.total(), wanted + truth.total()
    return 2 * hits / max(found + wanted, 1)


def markdown(results: dict[str, dict[str, Any]], systems: Sequence[str], sets: Sequence[str]) -> str:
    """Return a table per set with a row per system."""
    parts = []
    for name in sets:
        rows = {system: results[f"{system}/{name}"] for system in systems if f"{system}/{name}" in results}
        if not rows:
            continue
        columns = [c for c in COLUMNS if any(c in row["figures"] for row in rows.values())]
        parts += ["", f"| {name} | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
        for system, row in rows.items():
            cells = (f"{row['figures'][c]:.3f}".replace("0.", ".", 1) if c in row["figures"] else "" for c in columns)
            parts.append(f"| {system} | " + " | ".join(cells) + " |")
    return "\n".join(parts)


def write_worst(results: dict[str, dict[str, Any]], systems: Sequence[str], sets: Sequence[str]) -> None:
    """Write an HTML page of the worst pages, drawn with the recognized text."""
    parts = ["<!doctype html><meta charset=utf-8><title>Worst cases</title>"]
    for name, system in itertools.product(sets, systems):
        pages = results.get(f"{system}/{name}", {}).get("worst", [])
        parts += [f"<h2>{name}, {system}</h2>"] if pages else []
        for rate, values in pages:
            page = Page.from_dict(values)
            drawn = draw_page(load_record_image(Path(page.source)), page)
            small = cv2.resize(drawn, None, fx=(s := min(1, 1400 / drawn.shape[1])), fy=s, interpolation=cv2.INTER_AREA)
            jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
            source = base64.b64encode(jpeg.tobytes()).decode()
            parts.append(f"<p>{Path(page.source).name}: CER {rate:.3f}<br><img src='data:image/jpeg;base64,{source}'>")
    WORST.write_text("\n".join(parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the label files")
    parser.add_argument("--limit", type=int, metavar="N", help="images of each set (default: all)")
    parser.add_argument("--lines", type=int, default=300, metavar="N", help="lines of each set (default: %(default)s)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS, help="systems to run (default: all)")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=tuple(SETS), help="sets to read (default: all)")
    options = parser.parse_args()
    sets = [name for name in options.sets if (options.data / SETS[name].path).is_file()]
    if not sets:
        sys.exit(f"none of the label files is below {options.data}")
    RESULTS.parent.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in sets:
        for system_name in options.systems:
            key = f"{system_name}/{name}"
            version = load_model_folder(system_name).version if system_name in builtin_models() else None
            asked = {"limit": options.limit, "lines": options.lines, "version": version}
            if key in results and results[key]["asked"] == asked:
                continue
            system = start(system_name, SETS[name].languages)
            try:
                with tempfile.TemporaryDirectory() as scratch:
                    figures, pages = measure(
                        system, SETS[name], options.data, options.limit, options.lines, Path(scratch)
                    )
            except RuntimeError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            finally:
                system.stop()
            worst = [[rate, page.to_dict()] for rate, page in pages]
            results[key] = {"figures": figures, "asked": asked, "worst": worst}
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(key, {column: round(value, 3) for column, value in figures.items()}, file=sys.stderr, flush=True)
    write_worst(results, options.systems, sets)
    print(markdown(results, options.systems, sets))


if __name__ == "__main__":
    main()
