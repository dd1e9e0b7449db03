"""OCRmyPDF, run with this plugin on images that a toy model reads."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ocrmypdf", minversion="17", reason="needs ocrmypdf 17")
stripes = pytest.importorskip("tests.stripes", reason="needs onnx")
pdfium = pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")

import ocrmypdf  # noqa: E402
from ocrmypdf.exceptions import BadArgsError, MissingDependencyError  # noqa: E402

from ppocr_jax import ocrmypdf_plugin  # noqa: E402
from ppocr_jax.document.page import Page  # noqa: E402
from ppocr_jax.document.pdf import SearchablePdf  # noqa: E402
from ppocr_jax.inference.ocr import OCR  # noqa: E402
from ppocr_jax.ocrmypdf_plugin import PpOcrEngine  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
HIGH, WIDE, DPI = 300, 500, 300
LINES = [("abc", (150, 60), 0), ("ccab", (265, 200), 10), ("bca", (60, 200), -90), ("acca", (450, 120), 90)]
WORDS = ["abcab", "ccabb", "bcacc"]


@pytest.fixture
def read(stripes_model: Path, tmp_path: Path):
    """Pages of images -> the PDF document that OCRmyPDF makes of them, and what it writes beside it."""

    def run(*pages: np.ndarray, **options: Any) -> tuple[Any, str]:
        scan, output, text = tmp_path / "scan.pdf", tmp_path / "out.pdf", tmp_path / "out.txt"
        with SearchablePdf(scan, quality=None) as pdf:
            for image_rgb in pages:
                pdf.add(Page(image_rgb.shape[1], image_rgb.shape[0], ()), image_rgb, dpi=(DPI, DPI))
        options = {"ppocr_model": str(stripes_model), "output_type": "pdf", "sidecar": text, "optimize": 0} | options
        code = ocrmypdf.ocr(scan, output, plugins=["ppocr_jax.ocrmypdf_plugin"], progress_bar=False, **options)
        assert code == ocrmypdf.ExitCode.ok
        return pdfium.PdfDocument(output), text.read_text("utf-8")

    return run


def place_of(page: Any, word: str) -> tuple[float, float]:
    """Center of the first and last character of a word, in pixels of the image."""
    text = page.get_textpage()
    found = text.search(word).get_next()
    assert found is not None, f"{word} is not in {text.get_text_range()!r}"
    ends = [text.get_charbox(found[0] + k, loose=True) for k in (0, found[1] - 1)]
    x, y = np.mean([((left + right) / 2, (bottom + top) / 2) for left, bottom, right, top in ends], axis=0)
    return x * DPI / 72, (page.get_height() - y) * DPI / 72


def read_alone(stripes_model: Path, image: np.ndarray) -> dict[str, tuple[float, ...]]:
    """Word -> its center, as ppocr_jax reads it without OCRmyPDF."""
    return {word.text: tuple(np.mean(word.quad, axis=0)) for word in OCR(stripes_model)(image).words}


@pytest.mark.parametrize(("renderer", "tolerance"), [("auto", 4), ("fpdf2", 14)])
def test_words_are_found_where_they_stand(read, stripes_model: Path, renderer: str, tolerance: float):
    image = stripes.paint_page((HIGH, WIDE), LINES)
    document, text = read(image, pdf_renderer=renderer)
    places = read_alone(stripes_model, image)
    assert sorted(text.split()) == sorted(places) == sorted(word for word, _, _ in LINES)
    for word, place in places.items():
        assert place_of(document[0], word) == pytest.approx(place, abs=tolerance), word


def test_the_image_stays_as_it_is(read, tmp_path: Path):
    document, _ = read(stripes.paint_page((HIGH, WIDE), LINES))
    scan = pdfium.PdfDocument(tmp_path / "scan.pdf")
    before, after = (file[0].render(scale=DPI / 72).to_numpy() for file in (scan, document))
    np.testing.assert_array_equal(after, before)


def test_several_pages_and_such_without_text(read):
    first, second = (stripes.paint_page((HIGH, WIDE), [line]) for line in LINES[:2])
    document, text = read(first, np.zeros_like(first), second)
    assert [page.get_textpage().get_text_range().strip() for page in document] == ["abc", "", "ccab"]
    assert text.split("\f")[0].strip() == "abc"


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_pages_are_turned_upright(tmp_path: Path, turns: int):
    """By the built-in model: OCRmyPDF asks for the direction on a gray preview, and the toy script is all colors."""
    upright = Image.open(ROOT / "examples" / "receipt.jpg")
    upright.rotate(-90 * turns, expand=True).save(tmp_path / "scan.png", dpi=(150, 150))
    options = {"rotate_pages": True, "output_type": "pdf", "optimize": 0, "progress_bar": False}
    output = tmp_path / "out.pdf"
    assert ocrmypdf.ocr(tmp_path / "scan.png", output, plugins=["ppocr_jax.ocrmypdf_plugin"], **options) == 0
    page = pdfium.PdfDocument(output)[0]
    assert page.get_rotation() == 90 * (4 - turns) % 360
    shown = page.render(scale=1).to_pil().convert("L")
    before = np.asarray(upright.convert("L").resize(shown.size), int)
    assert np.abs(np.asarray(shown) - before).mean() < 3
    assert "TOTAL" in page.get_textpage().get_text_range().upper()


@pytest.mark.parametrize("degrees", [-4, 0, 6])
def test_skew_is_measured(stripes_model: Path, tmp_path: Path, degrees: float):
    """Pillow, which OCRmyPDF asks to turn the page by it, turns counter-clockwise."""
    lines = [(word, (150 + 30 * k, 70 + 60 * k), degrees) for k, word in enumerate(WORDS)]
    Image.fromarray(stripes.paint_page((HIGH, WIDE), lines)).save(tmp_path / "a.png")
    options = SimpleNamespace(ppocr_model=str(stripes_model))
    assert PpOcrEngine.get_deskew(tmp_path / "a.png", options) == pytest.approx(degrees, abs=1)
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    assert PpOcrEngine.get_deskew(tmp_path / "a.png", options) == 0


def test_languages_and_models_that_are_not_there(read):
    page = np.zeros((30, 30, 3), np.uint8)
    for model, language in {"en": "deu", "en_tiny": "deu", "latin": "chi_sim", "ch": "fra"}.items():
        with pytest.raises(MissingDependencyError, match=language):
            read(page, ppocr_model=model, language=[language])
    with pytest.raises(MissingDependencyError, match="kor"):
        read(page, ppocr_model=None, language=["kor"])
    with pytest.raises(BadArgsError, match="no model 'nowhere'"):
        read(page, ppocr_model="nowhere")


@pytest.mark.parametrize(
    ("languages", "model"),
    [(["eng"], "en"), (["deu"], "latin"), (["eng", "fra"], "latin"), (["chi_sim"], "ch"), (["deu", "chi_sim"], "en")],
)
def test_the_model_is_the_one_for_the_languages(languages, model):
    options = SimpleNamespace(languages=languages, ppocr_model=None)
    assert ocrmypdf_plugin._model(options) == model
    known = PpOcrEngine.languages(options)
    assert set(languages) <= known or languages == ["deu", "chi_sim"], "which no model reads"


def test_other_engines_can_be_asked_for(read):
    image = stripes.paint_page((HIGH, WIDE), LINES)
    document, text = read(image, ocr_engine="none")
    assert text.strip() == document[0].get_textpage().get_text_range() == ""


@pytest.mark.skipif(shutil.which("tesseract") is not None, reason="Tesseract is installed")
def test_tesseract_is_not_needed_unless_it_is_asked_for(read):
    with pytest.raises(MissingDependencyError, match="Tesseract is not installed"):
        read(np.zeros((30, 30, 3), np.uint8), ocr_engine="tesseract")


def test_the_command(stripes_model: Path, tmp_path: Path):
    image = stripes.paint_page((HIGH, WIDE), LINES[:1])
    Image.fromarray(image).save(tmp_path / "a.png", dpi=(DPI, DPI))
    command = [
        sys.executable,
        "-m",
        "ocrmypdf",
        "--plugin",
        "ppocr_jax.ocrmypdf_plugin",
        "--ppocr-model",
        stripes_model,
    ]
    files = ["--output-type", "pdf", tmp_path / "a.png", tmp_path / "a.pdf"]
    run = subprocess.run([*command, *files], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert "abc" in pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage().get_text_range()
