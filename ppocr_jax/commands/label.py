"""`ppocr-jax label`: label images with the text that a strong model recognizes, as a PPOCRLabel file.

Confident texts are written; all other regions are labeled `###`, which training ignores (neither text nor background).
Existing entries of the file are kept, so that an interrupted run can be continued and manual corrections are not lost.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import PageCounter, add_reading, make_ocr, share
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.data.labels import Region
    from ppocr_jax.document.page import Page
    from ppocr_jax.inference.ocr import OCR

_SURE = 0.9
# Options that apply to the networks of --model only; the model of --agree uses its own values.
_FIRST_MODEL_ONLY = ("det", "rec", "cls", "charset", "rec_height", "threshold", "box_threshold", "unclip_ratio")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `label`."""
    add = parser.add_argument
    add("images", nargs="+", metavar="PATH", help="images, or folders of images")
    add("-r", "--recursive", action="store_true", help="include subfolders")
    add(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="label file to write; entries that it already has are kept",
    )
    add(
        "--agree",
        metavar="NAME_OR_DIR",
        help="second model, given as for --model; keep only texts that both models read identically",
    )
    add(
        "--min-confidence",
        type=share,
        metavar="P",
        help=f"keep texts that --model reads with at least this confidence (default: {_SURE}, or 0 with --agree)",
    )
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show an image counter (default: for several images, on a terminal)",
    )
    add_reading(parser.add_argument_group("OCR options"))


def run(args: argparse.Namespace) -> int:
    """Label the images; return 1 if one of them could not be read.

    Raises:
        UserError: A path or model cannot be read, or the output is not a label file or cannot be written.
    """
    from ppocr_jax.document import refuse_to_overwrite, write_text
    from ppocr_jax.images import find_inputs

    images = [Path(path) for path in dict.fromkeys(find_inputs(args.images, recursive=args.recursive))]
    refuse_to_overwrite(args.output, images)
    labeled = _labeled(args.output)
    left = [image for image in images if image.resolve() not in labeled]
    least = args.min_confidence
    if least is None:
        least = 0.0 if args.agree else _SURE
    if args.drop_score is None:
        args.drop_score = 0.0  # text that was detected but not recognized must not become background
    readers = [make_ocr(args)]
    if args.agree:
        second = {**vars(args), **dict.fromkeys(_FIRST_MODEL_ONLY), "model": args.agree}
        readers.append(make_ocr(argparse.Namespace(**second)))
    counts: Counter[str] = Counter()
    with PageCounter(args.progress) as progress:
        if len(left) < len(images):
            there = len(images) - len(left)
            progress.say(f"label: {there} of {len(images)} images are already in {args.output} and are kept")
        # Each line is in the file before the next image is read.
        lines = _lines(readers, left, args.output.parent, least, counts, progress)
        write_text(lines, os.fspath(args.output), append=True)
        progress.say(
            f"label: {counts['images']:,} images labeled: {counts['kept']:,} texts kept, {counts['ignored']:,} ###"
        )
    return int(counts["failed"] > 0)


def _lines(
    readers: Sequence[OCR],
    images: Sequence[Path],
    folder: Path,
    least: float,
    counts: Counter[str],
    progress: PageCounter,
) -> Iterator[str]:
    """Yield the lines of a label file in `folder` as the images are read, and update `counts`."""
    from ppocr_jax.data.labels import DetectionRecord, LabelError
    from ppocr_jax.data.labels.ppocr import detection_line

    read = zip(*(reader.read_many(images, on_error="page") for reader in readers), strict=True)
    for image, pages in zip(images, read, strict=True):
        progress.count(str(image))
        try:
            if pages[0].error:
                raise LabelError(pages[0].error)
            regions = regions_of(*pages, min_confidence=least)
            line = detection_line(DetectionRecord(image, regions), folder)
        except LabelError as error:
            counts["failed"] += 1
            progress.say(f"label: {error}")
            continue
        counts["images"] += 1
        counts["ignored"] += sum(region.ignore for region in regions)
        counts["kept"] += sum(not region.ignore for region in regions)
        yield line


def regions_of(page: Page, other: Page | None = None, *, min_confidence: float) -> tuple[Region, ...]:
    """Return the labeled regions of a page.

    Args:
        page: Result of the first model, whose texts are written.
        other: Result of a second model. A text is then kept only if the second model reads the same text, spaces
            included, in a box with an IoU of at least 0.5. Boxes of the second model that overlap no box of the first
            are added as ignored regions.
        min_confidence: Minimum confidence of the texts to keep.
    """
    import numpy as np

    from ppocr_jax.data.labels.records import ignore_region, text_region
    from ppocr_jax.metrics.detection import iou_matrix, to_convex_hulls
    from ppocr_jax.metrics.end_to_end import pairs_by_iou

    quads = [np.asarray(line.quad, np.float32) for line in page]
    same = {i: line.text for i, line in enumerate(page)}
    unmatched: list[np.ndarray] = []
    if other is not None:
        others = [np.asarray(line.quad, np.float32) for line in other]
        same = {i: other.lines[k].text for i, k in pairs_by_iou(quads, others).items()}
        overlaps = iou_matrix(to_convex_hulls(others), to_convex_hulls(quads))
        unmatched = [quad for quad, row in zip(others, overlaps, strict=True) if not (row > 0).any()]
    kept = [
        bool(line.text.strip()) and line.confidence >= min_confidence and same.get(i) == line.text
        for i, line in enumerate(page)
    ]
    regions = [
        text_region(quad, line.text) if keep else ignore_region(quad)
        for quad, line, keep in zip(quads, page, kept, strict=True)
    ]
    return (*regions, *(ignore_region(quad) for quad in unmatched))


def _labeled(path: Path) -> set[Path]:
    """Return the images that a label file already contains, and remove an incomplete last line from it.

    Raises:
        UserError: The file cannot be read, or it is not a label file.
    """
    from ppocr_jax.data.labels import LabelError, read_detection_labels

    if not path.is_file():
        return set()
    try:
        data = path.read_bytes()
        end = data.rfind(b"\n") + 1
        if data[end:] and data[end:].rstrip().endswith(b"]"):
            path.write_bytes(data + b"\n")  # complete, but saved by an editor without a final newline
        elif data[end:]:
            os.truncate(path, end)
        return {record.image_path.resolve() for record in read_detection_labels(path)}
    except LabelError as error:
        raise UserError(f"{path} already exists, but is not a label file with regions: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
