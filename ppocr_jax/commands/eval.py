"""`ppocr-jax eval`: score a model on labeled sets."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppocr_jax.commands.common import add_networks, make_folder_of, make_ocr, positive, write_text
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.charset import Charset
    from ppocr_jax.inference.ocr import OCR

Outcome = tuple[list[Any], list[Any]]
"""Predictions and ground truth, item by item; outcomes of several sets are joined by concatenating the lists."""

REPORTED_OPTIONS = (
    "task",
    "model",
    "det",
    "cls",
    "rec",
    "charset",
    "letters",
    "backend",
    "precision",
    "granularity",
    "ignore_case",
    "ignore_space",
    "limit",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `eval`."""
    add = parser.add_argument
    add(
        "--task",
        choices=["det", "rec", "cls", "e2e"],
        required=True,
        help="what to score: boxes, texts, directions, or end to end",
    )
    add("--labels", type=Path, action="append", default=[], metavar="FILE", help="label file; may be repeated")
    add("--format", default="auto", help="label format, as check-labels names it (default: auto, detected)")
    add(
        "--granularity",
        choices=["line", "word"],
        default="line",
        help="for det and e2e, what each label outlines; words are joined into lines first, as in training "
        "(default: line)",
    )
    add_networks(parser)
    add("--threads", type=positive, metavar="N", help="CPU cores to use (default: all)")
    add("--ignore-case", action="store_true", help="ignore case when comparing texts")
    add(
        "--ignore-space",
        action="store_true",
        help="ignore spaces when comparing texts, as in PP-OCR's published scores",
    )
    add("--limit", type=positive, metavar="N", help="use only the first N entries of each label file")
    add("--json", type=Path, metavar="OUT", help="write the unrounded scores to this file")
    add(
        "--predictions",
        type=Path,
        metavar="OUT.jsonl",
        help="for det and e2e, write the predictions to this file, one image per line",
    )
    add(
        "--synthetic",
        type=positive,
        metavar="N",
        help="for cls and rec, score on N synthetic lines in fonts held out from training",
    )
    add(
        "--corpus",
        type=Path,
        action="append",
        metavar="FILE",
        help="texts for --synthetic, one per line; may be repeated (default: texts as in training)",
    )
    add(
        "--fonts",
        type=Path,
        action="append",
        metavar="DIR",
        help="fonts for --synthetic; may be repeated (default: the held-out ones)",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate a model, print a table, and write the requested files.

    Raises:
        UserError: The options contradict each other, the labels, images or model cannot be read, or a result cannot be
            written.
    """
    _check(args)
    for output in filter(None, (args.json, args.predictions)):
        make_folder_of(output)
    sets = {str(path): _read_labels(path, args) for path in args.labels}
    from ppocr_jax.inference.model_folder import load_model_folder

    model_folder = load_model_folder(args.model)
    if args.task == "cls" and args.cls is None:
        model_folder.spec("cls")  # raises if there is no classifier; `OCR.classify` would call every line upright
    ocr = make_ocr(args)
    outcomes = {name: _find(args.task, ocr, records) for name, records in sets.items()}
    if args.synthetic:
        charset = getattr(ocr.stages.recognizer, "charset", model_folder.charset)
        outcomes["synthetic"] = _find_synthetic(args, ocr, charset)
    scores = {name: _score(args, *outcome) for name, outcome in outcomes.items()}
    if len(outcomes) > 1:
        found, truth = ([x for o in outcomes.values() for x in o[side]] for side in (0, 1))
        scores["all"] = _score(args, found, truth)
    print(format_table(scores))
    if args.json:
        options = {name: getattr(args, name) for name in REPORTED_OPTIONS}
        write_text(args.json, json.dumps({**options, "scores": scores}, ensure_ascii=False, indent=1) + "\n")
    if args.predictions:
        (labels,) = args.labels
        write_text(args.predictions, _prediction_lines(_names(labels, sets[str(labels)]), outcomes[str(labels)][0]))
    return 0


def format_table(scores: dict[str, dict[str, float]]) -> str:
    """Return one row per set, one column per score."""
    header = ["set", *next(iter(scores.values()))]
    rows = [header]
    for name, score in scores.items():
        cells = [f"{v:.0f}" if key in ("lines", "images") else f"{v:.4f}" for key, v in score.items()]
        rows.append(["/".join(Path(name).parts[-3:]), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    )


def _check(args: argparse.Namespace) -> None:
    if args.synthetic and args.task not in ("cls", "rec"):
        raise UserError("--synthetic requires --task cls or rec")
    if not args.labels and not args.synthetic:
        raise UserError(
            "nothing to evaluate: pass a label file with --labels (or, for --task cls or rec, --synthetic N)"
        )
    if args.predictions and (args.task not in ("det", "e2e") or len(args.labels) != 1):
        raise UserError("--predictions requires --task det or e2e and a single --labels file")
    if args.granularity == "word" and args.task not in ("det", "e2e"):
        raise UserError("--granularity word requires --task det or e2e")
    if len(set(args.labels)) < len(args.labels):
        raise UserError("a label file is given twice")


def _read_labels(path: Path, args: argparse.Namespace) -> list[Any]:
    from ppocr_jax.data.labels import LabelError, read_labels

    try:
        labels = read_labels(path, args.format)
        if args.task in ("det", "e2e") and labels.format == "ppocr-rec" and args.format == "auto":
            labels = read_labels(path, "ppocr-det")  # its error names the problem in the first line
    except LabelError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read the label file {path}: {error.strerror}") from error
    if args.task in ("det", "e2e") and labels.task != "det":
        raise UserError(f"{path} ({labels.format}) has no regions, which --task {args.task} needs")
    if not labels.records:
        raise UserError(f"the label file {path} is empty")
    records: list[Any] = list(labels.records[: args.limit])
    if args.granularity == "word":
        from ppocr_jax.data.detection import merge_words_into_lines
        from ppocr_jax.data.labels import DetectionRecord

        return [DetectionRecord(record.image_path, merge_words_into_lines(record.regions)) for record in records]
    return records


def _find(task: str, ocr: OCR, records: Sequence[Any]) -> Outcome:
    from ppocr_jax.evaluation.lines import classify_lines, line_samples, recognize_lines, rotate_every_second
    from ppocr_jax.evaluation.pages import detect_boxes, read_pages
    from ppocr_jax.geometry import CropGrowth

    if task == "det":
        return detect_boxes(ocr.detect, records), list(records)
    if task == "e2e":
        return read_pages(ocr, records), list(records)
    if task == "rec":
        return recognize_lines(ocr.recognize, line_samples(records))
    # The classifier gets the boxes as detected; only the recognizer's crops are enlarged.
    upright = (image_rgb for image_rgb, _ in line_samples(records, growth=CropGrowth(0, 0, 0, 0)))
    return classify_lines(ocr.classify, rotate_every_second(upright))


def _find_synthetic(args: argparse.Namespace, ocr: OCR, charset: Charset) -> Outcome:
    from ppocr_jax.evaluation.lines import (
        HELD_OUT_SEED,
        classify_lines,
        held_out_lines,
        recognize_lines,
        rotate_every_second,
    )
    from ppocr_jax.synth.corpus import Corpus
    from ppocr_jax.synth.fonts import NoFontsError

    try:
        if args.corpus:
            corpus = replace(Corpus.from_files(args.corpus, charset), mixed=False)
        else:
            corpus = Corpus.generated(charset, seed=HELD_OUT_SEED)
        options = {"charset": charset, "corpus": corpus, "fonts": args.fonts, "directed": args.task == "cls"}
        lines = held_out_lines(args.synthetic, **options)
    except ModuleNotFoundError as error:
        raise UserError(f"{error}; install ppocr-jax[train], or pass text files with --corpus") from error
    except (NoFontsError, OSError, ValueError) as error:
        raise UserError(str(error)) from error
    if args.task == "rec":
        return recognize_lines(ocr.recognize, ((line.image_rgb, line.text) for line in lines))
    return classify_lines(ocr.classify, rotate_every_second(line.image_rgb for line in lines))


def _score(args: argparse.Namespace, found: list[Any], truth: list[Any]) -> dict[str, float]:
    from ppocr_jax.evaluation.lines import score_directions
    from ppocr_jax.evaluation.pages import score_boxes, score_pages
    from ppocr_jax.metrics.recognition import recognition_score

    texts = {"ignore_case": args.ignore_case, "ignore_space": args.ignore_space}
    if args.task == "det":
        return score_boxes(truth, found)
    if args.task == "e2e":
        return score_pages(truth, found, **texts)
    if args.task == "rec":
        return recognition_score(found, truth, **texts)
    return score_directions(found, truth)


def _names(labels: Path, records: Sequence[Any]) -> list[str]:
    """Return the paths of the images relative to the label file."""
    return [Path(os.path.relpath(record.image_path, labels.parent)).as_posix() for record in records]


def _prediction_lines(names: Sequence[str], found: Sequence[Any]) -> str:
    """Return JSON Lines: `{"image": ..., "lines": [{"points": ..., "text": ..., "score": ...}, ...]}`."""
    from ppocr_jax.document.page import Page

    rows = []
    for name, image in zip(names, found, strict=True):
        if isinstance(image, Page):
            lines = [{"points": line.quad, "text": line.text, "score": line.confidence} for line in image]
        else:
            lines = [{"points": box.points.tolist(), "text": "", "score": float(box.score)} for box in image]
        rows.append(json.dumps({"image": name, "lines": lines}, ensure_ascii=False) + "\n")
    return "".join(rows)
