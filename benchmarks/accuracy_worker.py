"""Worker process of accuracy.py: one system that answers requests, one JSON line each, on standard input.

    python benchmarks/accuracy_worker.py SYSTEM LANGUAGES

{"page": PATH} is answered by a list of {"points", "text", "score"}; {"lines": [PATH ...]} with images of single lines
is answered by a list of texts. LANGUAGES are Tesseract's, such as eng+chi_sim. All systems use one thread.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

Lines = list[dict[str, Any]]
ReadPage = Callable[[str], Lines]
ReadLines = Callable[[list[str]], list[str]]


def ours(name: str) -> tuple[ReadPage, ReadLines]:
    """Return the readers of this package with a built-in model or PP-OCR's released files."""
    from ppocr_jax import OCR

    ocr = OCR(name, threads=1)

    def page(path: str) -> Lines:
        return [{"points": line.quad, "text": line.text, "score": line.confidence} for line in ocr(path)]

    return page, lambda paths: [line.text for line in ocr.recognize(paths)] if paths else []


def rapidocr_v4(name: str) -> tuple[ReadPage, ReadLines]:
    """Return the readers of RapidOCR 1.4.4."""
    from rapidocr_onnxruntime import RapidOCR

    ocr = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def page(path: str) -> Lines:
        return [{"points": box, "text": text, "score": float(score)} for box, text, score in ocr(path)[0] or []]

    def line(path: str) -> str:
        found = ocr(path, use_det=False, use_cls=False, use_rec=True)[0] or [[""]]
        return found[0][0]

    return page, lambda paths: [line(path) for path in paths]


def rapidocr_v6(name: str) -> tuple[ReadPage, ReadLines]:
    """Return the readers of RapidOCR 3."""
    from rapidocr import RapidOCR

    settings = {"EngineConfig.onnxruntime.intra_op_num_threads": 1, "EngineConfig.onnxruntime.inter_op_num_threads": 1}
    ocr = RapidOCR(params=settings)

    def page(path: str) -> Lines:
        found = ocr(path)
        if found.boxes is None:
            return []
        rows = zip(found.boxes.tolist(), found.txts, found.scores, strict=True)
        return [{"points": box, "text": text, "score": float(score)} for box, text, score in rows]

    def line(path: str) -> str:
        texts = ocr(path, use_det=False, use_cls=False, use_rec=True).txts
        return texts[0] if texts else ""

    return page, lambda paths: [line(path) for path in paths]


def tesseract(name: str) -> tuple[ReadPage, ReadLines]:
    """Return the readers of the installed Tesseract.

    Raises:
        SystemExit: One of the languages is not installed; Tesseract itself would continue with the others.
    """
    os.environ["OMP_THREAD_LIMIT"] = "1"
    languages = sys.argv[2]
    installed = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, check=True).stdout
    if missing := set(languages.split("+")) - set(installed.split()):
        sys.exit(f"Tesseract lacks {', '.join(sorted(missing))}")

    def run(path: str, mode: int) -> list[dict[str, str]]:
        command = ["tesseract", path, "-", "-l", languages, "--psm", str(mode), "tsv"]
        table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows = csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        return [row for row in rows if row["level"] == "5" and row["text"].strip()]

    def page(path: str) -> Lines:
        by_line: dict[tuple[str, str, str], list[dict[str, str]]] = {}
        for row in run(path, 3):
            by_line.setdefault((row["block_num"], row["par_num"], row["line_num"]), []).append(row)
        lines = []
        for words in by_line.values():
            sides = [[int(w[side]) for side in ("left", "top", "width", "height")] for w in words]
            left, top = min(s[0] for s in sides), min(s[1] for s in sides)
            right, bottom = max(s[0] + s[2] for s in sides), max(s[1] + s[3] for s in sides)
            quad = [[left, top], [right, top], [right, bottom], [left, bottom]]
            score = sum(float(word["conf"]) for word in words) / len(words) / 100
            lines.append({"points": quad, "text": " ".join(word["text"] for word in words), "score": score})
        return lines

    return page, lambda paths: [" ".join(row["text"] for row in run(path, 7)) for path in paths]


READERS = {"rapidocr-v4": rapidocr_v4, "rapidocr-v6": rapidocr_v6, "tesseract": tesseract}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # keeps the output of libraries out of the answers
    page, lines = READERS.get(sys.argv[1], ours)(sys.argv[1])
    for request in map(json.loads, sys.stdin):
        answer = page(request["page"]) if "page" in request else lines(request["lines"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
