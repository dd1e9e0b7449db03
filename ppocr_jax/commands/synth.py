"""`ppocr-jax synth`: write drawn lines or pages with labels in PaddleOCR's formats, or a sheet of them to look at."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import positive, write_image
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.data.synthetic.page import PageGenerator
    from ppocr_jax.data.synthetic.text_line import LineGenerator

_SHEET_WIDTH = 1280
_SHEET_LINE = 36
_SHEET_PAGE = 320
_GREY = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `synth`."""
    parser.add_argument("kind", choices=["rec", "det", "cls"], help="text lines, pages, or lines half of them turned")
    parser.add_argument("--count", type=positive, default=100, metavar="N", help="number of samples; default: 100")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for images/ and the label file")
    parser.add_argument("--preview", type=Path, metavar="SHEET.png", help="draw the samples on one sheet instead")
    parser.add_argument(
        "--augmentations", type=Path, metavar="SHEET.png", help="draw one sample as every training augmentation has it"
    )
    parser.add_argument("--seed", type=int, default=0, help="samples are a function of it; default: 0")
    parser.add_argument("--size", type=positive, default=640, metavar="PIXELS", help="side of a page; default: 640")
    parser.add_argument("--charset", default="en", help="built-in charset or file; default: en")
    parser.add_argument("--corpus", type=Path, nargs="+", default=[], metavar="FILE", help="texts, one entry a line")
    parser.add_argument("--fonts", type=Path, nargs="+", metavar="DIR", help="font folders; default: the system's")
    parser.add_argument("--backgrounds", type=Path, nargs="+", default=[], metavar="DIR", help="pictures without text")


def run(args: argparse.Namespace) -> int:
    """Draw samples.

    Raises:
        UserError: not exactly one of --output, --preview and --augmentations is given, or there are no fonts.
    """
    if [args.output, args.preview, args.augmentations].count(None) != 2:
        raise UserError("give one of --output DIR, --preview SHEET.png and --augmentations SHEET.png")
    generator = _generator(args)
    if args.preview is not None:
        write_image(args.preview, _sheet(args, generator))
    elif args.augmentations is not None:
        write_image(args.augmentations, _augmentations(args, generator))
    elif args.kind == "det":
        _write_pages(args, generator)
    else:
        _write_lines(args, generator)
    return 0


def _generator(args: argparse.Namespace) -> LineGenerator | PageGenerator:
    from ppocr_jax.charset import load_charset
    from ppocr_jax.data.synthetic.corpus import Corpus
    from ppocr_jax.data.synthetic.fonts import NoFontsError, find_fonts
    from ppocr_jax.data.synthetic.page import PageGenerator
    from ppocr_jax.data.synthetic.text_line import LineGenerator

    try:
        return (PageGenerator if args.kind == "det" else LineGenerator)(
            charset=load_charset(args.charset),
            fonts=find_fonts(args.fonts),
            corpus=Corpus.from_files(args.corpus) if args.corpus else Corpus.from_faker(seed=args.seed),
            backgrounds=args.backgrounds,
        )
    except (NoFontsError, OSError) as error:
        raise UserError(str(error)) from error


def _lines(args: argparse.Namespace, generator: LineGenerator) -> Iterator[tuple[np.ndarray, str]]:
    """Picture and label of each line; for the classifier every second one is turned."""
    import numpy as np

    for index in range(args.count):
        sample = generator(args.seed, index)
        if args.kind == "rec":
            yield sample.image_rgb, sample.text
        elif index % 2:
            yield np.ascontiguousarray(sample.image_rgb[::-1, ::-1]), "180"
        else:
            yield sample.image_rgb, "0"


def _write_lines(args: argparse.Namespace, generator: LineGenerator) -> None:
    from ppocr_jax.data.labels import RecognitionRecord, write_recognition_labels

    _make_folder(args.output / "images")
    records = []
    for index, (image_rgb, text) in enumerate(_lines(args, generator)):
        path = args.output / "images" / f"{index:07d}.png"
        write_image(path, image_rgb)
        records.append(RecognitionRecord(path, text))
    write_recognition_labels(args.output / "rec_label.txt", records)


def _write_pages(args: argparse.Namespace, generator: PageGenerator) -> None:
    from ppocr_jax.data.labels import DetectionRecord, Region, write_detection_labels

    _make_folder(args.output / "images")
    records = []
    for index in range(args.count):
        sample = generator(args.seed, index, size=(args.size, args.size))
        path = args.output / "images" / f"{index:07d}.png"
        write_image(path, sample.image_rgb)
        records.append(DetectionRecord(path, tuple(Region(line.quad, line.text) for line in sample.lines)))
    write_detection_labels(args.output / "label.txt", records)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror}") from error


def _augmentations(args: argparse.Namespace, generator: LineGenerator | PageGenerator) -> np.ndarray:
    """One sample, once for each augmentation."""
    from ppocr_jax.data.labels import Region
    from ppocr_jax.data.preview import augmentation_sheet, page_augmentation_sheet

    if args.kind != "det":
        return augmentation_sheet(generator(args.seed, 0, aspect=(4.0, 8.0)).image_rgb, args.seed)
    page = generator(args.seed, 0, size=(args.size, args.size))
    return page_augmentation_sheet(page.image_rgb, [Region(line.quad, line.text) for line in page.lines], args.seed)


def _sheet(args: argparse.Namespace, generator: LineGenerator | PageGenerator) -> np.ndarray:
    """All samples in rows on grey; pages with their quads."""
    import cv2
    import numpy as np

    def pages() -> Iterator[np.ndarray]:
        for index in range(args.count):
            sample = generator(args.seed, index, size=(args.size, args.size))
            picture = sample.image_rgb.copy()
            quads = [np.round(line.quad).astype(np.int32) for line in sample.lines]
            cv2.polylines(picture, quads, True, (255, 0, 0), 1, cv2.LINE_AA)
            yield picture

    pictures = pages() if args.kind == "det" else (image for image, _ in _lines(args, generator))
    height = _SHEET_PAGE if args.kind == "det" else _SHEET_LINE
    rows, x = [np.full((height + 6, _SHEET_WIDTH, 3), _GREY, np.uint8)], 0
    for picture in pictures:
        width = min(_SHEET_WIDTH, max(1, round(picture.shape[1] * height / picture.shape[0])))
        if x + width > _SHEET_WIDTH:
            rows.append(np.full_like(rows[0], _GREY))
            x = 0
        rows[-1][:height, x : x + width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        x += width + 6
    return np.concatenate(rows)
