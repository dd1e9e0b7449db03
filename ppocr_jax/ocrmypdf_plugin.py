"""Plugin for OCRmyPDF 17 or newer, which makes it use ppocr_jax instead of Tesseract.

`ocrmypdf --plugin ppocr_jax.ocrmypdf_plugin scan.pdf searchable.pdf` needs neither Tesseract nor, for the output types
`auto` and `pdf`, Ghostscript. It is deliberately not an entry point: installing ppocr_jax changes nothing for users who
do not request it.
"""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from collections.abc import Set
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
from ocrmypdf import OcrEngine, OrientationConfidence, hookimpl
from ocrmypdf.exceptions import BadArgsError, InputFileError, MissingDependencyError

from ppocr_jax import __version__
from ppocr_jax.document import to_hocr, to_text
from ppocr_jax.document.page import Page, quad_direction
from ppocr_jax.document.pdf import SearchablePdf
from ppocr_jax.errors import UserError
from ppocr_jax.images import InputPage, read_pages
from ppocr_jax.inference.model_folder import LANGUAGES, builtin_models, load_model_folder, model_for_languages
from ppocr_jax.inference.ocr import OCR

_TESSERACT = "ocrmypdf.builtin_plugins.tesseract_ocr"
_SURE, _UNSURE = 15.0, 0.0  # OCRmyPDF's scale of confidence in a page's orientation
_LARGEST_SKEW = 20.0  # degrees; lines with a larger angle are not skewed but placed that way


class PpOcrEngine(OcrEngine):
    """OCR engine for OCRmyPDF. Each call reads one page on one core, because OCRmyPDF makes parallel calls."""

    @staticmethod
    def version() -> str:
        """Return the version of ppocr_jax."""
        return __version__

    @staticmethod
    def creator_tag(options: Any) -> str:
        """Return the creator tag for the metadata of the PDF file."""
        return f"ppocr_jax {__version__}"

    def __str__(self) -> str:
        return f"ppocr_jax {__version__}"

    @staticmethod
    def languages(options: Any) -> Set[str]:
        """Return the languages of a built-in model, or all requested languages for another model."""
        model = _model(options)
        if model not in builtin_models():
            return set(options.languages)
        return {name for name, reads in LANGUAGES.items() if reads in (model, "en")}

    @staticmethod
    def get_orientation(input_file: Path, options: Any) -> OrientationConfidence:
        """Return the clockwise rotation of the page's text in degrees, with low confidence if there is no text."""
        _, page = _read(input_file, options)
        return OrientationConfidence(page.rotation, _SURE if len(page) else _UNSURE)

    @staticmethod
    def get_deskew(input_file: Path, options: Any) -> float:
        """Return the angle in degrees by which lines fall to the right: the median, weighted by text length."""
        _, page = _read(input_file, options)
        angles = [(quad_direction(line.quad) - page.rotation + 180) % 360 - 180 for line in page for _ in line.text]
        small = [angle for angle in angles if abs(angle) < _LARGEST_SKEW]
        return float(np.median(small)) if small else 0.0

    @staticmethod
    def generate_hocr(input_file: Path, output_hocr: Path, output_text: Path, options: Any) -> None:
        """Recognize the image of a page, and write hOCR and text."""
        _, page = _read(input_file, options)
        output_hocr.write_text("".join(to_hocr([page])), encoding="utf-8")
        output_text.write_text("".join(to_text([page])), encoding="utf-8")

    @staticmethod
    def generate_pdf(input_file: Path, output_pdf: Path, output_text: Path, options: Any) -> None:
        """Recognize the image of a page, and write a PDF page of invisible text, and text."""
        image, page = _read(input_file, options)
        with SearchablePdf(output_pdf) as pdf:
            pdf.add(page, None, dpi=image.dpi, user_unit=image.user_unit)
        output_text.write_text("".join(to_text([page])), encoding="utf-8")


@hookimpl
def initialize(plugin_manager: pluggy.PluginManager) -> None:
    """Prevent OCRmyPDF from requiring Tesseract if it is not installed."""
    if _lacks_tesseract():
        plugin_manager.set_blocked(_TESSERACT)


@hookimpl
def register_options() -> dict[str, Any]:
    """Return Tesseract's options, which OCRmyPDF reads even if its plugin is blocked."""
    return {"tesseract": _tesseract_options()} if _lacks_tesseract() else {}


@hookimpl
def add_options(parser: ArgumentParser) -> None:
    """Add `--ppocr-model`, and Tesseract's options (see `register_options`)."""
    group = parser.add_argument_group("ppocr_jax", "Options of ppocr_jax")
    group.add_argument(
        "--ppocr-model",
        metavar="NAME_OR_DIR",
        help=f"built-in model ({', '.join(builtin_models())}) or model folder (default: the one for the -l languages)",
    )
    if _lacks_tesseract():
        _tesseract_options().add_arguments_to_parser(parser)


@hookimpl
def check_options(options: Any) -> None:
    """Report a missing model before any page is read, and choose the renderer.

    By default, `generate_pdf` places the text. OCRmyPDF's own renderer of hOCR, which only supports axis-aligned boxes,
    misplaces text on skewed lines by a tenth of a word's length.

    Raises:
        BadArgsError: If the model folder is missing or incomplete.
        MissingDependencyError: If Tesseract is requested and not installed.
    """
    if options.ocr_engine == "tesseract" and _lacks_tesseract():
        raise MissingDependencyError("--ocr-engine tesseract: Tesseract is not installed")
    try:
        load_model_folder(_model(options))
    except UserError as error:
        raise BadArgsError(str(error)) from error
    if options.pdf_renderer == "auto" and options.ocr_engine == "auto":
        options.pdf_renderer = "sandwich"


@hookimpl
def get_ocr_engine(options: Any) -> OcrEngine | None:
    """Return this engine, unless `--ocr-engine` requests another one."""
    return PpOcrEngine() if options is None or options.ocr_engine == "auto" else None


def _model(options: Any) -> str:
    if named := getattr(options, "ppocr_model", None):
        return named
    return model_for_languages(options.languages) or "en"


@lru_cache
def _lacks_tesseract() -> bool:
    return shutil.which("tesseract") is None


def _tesseract_options() -> Any:
    from ocrmypdf.builtin_plugins.tesseract_ocr import TesseractOptions

    return TesseractOptions


@lru_cache(maxsize=2)
def _ocr(model: str) -> OCR:
    """Return the OCR object of a model, loaded once per process by the first thread that needs it."""
    return OCR(model).single_threaded()


def _read(path: Path, options: Any) -> tuple[InputPage, Page]:
    try:
        image = next(read_pages(path))
        return image, _ocr(_model(options))(image.image_rgb)
    except UserError as error:
        raise InputFileError(str(error)) from error
