"""`ppocr-jax infer`: read the text of images and documents."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ppocr_jax.commands.common import add_reading, make_ocr, nonempty_path, share
from ppocr_jax.errors import UserError

if TYPE_CHECKING:
    from ppocr_jax.commands.infer_output import PageWithImage

_TEXT_FORMATS = ("text", "layout", "json", "jsonl", "csv", "tsv", "md", "hocr", "alto")
_FORMATS = (*_TEXT_FORMATS, "pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `infer`."""
    _add_inputs(parser.add_argument_group("input options"))
    _add_outputs(parser.add_argument_group("output options"))
    add_reading(parser.add_argument_group("OCR options"))


def _add_inputs(group: Any) -> None:
    group.add_argument(
        "--image",
        nargs="+",
        action="extend",
        required=True,
        metavar="PATH",
        help="image, PDF file, folder, or - for standard input; may be repeated",
    )
    group.add_argument("-r", "--recursive", action="store_true", help="include subfolders")
    group.add_argument("--pages", metavar="1-3,7", help="pages to read of each document (default: all)")
    group.add_argument("--password", help="password of encrypted PDF files")
    group.add_argument(
        "--frames", choices=["first", "all"], default="first", help="frames to read of animations (default: first)"
    )
    group.add_argument(
        "--dpi",
        type=float,
        metavar="N",
        help="resolution at which PDF pages are rendered (default: that of the scan, otherwise 200)",
    )
    group.add_argument("--allow-url", action="store_true", help="allow URLs (http:// or https://) as PATH")


def _add_outputs(group: Any) -> None:
    group.add_argument(
        "--format", choices=_FORMATS, help="output format (default: from the suffix of --output, otherwise text)"
    )
    group.add_argument("--output", metavar="FILE", help="write the result to this file (default: -, standard output)")
    group.add_argument(
        "--words", action="store_true", help="include words and their positions; for json, jsonl, csv and tsv"
    )
    group.add_argument("--join-rows", action="store_true", help="join lines that are next to each other into one")
    group.add_argument("--min-word-confidence", type=share, metavar="P", help="drop words read with less confidence")
    group.add_argument(
        "--tables", type=nonempty_path, metavar="FILE", help="also write the tables to this file (.md, .csv or .tsv)"
    )
    group.add_argument(
        "--draw",
        type=nonempty_path,
        metavar="OUT.png",
        help="also draw the boxes and texts to this image; for several pages, name a folder",
    )
    group.add_argument(
        "--explain",
        type=nonempty_path,
        metavar="DIR",
        help="also write probability maps, boxes, and crops with their texts to this folder",
    )
    group.add_argument("--resume", action="store_true", help="continue an interrupted jsonl --output file")
    group.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="show a page counter (default: for several pages, on a terminal)",
    )


def run(args: argparse.Namespace) -> int:
    """Read the inputs and write the result; return 1 if a page could not be read.

    Raises:
        UserError: The only input or the model cannot be read, an option is invalid, or the result cannot be written.
    """
    from ppocr_jax.commands.infer_output import Output
    from ppocr_jax.images import find_inputs

    inputs = find_inputs(args.image, recursive=args.recursive, allow_url=args.allow_url)
    output = Output(args, inputs)
    results = make_ocr(args).read_with_images(
        inputs,
        pages=args.pages,
        password=args.password,
        frames=args.frames,
        dpi=args.dpi,
        allow_url=args.allow_url,
        on_error="page",
        skip=output.done,
        explain=args.explain,
        workers=args.threads,
    )
    return output.write(results if len(inputs) > 1 else _raise_if_all_fail(results))


def _raise_if_all_fail(results: Iterator[PageWithImage]) -> Iterator[PageWithImage]:
    """Yield the pages of a single input, including those that could not be read.

    Raises:
        UserError: No page could be read.
    """
    failed: list[PageWithImage] = []
    for page, image in results:
        failed.append((page, image))
        if not page.error:
            yield from failed
            yield from results
            return
    if failed:
        raise UserError(failed[0][0].error)
