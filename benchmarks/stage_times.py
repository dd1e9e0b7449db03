"""Measure the time of each stage of reading by wrapping its functions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ppocr_jax import OCR
from ppocr_jax.inference import classify, detect, page, recognize
from ppocr_jax.inference import ocr as reading

STAGES = ("open", "det prepare", "det", "boxes", "crop", "cls prepare", "cls", "rec prepare", "rec", "text", "words")


def stage_times(ocr: OCR, paths: list[str]) -> dict[str, float]:
    """Read images one after the other; return the seconds spent in each of `STAGES` and in the "rest".

    The `OCR` must use one thread, because the times of concurrent stages would overlap.
    """
    spent: Counter[str] = Counter()
    inside = [""]  # the network for which lines are being prepared

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name.format(inside[0])] += time.perf_counter() - begin

        return run

    def entering(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            inside[0] = name
            return function(*args, **kwargs)

        return run

    wrapped = [
        (reading, "load_image", timed("open", reading.load_image)),
        (detect, "detector_image", timed("det prepare", detect.detector_image)),
        (detect, "boxes_from_map", timed("boxes", detect.boxes_from_map)),
        (page, "perspective_crop", timed("crop", page.perspective_crop)),
        (classify, "line_batch", timed("{} prepare", classify.line_batch)),
        (recognize, "line_batch", timed("{} prepare", recognize.line_batch)),
        (recognize, "ctc_greedy_decode", timed("text", recognize.ctc_greedy_decode)),
        (page, "line_words", timed("words", page.line_words)),
        (classify.TextClassifier, "__call__", entering("cls", classify.TextClassifier.__call__)),
        (recognize.TextRecognizer, "__call__", entering("rec", recognize.TextRecognizer.__call__)),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in wrapped]
    stages = ocr.stages
    parts = {"det": stages.detector, "cls": stages.classifier, "rec": stages.recognizer}
    networks = {name: part.backend for name, part in parts.items() if part is not None}
    for place, name, function in wrapped:
        setattr(place, name, function)
    for name, part in parts.items():
        if part is not None:
            object.__setattr__(part, "backend", timed(name, part.backend))
    try:
        begin = time.perf_counter()
        for path in paths:
            ocr(path)
        total = time.perf_counter() - begin
    finally:
        for place, name, function in before:
            setattr(place, name, function)
        for name, backend in networks.items():
            object.__setattr__(parts[name], "backend", backend)
    return {name: spent[name] for name in STAGES} | {"rest": total - sum(spent.values())}
