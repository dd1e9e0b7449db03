"""Where the time of reading a picture goes, by wrapping the functions of each stage."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from ppocr_jax import OCR
from ppocr_jax.inference import page_reader, pipeline, stages

STAGES = ("open", "det prepare", "det", "boxes", "crop", "cls prepare", "cls", "rec prepare", "rec", "text", "words")


def stage_times(ocr: OCR, paths: list[str]) -> dict[str, float]:
    """Seconds spent in each of `STAGES`, and in the "rest", for reading the pictures one after the other.

    The `OCR` must use one thread: stages that run at the same time would be counted twice.
    """
    spent: Counter[str] = Counter()
    inside = [""]  # the network whose lines are being prepared

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

    reader = ocr._reader  # the stages of a benchmark's own object
    wrapped = [
        (pipeline, "load_image", timed("open", pipeline.load_image)),
        (stages, "detector_picture", timed("det prepare", stages.detector_picture)),
        (stages, "boxes_from_map", timed("boxes", stages.boxes_from_map)),
        (page_reader, "perspective_crop", timed("crop", page_reader.perspective_crop)),
        (stages, "_line_batch", timed("{} prepare", stages._line_batch)),
        (stages, "ctc_greedy_decode", timed("text", stages.ctc_greedy_decode)),
        (page_reader, "line_words", timed("words", page_reader.line_words)),
        (stages.TextClassifier, "__call__", entering("cls", stages.TextClassifier.__call__)),
        (stages.TextRecognizer, "__call__", entering("rec", stages.TextRecognizer.__call__)),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in wrapped]
    parts = {"det": reader.detector, "cls": reader.classifier, "rec": reader.recognizer}
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
