"""`ppocr-jax synth`: write synthetic lines or pages with labels in PaddleOCR's formats, or a sheet of samples."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ppocr_jax.commands.common import check_image_output, positive, write_image
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from ppocr_jax.charset import Charset
    from ppocr_jax.synth.corpus import Corpus
    from ppocr_jax.synth.dataset import SampleSeries
    from ppocr_jax.synth.fonts import FontFace

logger = logging.getLogger("ppocr_jax")

# Smaller pages have no room for a line of the smallest font size.
_SMALLEST_PAGE = 64
_LARGEST_PAGE = 8192
_JPEG_QUALITY = 90
_MOST_WORKERS = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `synth`."""
    parser.add_argument(
        "kind",
        choices=["rec", "det", "cls"],
        help="rec: text lines; det: pages; cls: text lines, half of them upside down",
    )
    parser.add_argument("--count", type=positive, default=100, metavar="N", help="number of samples (default: 100)")
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed; the same seed gives the same samples (default: 0)"
    )
    _add_targets(parser.add_argument_group("output (exactly one is required)"))
    _add_formats(parser.add_argument_group("format options"))
    _add_materials(parser.add_argument_group("content options"))


def _add_targets(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--output", type=Path, metavar="DIR", help="write a dataset to this new or empty folder")
    group.add_argument("--preview", type=Path, metavar="SHEET.png", help="write one image that shows all samples")
    group.add_argument(
        "--augmentations",
        type=Path,
        metavar="SHEET.png",
        help="write one image that shows a sample after each training augmentation",
    )


def _add_formats(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--format",
        choices=["folder", "lmdb"],
        default="folder",
        help="images/ and a label file, or, for lines, an LMDB database (default: folder)",
    )
    group.add_argument(
        "--granularity",
        choices=["line", "word"],
        default="line",
        help="what the labels of a page outline (default: line)",
    )
    group.add_argument(
        "--vertical",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of vertical text among lines of ideographs (default: 0)",
    )
    group.add_argument(
        "--pages", nargs="+", default=[], metavar="KIND", help="kinds of pages, such as receipt poster (default: all)"
    )
    group.add_argument("--size", type=int, default=640, metavar="PIXELS", help="side length of a page (default: 640)")
    group.add_argument("--image-format", choices=["png", "jpg"], default="png", help="image format (default: png)")
    group.add_argument("--quality", type=int, metavar="1-100", help=f"quality of jpg images (default: {_JPEG_QUALITY})")
    group.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="number of processes; the files are the same for any N (default: 1)",
    )


def _add_materials(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--charset", default="en", help="built-in charset or file (default: en)")
    group.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="text files with one entry per line, or folders of .txt files (default: generated texts)",
    )
    group.add_argument(
        "--fonts", type=Path, nargs="+", metavar="DIR", help="font folders (default: the fonts of the system)"
    )
    group.add_argument(
        "--backgrounds",
        type=Path,
        nargs="+",
        default=[],
        metavar="PATH",
        help="images without text, or folders of them, as backgrounds",
    )


def run(args: argparse.Namespace) -> int:
    """Write a dataset or a sheet of samples.

    Raises:
        UserError: Not exactly one of --output, --preview and --augmentations is given, options contradict each other
            or are out of range, --output is not empty, the output cannot be written, or fonts, texts or backgrounds are
            missing.
    """
    _check(args)
    if args.output is not None:
        _write(args)
    else:
        from ppocr_jax.synth.dataset import sample_sheet

        check_image_output(args.augmentations if args.preview is None else args.preview)
        series = _series(args)
        if args.preview is not None:
            write_image(args.preview, sample_sheet(series, args.count))
        else:
            write_image(args.augmentations, _augmentation_sheet(series))
    return 0


def _check(args: argparse.Namespace) -> None:
    wrong = {
        "pass exactly one of --output DIR, --preview SHEET.png and --augmentations SHEET.png": (
            [args.output, args.preview, args.augmentations].count(None) != 2
        ),
        f"--seed must be at least 0, not {args.seed}": args.seed < 0,
        f"--size must be {_SMALLEST_PAGE} to {_LARGEST_PAGE} pixels, not {args.size}": (
            not _SMALLEST_PAGE <= args.size <= _LARGEST_PAGE
        ),
        f"--vertical must be a share from 0 to 1, not {args.vertical}": not 0 <= args.vertical <= 1,
        "--vertical applies only to lines, not to pages": args.vertical > 0 and args.kind == "det",
        f"--workers must be 1 to {_MOST_WORKERS}, not {args.workers}": not 1 <= args.workers <= _MOST_WORKERS,
        f"--quality must be 1 to 100, not {args.quality}": args.quality is not None and not 1 <= args.quality <= 100,
        "--quality requires --image-format jpg": args.quality is not None and args.image_format != "jpg",
        "--format lmdb applies only to lines: omit it for det": args.format == "lmdb" and args.kind == "det",
        "--pages applies only to det": bool(args.pages) and args.kind != "det",
        "--granularity word applies only to det": args.granularity == "word" and args.kind != "det",
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise UserError(message)


def _write(args: argparse.Namespace) -> None:
    from ppocr_jax.synth.dataset import check_empty, write_folder, write_lmdb

    check_empty(args.output)  # before the search for fonts, which takes seconds
    write = write_lmdb if args.format == "lmdb" else write_folder
    write(args.output, _series(args), args.count, workers=args.workers)
    logger.info("wrote %d samples to %s", args.count, args.output)


def _augmentation_sheet(series: SampleSeries) -> np.ndarray:
    """Return a sheet of one sample after each training augmentation, (h, w, 3) uint8."""
    from ppocr_jax.data.sheets import augmentation_sheet, page_augmentation_sheet
    from ppocr_jax.synth.page import PageGenerator

    if isinstance(series.generator, PageGenerator):
        image_rgb, label = series.sample(0)
        return page_augmentation_sheet(
            image_rgb, [region for region in label if not isinstance(region, str)], series.seed
        )
    line = series.generator(series.seed, 0, aspect=(4.0, 8.0))
    return augmentation_sheet(line.image_rgb, series.seed)


def _series(args: argparse.Namespace) -> SampleSeries:
    from ppocr_jax.charset import load_charset
    from ppocr_jax.synth.background import photo_paths
    from ppocr_jax.synth.dataset import SampleSeries
    from ppocr_jax.synth.fonts import NoFontsError
    from ppocr_jax.synth.line import LineGenerator
    from ppocr_jax.synth.page import PAGE_KINDS, PageGenerator

    unknown = [kind for kind in args.pages if kind not in PAGE_KINDS]
    if unknown:
        raise UserError(f"--pages: no page kind {unknown[0]!r}; there are {', '.join(PAGE_KINDS)}")
    try:
        charset = load_charset(args.charset)
        materials = {
            "charset": charset,
            "fonts": _fonts(args.fonts, charset),
            "corpus": _corpus(args.corpus, charset, args.seed),
            "backgrounds": photo_paths(args.backgrounds),
        }
        if args.kind == "det":
            generator: PageGenerator | LineGenerator = PageGenerator(**materials)
        else:
            generator = LineGenerator(**materials, vertical=args.vertical)
    except (NoFontsError, OSError, ValueError) as error:
        raise UserError(str(error)) from error
    return SampleSeries(
        args.kind,
        generator,
        seed=args.seed,
        size=args.size,
        words=args.granularity == "word",
        suffix=args.image_format,
        quality=_JPEG_QUALITY if args.quality is None else args.quality,
        page_kinds=tuple(args.pages),
    )


def _fonts(folders: Sequence[Path] | None, charset: Charset) -> list[FontFace]:
    """Return the font faces; warn of characters of the charset that no face has, because they are never rendered.

    Raises:
        NoFontsError: See `find_fonts`.
    """
    from ppocr_jax.synth.fonts import find_fonts, warn_of_missing

    faces = find_fonts(folders)
    warn_of_missing(faces, charset)
    return faces


def _corpus(paths: Sequence[Path], charset: Charset, seed: int) -> Corpus:
    """Return the texts of files and of the .txt files in folders; generated texts if no path is given.

    Raises:
        UserError: faker is not installed.
        OSError, ValueError: See `Corpus.from_files`.
    """
    from ppocr_jax.synth.corpus import Corpus

    if not paths:
        try:
            return Corpus.generated(charset, seed=seed)
        except ModuleNotFoundError as error:
            raise UserError("pass text files with --corpus, or run pip install faker for generated texts") from error
    return Corpus.from_files(paths, charset)
