"""Searchable PDF files, read by PDFium and by Poppler."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.errors import UserError
from ppocr_jax.results import Line, Page
from ppocr_jax.writers.pdf import DEFAULT_DPI, SearchablePdf
from tests.writers.pages import EMPTY, PAGE, TEXTS, box, line

pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
pdfium = pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")


def picture(page: Page) -> np.ndarray:
    image = np.full((page.height, page.width, 3), 255, np.uint8)
    image[20:40, 30:90] = (200, 30, 30)
    return image


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pdf") / "two.pdf"
    with SearchablePdf(path) as pdf:
        pdf.add(PAGE, picture(PAGE), dpi=(72, 72))
        pdf.add(EMPTY, picture(EMPTY))
    return path


def test_pages_have_the_size_of_their_pictures(written: Path):
    document = pdfium.PdfDocument(written)
    assert document.get_page_size(0) == pytest.approx((600, 400), abs=0.01)
    assert document.get_page_size(1) == pytest.approx((100 * 72 / DEFAULT_DPI, 80 * 72 / DEFAULT_DPI), abs=0.01)


def test_text_is_selected_in_reading_order(written: Path):
    page = pdfium.PdfDocument(written)[0]
    found = page.get_textpage().get_text_range().replace("\r", "").split("\n")
    assert [row.rstrip() for row in found] == [line.text for line in PAGE]


@pytest.mark.parametrize("word", ["Shop", "测试", "2.50"])
def test_words_are_found_where_they_stand(written: Path, word: str):
    text = pdfium.PdfDocument(written)[0].get_textpage()
    start, count = text.search(word).get_next()
    boxes = [text.get_charbox(k, loose=True) for k in range(start, start + count)]
    left, bottom = min(b[0] for b in boxes), min(b[1] for b in boxes)
    right, top = max(b[2] for b in boxes), max(b[3] for b in boxes)
    quad = next(w.quad for w in PAGE.words if w.text == word)
    expected = (quad[0][0], 400 - quad[2][1], quad[2][0], 400 - quad[0][1])
    assert (left, bottom, right, top) == pytest.approx(expected, abs=4.5)


def test_a_line_up_the_side_runs_upwards(written: Path):
    text = pdfium.PdfDocument(written)[0].get_textpage()
    start, _ = text.search("side").get_next()
    first, last = (text.get_charbox(start + k, loose=True) for k in (0, 3))
    assert abs(first[0] - last[0]) < 1
    assert last[1] > first[1] + 20
    assert 495 < first[0] < 525


def test_the_text_is_not_seen(written: Path):
    rendered = pdfium.PdfDocument(written)[0].render(scale=1).to_numpy()[..., ::-1].astype(int)
    assert np.abs(rendered - picture(PAGE)).mean() < 2
    assert np.abs(rendered[45:] - 255).max() < 12


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs poppler-utils")
def test_poppler_reads_it_too(written: Path):
    run = subprocess.run(["pdftotext", "-raw", written, "-"], capture_output=True, text=True, check=True)
    assert all(text in run.stdout for text in (*TEXTS, "up", "the", "side"))
    assert "Syntax" not in run.stderr
    fonts = subprocess.run(["pdffonts", written], capture_output=True, text=True, check=True)
    assert "GlyphLess" in fonts.stdout
    assert fonts.stderr == ""


def test_a_picture_in_grey_and_a_jpeg_kept_as_it_is(tmp_path: Path):
    grey = np.tile(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], (40, 1, 3))
    out = io.BytesIO()
    Image.fromarray(grey[..., 0]).save(out, "JPEG", quality=40)
    with SearchablePdf(tmp_path / "grey.pdf") as pdf:
        pdf.add(Page(50, 40, ()), grey, jpeg=out.getvalue())
        pdf.add(Page(50, 40, ()), grey)
    assert out.getvalue() in (tmp_path / "grey.pdf").read_bytes()
    for page in pdfium.PdfDocument(tmp_path / "grey.pdf"):
        rendered = page.render(scale=DEFAULT_DPI / 72).to_numpy()
        assert np.abs(rendered.astype(int)[:40, :50] - grey).max() < 12


def test_strange_texts_do_no_harm(tmp_path: Path):
    lines = (
        Line(box(0, 0, 50, 10), "\ud800 lone\0", 1.0),
        Line(box(0, 20, 50, 20), "flat", 1.0),
        line("😀 beyond", 10, 50),
        Line(box(0, 70, 9, 80), "", 1.0),
    )
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(300, 90, lines), np.zeros((90, 300, 3), np.uint8))
    assert "beyond" in pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage().get_text_range()


def test_huge_pages_are_made_smaller(tmp_path: Path):
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(20000, 10, ()), np.zeros((10, 20000, 3), np.uint8), dpi=(10, 10))
    width, height = pdfium.PdfDocument(tmp_path / "a.pdf").get_page_size(0)
    assert width == pytest.approx(14400)
    assert height == pytest.approx(7.2)


def test_other_sizes_and_places_that_cannot_be_written(tmp_path: Path):
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        with pytest.raises(ValueError, match="600x400"):
            pdf.add(PAGE, np.zeros((1, 1, 3), np.uint8))
        pdf.add(EMPTY, picture(EMPTY))
    with pytest.raises(UserError, match="cannot write"), SearchablePdf(tmp_path / "none" / "a.pdf") as pdf:
        pdf.add(EMPTY, picture(EMPTY))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_nothing_is_left_of_a_document_that_failed(tmp_path: Path):
    def fail() -> None:
        with SearchablePdf(tmp_path / "a.pdf") as pdf:
            pdf.add(EMPTY, picture(EMPTY))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
