"""Searchable PDF files, read by PDFium and by Poppler."""

import html
import importlib
import io
import re
import shutil
import subprocess
import unicodedata
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.document.page import Line, Page
from ppocr_jax.document.pdf import DEFAULT_DPI, SearchablePdf
from ppocr_jax.errors import UserError
from ppocr_jax.images import read_pages
from tests.document.pages import EMPTY, FAILED, PAGE, TEXTS, box, line

pikepdf = pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
pdfium = pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")


def image(page: Page) -> np.ndarray:
    image = np.full((page.height, page.width, 3), 255, np.uint8)
    image[20:40, 30:90] = (200, 30, 30)
    return image


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pdf") / "two.pdf"
    with SearchablePdf(path) as pdf:
        pdf.add(PAGE, image(PAGE), dpi=(72, 72))
        pdf.add(EMPTY, image(EMPTY))
    return path


def test_pages_have_the_size_of_their_images(written: Path):
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
    assert np.abs(rendered - image(PAGE)).mean() < 2
    assert np.abs(rendered[45:] - 255).max() < 12


def poppler(program: str, *arguments: object) -> str:
    if shutil.which(program) is None:
        pytest.skip("needs poppler-utils")
    run = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout


def test_poppler_reads_it_too(written: Path):
    text = poppler("pdftotext", "-raw", written, "-")
    assert all(part in text for part in (*TEXTS, "up", "the", "side"))
    assert "GlyphLess" in poppler("pdffonts", written)


def test_poppler_finds_words_where_they_stand(written: Path):
    text = poppler("pdftotext", "-bbox", "-l", 1, written, "-")
    places = re.findall(r'xMin="(.*)" yMin="(.*)" xMax="(.*)" yMax="(.*)">(.*)</word>', text)
    found = {html.unescape(word): tuple(map(float, place)) for *place, word in places}
    for word in PAGE.words:
        (left, top), _, (right, bottom), _ = word.quad
        expected = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
        assert found[word.text] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("degrees", [-30, 10, 45, 100, 180])
def test_words_of_turned_lines(tmp_path: Path, degrees: float):
    """The first and the last letter of a word stand where the quads of their characters do."""
    turned_line = line("some turned words", 300, 300, degrees=degrees)
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(600, 600, (turned_line,)), None, dpi=(72, 72))
    text = pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage()
    start, count = text.search("turned").get_next()
    for index, char in ((start, turned_line.words[1].chars[0]), (start + count - 1, turned_line.words[1].chars[-1])):
        left, bottom, right, top = text.get_charbox(index, loose=True)
        middle = np.mean(char.quad, axis=0)
        assert ((left + right) / 2, 600 - (bottom + top) / 2) == pytest.approx(tuple(middle), abs=4)


def rendered_alone(path: Path, image_rgb: np.ndarray, *, quality: int | None = 85, original: bytes | None = None):
    """A PDF of one image, as PDFium shows it, pixel by pixel."""
    high, wide = image_rgb.shape[:2]
    with SearchablePdf(path, quality=quality) as pdf:
        pdf.add(Page(wide, high, ()), image_rgb, dpi=(72, 72), original=original)
    return pdfium.PdfDocument(path)[0].render(scale=1).to_numpy()[..., ::-1].astype(int)


def smooth(channels: int) -> np.ndarray:
    brightness = np.linspace(20, 230, 50)[None, :, None] * np.linspace(0.4, 1, 40)[:, None, None]
    return (brightness * np.linspace(1, 0.5, channels)).astype(np.uint8)


def as_jpeg(image_rgb: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image_rgb).convert(mode).save(out, "JPEG", **options)
    return out.getvalue()


COLOR, GRAY = smooth(3), np.repeat(smooth(1), 3, axis=2)
TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    "original",
    [
        as_jpeg(COLOR, quality=60),
        as_jpeg(COLOR, quality=60, progressive=True),
        as_jpeg(GRAY, "L", quality=60),
        as_jpeg(GRAY, "RGB", quality=60),
    ],
    ids=["color", "progressive", "gray", "gray in colors"],
)
def test_a_jpeg_file_is_kept_as_it_is(tmp_path: Path, original: bytes):
    decoded = np.array(Image.open(io.BytesIO(original)).convert("RGB"))
    shown = rendered_alone(tmp_path / "a.pdf", decoded, original=original)
    assert original in (tmp_path / "a.pdf").read_bytes()
    assert np.abs(shown - decoded).max() <= 3


@pytest.mark.parametrize(
    "original",
    [
        as_jpeg(COLOR, exif=TURNED),
        as_jpeg(COLOR, "CMYK"),
        as_jpeg(COLOR, keep_rgb=True),
        as_jpeg(COLOR)[:-200],
        as_jpeg(COLOR[:, :-1]),
        b"\xff\xd8\xff nothing \xff\xd9",
        b"",
    ],
    ids=["turned", "CMYK", "RGB", "cut off", "of another size", "damaged", "empty"],
)
def test_other_files_are_not(tmp_path: Path, original: bytes):
    shown = rendered_alone(tmp_path / "a.pdf", COLOR, original=original)
    assert not original or original not in (tmp_path / "a.pdf").read_bytes()
    assert np.abs(shown - COLOR).max() <= 12


@pytest.mark.parametrize("image_rgb", [COLOR, GRAY, np.where(GRAY > 90, np.uint8(255), np.uint8(0))])
def test_lossless_images(tmp_path: Path, image_rgb: np.ndarray):
    np.testing.assert_array_equal(rendered_alone(tmp_path / "a.pdf", image_rgb, quality=None), image_rgb)


def test_black_and_white_takes_a_bit_per_pixel(tmp_path: Path):
    black_and_white = np.repeat(np.random.default_rng(0).integers(0, 2, (400, 600, 1), np.uint8) * 255, 3, axis=2)
    np.testing.assert_array_equal(rendered_alone(tmp_path / "a.pdf", black_and_white), black_and_white)
    assert (tmp_path / "a.pdf").stat().st_size < 400 * 600 / 8 + 6000


def any_characters(count: int) -> list[str]:
    """Letters, digits, punctuation and symbols of all Unicode, written from left to right."""
    codes = np.random.default_rng(7).integers(0x21, 0x20000, 3 * count).tolist()
    chars = [chr(code) for code in codes if unicodedata.category(chr(code))[0] in "LNPS"]
    return [c for c in chars if unicodedata.bidirectional(c) not in ("R", "AL", "AN") and not "ﬀ" <= c <= "﷿"][:count]


@pytest.mark.parametrize("reader", ["pdfium", "pdftotext"])
def test_any_character_comes_back(tmp_path: Path, reader: str):
    chars = any_characters(300)
    assert sum(ord(c) > 0xFFFF for c in chars) > 50
    lines = [Line(box(10, 20 * k, 100, 20 * k + 15), f"a{c}b {c}", 1.0) for k, c in enumerate(chars)]
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(200, 20 * len(lines), tuple(lines)), None)
    if reader == "pdfium":
        found = pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage().get_text_range()
    else:
        found = poppler("pdftotext", "-raw", "-nopgbrk", tmp_path / "a.pdf", "-")
    assert [row.rstrip() for row in found.split("\n") if row.strip()] == [line.text for line in lines]


def test_more_rare_characters_than_codes(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rare = "".join(map(chr, range(0x20000, 0x20000 + 2049)))
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(200, 20, (Line(box(0, 0, 200, 20), rare, 1.0),)), None)
    text = pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage().get_text_range()
    assert text == rare[:-1] + "\ufffd"
    assert "cannot be found" in caplog.text


def test_strange_texts_do_no_harm(tmp_path: Path):
    lines = (
        Line(box(0, 0, 50, 10), "\ud800 lone\0", 1.0),
        Line(box(0, 20, 50, 20), "flat", 1.0),
        line("😀 beyond", 10, 50),
        Line(box(0, 70, 9, 80), "", 1.0),
    )
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(300, 90, lines), np.zeros((90, 300, 3), np.uint8))
    text = pdfium.PdfDocument(tmp_path / "a.pdf")[0].get_textpage().get_text_range()
    assert all(part in text for part in ("lone", "flat", "😀", "beyond"))


def boxes_of(path: Path) -> list[tuple[list[float], float]]:
    with pikepdf.open(path) as document:
        return [([float(x) for x in p.mediabox], float(p.obj.get("/UserUnit", 1))) for p in document.pages]


def test_huge_pages_count_in_larger_units(tmp_path: Path):
    """200 inches is the most that viewers take without; with a user unit the page is as large as its image."""
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(Page(20000, 10, ()), np.zeros((10, 20000, 3), np.uint8), dpi=(10, 10))
        pdf.add(EMPTY, None, dpi=(72, 72))
    assert boxes_of(tmp_path / "a.pdf") == [([0, 0, 14400, 7.2], 10), ([0, 0, 100, 80], 1)]


def test_a_user_unit_is_kept(tmp_path: Path):
    """A page read from a PDF whose unit is 3/72 inch becomes one of that size and unit, its words in their places."""
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(PAGE, image(PAGE), dpi=(72, 72), user_unit=3)
    assert boxes_of(tmp_path / "a.pdf") == [([0, 0, 200, pytest.approx(400 / 3, abs=0.001)], 3)]
    (read,) = read_pages(tmp_path / "a.pdf", dpi=72)
    assert (read.user_unit, read.dpi) == (3, (72, 72))
    assert np.abs(read.image_rgb[:400, :600].astype(int) - image(PAGE)).mean() < 2


def test_the_font_is_what_fonttools_makes():
    """invisible.ttf: two glyphs without ink, each a line across its box and back."""
    font_tools = pytest.importorskip("fontTools.ttLib")
    builder = importlib.import_module("fontTools.fontBuilder").FontBuilder(1000, isTTF=True)
    pen = importlib.import_module("fontTools.pens.ttGlyphPen").TTGlyphPen(None)
    pen.moveTo((0, -200))
    pen.lineTo((500, 800))
    pen.closePath()
    names = [".notdef", "any"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (500, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    made = io.BytesIO()
    builder.save(made)
    shipped = resources.files("ppocr_jax.document").joinpath("invisible.ttf").read_bytes()

    def tables(data: bytes) -> dict[str, bytes]:
        font = font_tools.TTFont(io.BytesIO(data), lazy=True)
        read = {tag: font.reader[tag] for tag in font.reader.keys()}  # noqa: SIM118
        read["head"] = read["head"][:8] + read["head"][16:20] + read["head"][36:]  # without checksum and times
        return read

    assert tables(shipped) == tables(made.getvalue())


def test_other_sizes_and_places_that_cannot_be_written(tmp_path: Path):
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        with pytest.raises(ValueError, match="600x400"):
            pdf.add(PAGE, np.zeros((1, 1, 3), np.uint8))
        with pytest.raises(ValueError, match=r"without an image: no such file: gone\.png"):
            pdf.add(FAILED, None)
        pdf.add(EMPTY, image(EMPTY))
    with pytest.raises(UserError, match="cannot write"), SearchablePdf(tmp_path / "none" / "a.pdf") as pdf:
        pdf.add(EMPTY, image(EMPTY))
    assert [path.name for path in tmp_path.iterdir()] == ["a.pdf"]


def test_standard_output_and_open_files(tmp_path: Path, capfdbinary: pytest.CaptureFixture):
    file = io.BytesIO()
    for target in (tmp_path / "a.pdf", file, "-"):
        with SearchablePdf(target) as pdf:
            pdf.add(PAGE, image(PAGE))
    assert (tmp_path / "a.pdf").read_bytes() == file.getvalue() == capfdbinary.readouterr().out


def test_a_document_without_pages_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="there are no pages"), SearchablePdf(tmp_path / "a.pdf"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_page_of_text_alone(tmp_path: Path):
    with SearchablePdf(tmp_path / "a.pdf") as pdf:
        pdf.add(PAGE, None, dpi=(72, 72))
    page = pdfium.PdfDocument(tmp_path / "a.pdf")[0]
    assert "Corner Shop" in page.get_textpage().get_text_range()
    assert (page.render(scale=1).to_numpy() == 255).all()


def test_nothing_is_left_of_a_document_that_failed(tmp_path: Path):
    def fail() -> None:
        with SearchablePdf(tmp_path / "a.pdf") as pdf:
            pdf.add(EMPTY, image(EMPTY))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []
