"""`ppocr-jax label`: label images with the text that a strong model recognizes, as a PPOCRLabel file.

Confident texts are written; all other regions are labeled `###`, which training ignores (neither text nor background).
Existing entries of the file are kept, so that an interrupted run can be continued and manual corrections are not lost.
With `--texts`, the model gives the boxes only: a recognizer trained on them learns lines as it will get them.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
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
# Shares of a label's area: above the first it is inside a box, below the second it is outside.
_INSIDE, _OUTSIDE = 0.6, 0.12
# The least share of a box that its labels cover; more may be empty or unlabeled, such as the bullet of a list.
_COVERED = 0.4
# The largest distance between the middles of labels on the same line, in line heights.
_SAME_LINE = 0.3
# A text read from labels without spaces tells where they are if it is at least this similar.
_SIMILAR = 0.6


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
        "--texts",
        type=Path,
        metavar="LABELS",
        help="label file of these images: keep its texts, in the boxes that --model detects",
    )
    add(
        "--add-spaces",
        action="store_true",
        help="for --texts without spaces: put them where --model reads them",
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
        UserError: A path or model cannot be read, options exclude each other, or the output is not a label file or
            cannot be written.
    """
    from ppocr_jax.document import refuse_to_overwrite, write_text
    from ppocr_jax.images import find_inputs

    if args.texts and (args.agree or args.min_confidence is not None):
        raise UserError("--texts takes all texts from its file: --agree and --min-confidence do not apply")
    if args.add_spaces and not args.texts:
        raise UserError("--add-spaces needs --texts")
    images = [Path(path) for path in dict.fromkeys(find_inputs(args.images, recursive=args.recursive))]
    refuse_to_overwrite(args.output, [*images, *filter(None, [args.texts])])
    texts = _known_texts(args.texts, images) if args.texts else None
    known = [image for image in images if texts is None or image.resolve() in texts]
    labeled = _labeled(args.output)
    left = [image for image in known if image.resolve() not in labeled]
    least = args.min_confidence
    if least is None:
        least = 0.0 if args.agree else _SURE
    if args.drop_score is None:
        args.drop_score = 0.0  # text that was detected but not recognized must not become background
    readers = [make_ocr(args)]
    if args.agree:
        second = {**vars(args), **dict.fromkeys(_FIRST_MODEL_ONLY), "model": args.agree}
        readers.append(make_ocr(argparse.Namespace(**second)))

    def regions(image: Path, pages: Sequence[Page]) -> tuple[Region, ...]:
        if texts is None:
            return regions_of(*pages, min_confidence=least)
        return texts_in_boxes(pages[0], texts[image.resolve()], add_spaces=args.add_spaces)

    counts: Counter[str] = Counter()
    with PageCounter(args.progress) as progress:
        if len(known) < len(images):
            unknown = len(images) - len(known)
            progress.say(f"label: {unknown} of {len(images)} images have no labels in {args.texts} and are left out")
        if len(left) < len(known):
            there = len(known) - len(left)
            progress.say(f"label: {there} of {len(images)} images are already in {args.output} and are kept")
        # Each line is in the file before the next image is read.
        lines = _lines(readers, left, args.output.parent, regions, counts, progress)
        write_text(lines, os.fspath(args.output), append=True)
        progress.say(
            f"label: {counts['images']:,} images labeled: {counts['kept']:,} texts kept, {counts['ignored']:,} ###"
        )
    return int(counts["failed"] > 0)


def _lines(
    readers: Sequence[OCR],
    images: Sequence[Path],
    folder: Path,
    regions_of_image: Callable[[Path, Sequence[Page]], tuple[Region, ...]],
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
            regions = regions_of_image(image, pages)
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


def texts_in_boxes(page: Page, labels: Sequence[Region], *, add_spaces: bool = False) -> tuple[Region, ...]:
    """Return the boxes of a page with the texts of the labels inside them.

    A box gets the texts of all labels inside it, joined by spaces in reading direction. It is ignored if its text is
    not certain: no label is inside, an ignored one is, its edge cuts a label, several are not on one line, or more than
    three fifths of it are unlabeled. Labels that no box takes follow as they are.

    Args:
        page: Result of the model.
        labels: Labeled regions of the same image.
        add_spaces: Whether to put spaces into the texts where the model reads them.
    """
    import numpy as np

    from ppocr_jax.data.labels.records import ignore_region, text_region
    from ppocr_jax.geometry import quad_as_cropped
    from ppocr_jax.metrics.detection import shares_inside, to_convex_hulls, to_sound_polygons

    quads = [np.asarray(line.quad, np.float32) for line in page]
    boxes, outlines = to_convex_hulls(quads), to_sound_polygons([label.points for label in labels])
    shares, covered = shares_inside(outlines, boxes).T, shares_inside(boxes, outlines)
    taken: set[int] = set()
    regions = []
    for k, (line, quad) in enumerate(zip(page, quads, strict=True)):
        inside = [int(i) for i in np.flatnonzero(shares[k] >= _INSIDE)]
        corners = quad_as_cropped(quad)
        along = (corners[1] - corners[0]) / max(float(np.linalg.norm(corners[1] - corners[0])), 1e-6)
        height = float(np.linalg.norm(corners[3] - corners[0]))
        middles = np.array([labels[i].points.mean(axis=0) for i in inside]).reshape(-1, 2)
        certain = (
            len(inside) > 0
            and not ((shares[k] > _OUTSIDE) & (shares[k] < _INSIDE)).any()
            and all(labels[i].text and not labels[i].ignore for i in inside)
            and np.ptp(middles @ (-along[1], along[0])) <= _SAME_LINE * height
            and covered[k, inside].sum() >= _COVERED
        )
        if not certain:
            regions.append(ignore_region(quad))
            taken.update(i for i in inside if labels[i].ignore)  # the box ignores them
            continue
        taken.update(inside)
        text = " ".join(labels[inside[i]].text for i in np.argsort(middles @ along))
        regions.append(text_region(quad, with_spaces(text, line.text) if add_spaces else text))
    return (*regions, *(label for i, label in enumerate(labels) if i not in taken))


def with_spaces(text: str, read: str) -> str:
    """Return a text with spaces also where another reading of the same line has them.

    Args:
        text: The text; its own spaces stay.
        read: The reading. If fewer than three fifths of the characters agree, the text stays as it is.
    """
    from difflib import SequenceMatcher

    letters, starts = _words(text)
    read_letters, read_starts = _words(read)
    matcher = SequenceMatcher(None, read_letters, letters, autojunk=False)
    if matcher.ratio() < _SIMILAR:
        return text
    for there, here, count in matcher.get_matching_blocks():
        starts |= {here + start - there for start in read_starts if there <= start < there + count}
    cuts = sorted({0, *(start for start in starts if start < len(letters))})
    return " ".join(letters[start:end] for start, end in zip(cuts, [*cuts[1:], None], strict=True))


def _words(text: str) -> tuple[str, set[int]]:
    """Return a text without its spaces, and where its words begin in it."""
    words = text.split()
    return "".join(words), set(accumulate(map(len, words[:-1])))


def _known_texts(path: Path, images: Sequence[Path]) -> dict[Path, tuple[Region, ...]]:
    """Return the regions of each labeled image.

    Raises:
        UserError: The file cannot be read, is not a label file with regions, contradicts itself, or has no
            labels for any of `images`.
    """
    from ppocr_jax.data.labels import read_detection_labels

    try:
        records = read_detection_labels(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    texts: dict[Path, tuple[Region, ...]] = {}
    for record in records:
        regions = texts.setdefault(record.image_path.resolve(), record.regions)
        if [(r.text, r.points.tolist()) for r in regions] != [(r.text, r.points.tolist()) for r in record.regions]:
            raise UserError(f"{path} lists {record.image_path} again with other labels: keep one of the lines")
    if not any(image.resolve() in texts for image in images):
        raise UserError(f"{path} has no labels for any of the {len(images)} images, such as {images[0]}")
    return texts


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
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        ours = b"\t[" in data.lstrip().partition(b"\n")[0]  # another file must stay as it is
        if ours and data[end:].rstrip().endswith(b"]"):
            path.write_bytes(data + b"\n")  # complete, but saved by an editor without a final newline
        elif ours and data[end:]:
            os.truncate(path, end)
        return {record.image_path.resolve() for record in read_detection_labels(path)}
    except LabelError as error:
        raise UserError(f"{path} already exists, but is not a label file with regions: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
