"""`ppocr-jax infer`: read the text of a picture."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from ppocr_jax.commands.common import positive, share, write_image, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `infer`."""
    parser.add_argument("--image", type=Path, required=True, metavar="PATH", help="the picture")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="of the result; default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result here instead of standard output")
    parser.add_argument("--draw", type=Path, metavar="OUT.png", help="also draw boxes and texts into this picture")
    parser.add_argument("--model", default="en", metavar="DIR", help="built-in model or model folder; default: en")
    parser.add_argument("--backend", choices=["onnx", "jax"], default="onnx", help="what runs the networks")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="for the onnx backend")
    parser.add_argument("--threads", type=positive, metavar="N", help="per operation, for the onnx backend")
    parser.add_argument("--limit-side", type=positive, metavar="PIXELS", help="longest side the detector sees")
    parser.add_argument("--drop-score", type=share, metavar="P", help="leave out lines read with less confidence")


def run(args: argparse.Namespace) -> int:
    """Read one picture.

    Raises:
        UserError: the picture or the model cannot be read, or the result not be written.
    """
    from ppocr_jax.images import load_image
    from ppocr_jax.inference.pipeline import OCR
    from ppocr_jax.writers import WRITERS

    image_rgb = load_image(args.image)
    options = {name: getattr(args, name) for name in ("limit_side", "drop_score") if getattr(args, name) is not None}
    ocr = OCR(args.model, backend=args.backend, device=args.device, threads=args.threads, **options)
    page = replace(ocr(image_rgb), source=str(args.image))
    if args.draw is not None:
        from ppocr_jax.draw import draw_page

        write_image(args.draw, draw_page(image_rgb, page))
    text = WRITERS[args.format](page)
    if args.output is None:
        sys.stdout.write(text)
    else:
        write_text(args.output, text)
    return 0
