"""Worker process of speed.py: one contender that answers requests, one JSON line each, on standard input.

    python benchmarks/speed_worker.py JOB

JOB is JSON: `contender` ("ppocr_jax" or "rapidocr"), `threads`, `models` (det, cls, rec: ONNX files). {"read": PATH}
and {"folder": [PATH ...]} are answered by `seconds` and `texts` (a list of lines per image), {"stages": [PATH ...]} by
the `seconds` of each stage of ppocr_jax, and {"memory": true} by `peak_mib`, the peak resident size in MiB.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Read = Callable[[list[str]], list[list[str]]]
Stages = Callable[[list[str]], dict[str, float]]

# RapidOCR 1.4.4's defaults, used for both.
LIMIT = {"limit_side": 736, "limit_type": "min"}
THRESHOLDS = {"threshold": 0.3, "box_threshold": 0.5, "unclip_ratio": 1.6}


def ours(job: dict[str, Any]) -> tuple[Read, Read, Stages]:
    from ppocr_jax import OCR

    ocr = OCR(**job["models"], threads=job["threads"], **(LIMIT | THRESHOLDS if job["models"] else {}))

    def single(paths: list[str]) -> list[list[str]]:
        return [[line.text for line in ocr(path)] for path in paths]

    def folder(paths: list[str]) -> list[list[str]]:
        return [[line.text for line in page] for page in ocr.read_many(paths, workers=job["threads"])]

    def stages(paths: list[str]) -> dict[str, float]:
        from stage_times import stage_times

        return stage_times(ocr.single_threaded().warm_up(), paths)

    return single, folder, stages


def rapidocr(job: dict[str, Any]) -> tuple[Read, Read, Stages]:
    from rapidocr_onnxruntime import RapidOCR

    ocr = RapidOCR(intra_op_num_threads=job["threads"], inter_op_num_threads=1)

    def read(paths: list[str]) -> list[list[str]]:
        return [[text for _, text, _ in ocr(path)[0] or []] for path in paths]

    return read, read, lambda paths: {}  # RapidOCR has no call for several images


def answer(request: dict[str, Any], single: Read, folder: Read, stages: Stages) -> dict[str, Any]:
    if "stages" in request:
        return {"seconds": stages(request["stages"])}
    if "memory" in request:
        return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    start = time.perf_counter()
    texts = single([request["read"]]) if "read" in request else folder(request["folder"])
    return {"seconds": time.perf_counter() - start, "texts": texts}


def main() -> None:
    job = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # keeps the output of libraries out of the answers
    readers = {"ppocr_jax": ours, "rapidocr": rapidocr}[job["contender"]](job)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line), *readers)), file=answers, flush=True)


if __name__ == "__main__":
    main()
