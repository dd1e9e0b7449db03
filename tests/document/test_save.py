import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.commands import infer
from ppocr_jax.document import WITH_WORDS, WRITERS, format_of, write_pages
from ppocr_jax.document.page import Page
from ppocr_jax.document.save import TEXT_SUFFIXES
from ppocr_jax.errors import UserError
from tests.document.pages import FAILED, PAGE

IMAGE = np.full((400, 600, 3), 250, np.uint8)


@pytest.mark.parametrize("suffix", list(TEXT_SUFFIXES))
def test_the_suffix_names_the_format(tmp_path: Path, suffix: str):
    path = tmp_path / f"page{suffix.upper()}"
    path.write_text("old")
    PAGE.save(path)
    assert path.read_bytes().decode() == "".join(write_pages([PAGE], TEXT_SUFFIXES[suffix]))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_the_drawn_page(tmp_path: Path, suffix: str):
    PAGE.save(tmp_path / f"page{suffix}", image=IMAGE)
    with Image.open(tmp_path / f"page{suffix}") as drawn:
        assert drawn.size == (1200, 400)


def test_the_image_is_read_again(tmp_path: Path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    page = Page(600, 400, PAGE.lines, str(tmp_path / "a.png"))
    np.testing.assert_array_equal(page.draw(), PAGE.draw(IMAGE))
    with pytest.raises(UserError, match="600x400"):
        PAGE.draw(IMAGE[:10])
    for source in ("", "-", "https://example.org/a.png"):
        with pytest.raises(UserError, match=r"pass.* `image`"):
            Page(600, 400, (), source).draw()
    with pytest.raises(UserError, match="no such file"):
        Page(600, 400, (), str(tmp_path / "gone.png")).draw()
    with pytest.raises(UserError, match=r"could not be read: no such file: gone\.png"):
        FAILED.save(tmp_path / "page.pdf")


def test_the_second_page_of_a_document_is_read_again(tmp_path: Path):
    pages = [Image.new("L", (60, 40), gray) for gray in (0, 200)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    drawn = Page(60, 40, (), str(tmp_path / "a.tiff"), number=2).draw()
    assert (drawn[:, :60] == 200).all()
    assert (Page(60, 40, (), number=2).draw(tmp_path / "a.tiff")[:, :60] == 200).all()
    pages[1].save(tmp_path / "second.png")
    assert (Page(60, 40, (), number=2).draw(tmp_path / "second.png")[:, :60] == 200).all()


def test_a_page_of_pdf(tmp_path: Path):
    pytest.importorskip("pikepdf", reason="needs the [pdf] extra")
    pdfium = pytest.importorskip("pypdfium2", reason="needs the [pdf] extra")
    Image.fromarray(IMAGE).save(tmp_path / "a.jpg", dpi=(300, 300))
    replace(PAGE, source=str(tmp_path / "a.jpg")).save(tmp_path / "page.pdf")
    assert pdfium.PdfDocument(tmp_path / "page.pdf").get_page_size(0) == pytest.approx((144, 96))
    assert (tmp_path / "a.jpg").read_bytes() in (tmp_path / "page.pdf").read_bytes()
    PAGE.save(tmp_path / "page.pdf", image=IMAGE)
    assert pdfium.PdfDocument(tmp_path / "page.pdf").get_page_size(0) == pytest.approx((288, 192))


def test_words_on_request(tmp_path: Path):
    PAGE.save(tmp_path / "page.json", words=True)
    assert Page.from_dict(json.loads((tmp_path / "page.json").read_text("utf-8"))) == PAGE


def test_unknown_suffixes_and_places_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"unknown suffix; choose from \.txt, .*\.pdf"):
        PAGE.save(tmp_path / "page.docx")
    (tmp_path / "file").touch()
    for place in ("none/page.txt", "file/page.txt", f"{'x' * 300}.txt"):
        with pytest.raises(UserError, match="cannot write"):
            PAGE.save(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", list(WRITERS))
def test_words_where_a_format_can_hold_them(name: str):
    if name in WITH_WORDS:
        assert "Shop" in re.sub("<[^>]*ocrx_cinfo.*?>|</span>", "", "".join(write_pages([PAGE], name, words=True)))
        assert len("".join(write_pages([PAGE], name, words=True))) > len("".join(write_pages([PAGE], name)))
    else:
        with pytest.raises(UserError, match="only for json, jsonl, csv, tsv, hocr, alto"):
            write_pages([PAGE], name, words=True)


def test_the_image_that_was_read_is_not_overwritten(tmp_path: Path):
    own = tmp_path / "own.png"
    Image.fromarray(IMAGE).save(own)
    before = own.read_bytes()
    page = replace(PAGE, source=str(own))
    with pytest.raises(UserError, match=r"own\.png is an input file"):
        page.save(own)
    with pytest.raises(UserError, match=r"own\.png is an input file"):
        PAGE.save(own, image=own)
    assert own.read_bytes() == before


@pytest.mark.parametrize(("path", "name"), [("a.PDF", "pdf"), ("b/a.html", "hocr"), ("out", "text"), ("-", "text")])
def test_format_of_a_path(path: str, name: str):
    assert format_of(path) == name


def test_a_suffix_that_names_no_format_of_text():
    for path in ("x.docx", "x.png"):
        with pytest.raises(UserError, match=r"unknown suffix; choose from \.txt, .*, \.pdf$"):
            format_of(path)


def test_unknown_formats_are_refused():
    with pytest.raises(UserError, match="no format 'docx'"):
        write_pages([PAGE], "docx")


@pytest.mark.parametrize("name", list(WRITERS))
def test_names_and_texts_that_are_no_unicode(name: str):
    """Names of files that are not UTF-8 reach Python as halves of surrogate pairs, which no encoding can write."""
    page = Page(600, 400, (replace(PAGE.lines[0], text="a\udc80", words=()),), "scan\udce9.png")
    written = "".join(write_pages([page], name)).encode("utf-8").decode("utf-8")
    if name in ("json", "jsonl"):
        assert Page.from_dict(json.loads(written)) == page
    else:
        assert "a\ufffd" in written


def test_pages_are_written_as_they_come():
    seen = []

    def pages():
        for page in (PAGE, PAGE, PAGE):
            seen.append(page)
            yield page

    pieces = write_pages(pages(), "jsonl")
    assert json.loads(next(pieces))["width"] == 600
    assert len(seen) == 1


def test_infer_offers_every_format():
    """Its list is written out, because importing `WRITERS` would slow down `--help`."""
    assert (*WRITERS, "pdf") == infer._FORMATS
