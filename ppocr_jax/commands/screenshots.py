"""`ppocr-jax screenshots`: render HTML pages in Chromium and write the images with exact labels."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ppocr_jax.commands.common import PageCounter, positive, require
from ppocr_jax.errors import UserError

logger = logging.getLogger("ppocr_jax")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `screenshots`."""
    add = parser.add_argument
    add("pages", nargs="+", type=Path, metavar="PAGES", help="HTML files, or folders of them with their subfolders")
    add("--output", type=Path, required=True, metavar="DIR", help="write images and labels to this new or empty folder")
    add("--count", type=positive, default=100, metavar="N", help="number of images (default: 100)")
    add("--seed", type=int, default=0, help="random seed; the same seed gives the same images (default: 0)")
    add(
        "--charset",
        metavar="NAME_OR_FILE",
        help="built-in charset or file: signs of typography become its plain ones, and lines with other characters are "
        "ignored (default: all characters are kept)",
    )
    add(
        "--fonts-exclude",
        nargs="+",
        default=[],
        metavar="NAME",
        help="do not choose fonts with one of these words in their name (default: all fonts of the system)",
    )
    add("--granularity", choices=["line", "word"], default="line", help="what the labels outline (default: line)")
    add("--image-format", choices=["png", "jpg"], default="png", help="image format (default: png)")
    add("--plain", action="store_true", help="keep the style of the pages instead of a random one")
    add(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show an image counter (default: on a terminal)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the images and their label file.

    Raises:
        UserError: An option is out of range, the output is not an empty folder or cannot be written, a package,
            Chromium or fonts are missing, there are no HTML files, or none of them shows enough text.
    """
    require("ppocr-jax screenshots", ["selenium", "fontTools"], "screenshots")
    from ppocr_jax.charset import load_charset
    from ppocr_jax.synth.browser import Browser
    from ppocr_jax.synth.dataset import check_empty, write_folder
    from ppocr_jax.synth.screenshots import ScreenshotSeries, find_families, find_pages

    if args.seed < 0:
        raise UserError(f"--seed must be at least 0, not {args.seed}")
    check_empty(args.output)
    pages = find_pages(args.pages)
    try:
        charset = None if args.charset is None else load_charset(args.charset)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    with Browser() as browser, PageCounter(args.progress) as progress:
        fonts, drawable = find_families(charset, exclude=args.fonts_exclude)
        series = ScreenshotSeries(
            pages,
            browser,
            fonts,
            drawable,
            charset=charset,
            seed=args.seed,
            words=args.granularity == "word",
            suffix=args.image_format,
            plain=args.plain,
            on_page=progress.count,
        )
        write_folder(args.output, series, args.count)
    logger.info("wrote %d screenshots of %d pages to %s", args.count, len(pages), args.output)
    return 0
