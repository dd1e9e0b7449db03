"""Documents of several pages."""

import io
import logging
import sys
import threading

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ppocr_jax.errors import UserError
from ppocr_jax.images import ImageError, load_image, read_pages
from ppocr_jax.images.pages import PageNumbers
from ppocr_jax.images.pdf import _largest_scale
from tests.images.odd_files import form_pdf, pdf
from tests.images.odd_images import CLEAN, CLEAN_ARRAY, JPEG, PNG, encode

LEVELS = (10, 90, 170, 250)


def gray_pages(kind: str, levels: tuple[int, ...] = LEVELS, **options) -> bytes:
    """One flat page for every level."""
    first, *others = [Image.new("RGB", (40, 30), (level,) * 3) for level in levels]
    return encode(first, kind, save_all=True, append_images=others, **options)


def levels_of(source, **options) -> list[int]:
    return [round(page.image_rgb.mean()) for page in read_pages(source, **options)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6]),
        ("all", [1, 2, 3, 4, 5, 6]),
        ("2", [2]),
        (2, [2]),
        ("1-3,5", [1, 2, 3, 5]),
        (" 5 , 1 - 2 ".replace(" - ", "-"), [1, 2, 5]),
        ("5-", [5, 6]),
        ("2-4,3-5,3", [2, 3, 4, 5]),
        ("5-100", [5, 6]),
        ("7-", []),
        ([6, 1], [1, 6]),
    ],
)
def test_page_numbers(text, expected):
    assert PageNumbers(text).of(6) == expected


@pytest.mark.parametrize("text", ["", "0", "0-2", "3-1", "-3", "a", "1,,2", "1-2-3", "1.5", "١", "9" * 10, [0], [-1]])
def test_page_numbers_that_make_no_sense(text):
    with pytest.raises(UserError, match="pages") as error:
        PageNumbers(text)
    assert "\n" not in str(error.value)


@given(st.sets(st.integers(1, 60)), st.integers(0, 60))
def test_page_numbers_are_what_was_listed(wanted, count):
    text = ",".join(str(number) for number in wanted) or "61"
    assert PageNumbers(text).of(count) == sorted(number for number in wanted if number <= count)


def test_tiff_pages_with_numbers_and_resolution(tmp_path):
    path = tmp_path / "scan.tif"
    path.write_bytes(gray_pages("TIFF", dpi=(300, 150)))
    pages = list(read_pages(path))
    assert [(page.number, page.page_count, page.name) for page in pages] == [
        (i, 4, f"{path} page {i}") for i in (1, 2, 3, 4)
    ]
    assert [round(page.image_rgb.mean()) for page in pages] == list(LEVELS)
    assert pages[0].dpi == (300, 150)
    assert levels_of(path, pages="2-3") == [90, 170]
    with pytest.raises(ImageError, match=r"scan\.tif has 4 pages, none of the requested ones \(5-\)"):
        list(read_pages(path, pages="5-"))
    with pytest.raises(ImageError, match="4 pages to read, more than the limit of 3; select fewer pages"):
        list(read_pages(path, max_pages=3))
    assert levels_of(path, max_pages=3, pages="1,4") == [10, 250]


def test_thumbnails_in_tiff_files_are_no_pages():
    data = bytearray(gray_pages("TIFF", (10, 90), tiffinfo={254: 0}))
    at = [i for i in range(len(data)) if data[i : i + 8] == b"\xfe\0\x04\0\x01\0\0\0"]
    assert len(at) == 2, "each page names its kind"
    data[at[1] + 8] = 1
    assert levels_of(bytes(data)) == [10]


def test_load_image_says_that_it_takes_the_first_of_several_pages(caplog):
    assert load_image(gray_pages("TIFF")).mean() == LEVELS[0]
    assert "contains more than one image" in caplog.text


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_one_page_unless_asked(kind):
    data = gray_pages(kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert levels_of(data) == [10]
    assert levels_of(data, frames="all") == list(LEVELS)
    assert levels_of(data, frames="all", pages="4,2") == [90, 250]


def gif_whose_second_frame_is_wide(width: int) -> bytes:
    """Three frames of 40 x 30 pixels, of which the second says that it is `width` wide."""
    data = bytearray(gray_pages("GIF", (10, 90, 170)))
    frames = [i for i in range(len(data)) if data[i : i + 9] == b",\0\0\0\0\x28\0\x1e\0"]
    assert len(frames) == 3
    data[frames[1] + 5 : frames[1] + 7] = width.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_that_enlarge_their_canvas_obey_the_limit():
    """Pillow enlarges the canvas as it comes to such a frame, after the limit was checked for the file's header."""
    data = gif_whose_second_frame_is_wide(60_000)
    errors: list[ImageError] = []
    pages = list(read_pages(data, frames="all", max_pixels=100_000, on_error=errors.append))
    assert [page.number for page in pages] == [1]
    assert ["is too large: 60000x30" in str(error) for error in errors] == [True, True]
    with pytest.raises(ImageError, match="page 3 is too large: 60000x30"):
        list(read_pages(data, frames="all", max_pixels=100_000, pages=[3]))


def test_pages_that_are_not_there_are_said(tmp_path, caplog):
    path = tmp_path / "scan.tif"
    path.write_bytes(gray_pages("TIFF"))
    for pages, said in (("1-3,5", "5"), ("2-6, 9, 8-", "5-6, 9, 8-"), ([1, 7], "7"), ("1,5-", "5-")):
        caplog.clear()
        assert list(read_pages(path, pages=pages))
        assert [record.getMessage() for record in caplog.records] == [f"{path} has 4 pages; missing: {said}"]
    caplog.clear()
    for pages in ("all", "1-4", "2-", "4-"):
        assert list(read_pages(path, pages=pages))
    assert not caplog.records


def test_pages_are_turned_upright_one_by_one():
    upright = np.zeros((30, 40, 3), np.uint8)
    upright[:5, :5] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("TIFF", "PNG"):
        (page,) = read_pages(encode(Image.fromarray(np.rot90(upright)), kind, exif=exif, dpi=(300, 100)))
        assert np.array_equal(page.image_rgb, upright)
        assert page.dpi == pytest.approx((100, 300), rel=1e-3), kind


def test_images_are_documents_of_one_page(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    for source, name in [(path, str(path)), (str(path), str(path)), (PNG, ""), (CLEAN, ""), (CLEAN_ARRAY, "")]:
        (page,) = read_pages(source)
        assert np.array_equal(page.image_rgb[..., 0], CLEAN_ARRAY)
        assert (page.number, page.page_count, page.source, page.dpi) == (1, 1, name, None)
        assert page.name == name or (not name and page.name == "image")
    with path.open("rb") as file:
        assert len(list(read_pages(file, pages="1"))) == 1


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (99_999, 99_999)])
def test_resolutions_that_nobody_has_are_not_passed_on(dpi):
    (page,) = read_pages(encode(CLEAN, "JPEG", dpi=dpi))
    assert page.dpi is None


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PNG)))
    (page,) = read_pages("-")
    assert np.array_equal(page.image_rgb[..., 0], CLEAN_ARRAY)
    assert page.source == "-"
    with pytest.raises(ImageError, match="standard input is empty"):
        list(read_pages("-"))


def test_a_damaged_page_need_not_end_the_document():
    data = bytearray(gray_pages("TIFF", compression="raw"))
    stored = bytes([LEVELS[1]]) * 100
    whole = bytes(data)
    with Image.open(io.BytesIO(whole)) as image:
        image.seek(1)
        offset, size = image.tag_v2[273][0], image.tag_v2[279][0]
    assert whole[offset : offset + 100] == stored
    entry = whole.index(b"\x11\x01\x04\0\x01\0\0\0" + offset.to_bytes(4, "little"))
    data[entry + 8 : entry + 12] = (len(data) - size // 2).to_bytes(4, "little")
    with pytest.raises(ImageError, match="the image page 2 is damaged"):
        levels_of(bytes(data))
    errors: list[ImageError] = []
    assert levels_of(bytes(data), on_error=errors.append) == [10, 170, 250]
    assert [str(error).startswith("the image page 2 is damaged") for error in errors] == [True]


def test_options_that_make_no_sense_are_errors_at_once():
    for options, message in [
        ({"frames": "last"}, 'frames must be "first" or "all"'),
        ({"dpi": 5}, "dpi must be between 10 and 2400, not 5"),
        ({"dpi": float("nan")}, "dpi must be a number"),
        ({"pages": "x"}, "is not valid"),
        ({"pages": 1.0}, 'pages "1.0" is not valid'),
    ]:
        with pytest.raises(UserError, match=message):
            read_pages(PNG, **options)
    with pytest.raises(TypeError, match="not int"):
        list(read_pages(7))


def test_cut_off_jpeg_files_are_read_as_far_as_they_go(caplog):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 100, 3), dtype=np.uint8))
    data = encode(noise, "JPEG", quality=90)
    whole = load_image(data)
    cut = data[: int(0.8 * len(data))]
    (page,) = read_pages(cut)
    there = int(cv2.absdiff(page.image_rgb, whole).max(axis=(1, 2)).argmax())  # first row that differs
    assert 140 <= there <= 165
    assert (page.image_rgb[there + 16 :] == 128).all()
    assert f"{200 - there} of 200 rows are missing; the rest is read" in caplog.text
    with pytest.raises(ImageError, match=r"the file is cut off, .* of 200 rows are missing"):
        load_image(cut)
    with pytest.raises(ImageError, match="the file is cut off"):
        list(read_pages(data[: int(0.4 * len(data))]))
    assert np.array_equal(load_image(data[:-2]), whole), "only the end mark is missing"


def test_progressive_jpeg_files_without_their_detail(caplog):
    data = encode(CLEAN, "JPEG", quality=95, progressive=True)
    cut = data[: int(0.9 * len(data))]
    with pytest.raises(ImageError, match="finer detail is missing"):
        load_image(cut)
    assert np.abs(load_image(cut, partial=True)[..., 0].astype(int) - CLEAN_ARRAY).mean() < 10
    assert "finer detail is missing" in caplog.text


class TestPdf:
    pytestmark = pytest.mark.skipif("not __import__('importlib').util.find_spec('pypdfium2')", reason="needs pypdfium2")

    def test_pages(self):
        pages = list(read_pages(pdf(["Garden"], pages=3, size=(360, 120)), pages="2-"))
        assert [(page.number, page.page_count) for page in pages] == [(2, 3), (3, 3)]
        assert pages[0].image_rgb.shape == (334, 1000, 3)
        assert pages[0].dpi == (200, 200)
        assert pages[0].image_rgb.min() == 0
        assert pages[0].image_rgb.max() == 255
        assert pages[0].image_rgb.flags.writeable

    def test_resolution(self, caplog):
        caplog.set_level(logging.WARNING, "ppocr_jax")
        (page,) = read_pages(pdf(["Garden"], size=(720, 360)), dpi=100)
        assert page.image_rgb.shape == (500, 1000, 3)
        assert not caplog.records
        (page,) = read_pages(pdf(["Garden"], size=(720, 360)), dpi=100, max_pixels=125_000)
        assert 120_000 < page.image_rgb[..., 0].size <= 125_000
        assert page.dpi[0] == pytest.approx(50, rel=0.02)
        assert "page 1 is large: rendered at 50 dots per inch instead of 100" in caplog.text

    @pytest.mark.parametrize(("dpi", "expected"), [(72, 72), (150, 150), (400, 200), (20, 72)])
    def test_scans_are_drawn_at_their_own_resolution_if_it_is_low(self, dpi, expected):
        (page,) = read_pages(encode(Image.new("RGB", (200, 300), "red"), "PDF", resolution=dpi))
        assert page.dpi[0] == pytest.approx(expected, rel=1e-3)
        assert page.image_rgb.shape == (300 * expected / dpi, 200 * expected / dpi, 3)

    @pytest.mark.parametrize("object_streams", [False, True])
    def test_user_units_count(self, object_streams):
        """A page whose unit is 2/72 inch is twice as large as its box says, and drawn so."""
        pikepdf = pytest.importorskip("pikepdf")
        out = io.BytesIO()
        with pikepdf.open(io.BytesIO(pdf(["Garden"], pages=2, size=(360, 120)))) as document:
            document.pages[1].obj.UserUnit = 2
            mode = "generate" if object_streams else "disable"
            document.save(out, object_stream_mode=getattr(pikepdf.ObjectStreamMode, mode))
        assert (b"/UserUnit" in out.getvalue()) is not object_streams
        first, second = read_pages(out.getvalue())
        assert (first.image_rgb.shape, first.dpi, first.user_unit) == ((334, 1000, 3), (200, 200), 1)
        assert (second.image_rgb.shape, second.dpi, second.user_unit) == ((667, 2000, 3), (200, 200), 2)

    def test_threads_take_turns(self):
        data = pdf(["Garden"], pages=3)
        expected = [page.image_rgb for page in read_pages(data)]
        wrong: list[int] = []

        def read() -> None:
            for _ in range(3):
                found = [page.image_rgb for page in read_pages(data)]
                if not all(map(np.array_equal, found, expected)):
                    wrong.append(1)

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    def test_load_image_names_what_reads_it(self):
        with pytest.raises(ImageError, match=r"is a PDF document, not an image: use OCR\.read for its pages"):
            load_image(pdf(["a"]))

    def test_what_was_filled_into_forms_is_drawn(self):
        empty, filled = (next(read_pages(form_pdf(value))).image_rgb for value in ("", "window"))
        ink = (filled < 100).all(axis=-1) & ~(empty < 100).all(axis=-1)
        assert ink.sum() > 2000
        assert np.ptp(ink.any(axis=0).nonzero()[0]) > 200

    def test_a_page_of_no_size(self):
        (page,) = read_pages(pdf(["a"], size=(0, 0)))  # PDFium takes US letter, as other readers do
        assert page.image_rgb.shape == (2200, 1700, 3)


@given(st.floats(0.01, 20_000), st.floats(0.01, 20_000), st.integers(100, 10**9))
def test_largest_scale_keeps_the_limit(width, height, max_pixels):
    scale = _largest_scale(width, height, max_pixels)
    assert (width * scale + 1) * (height * scale + 1) == pytest.approx(max_pixels, rel=1e-6)


@pytest.mark.parametrize(("module", "extra"), [("pypdfium2", "pdf"), ("pillow_heif", "heif")])
def test_missing_packages_are_named(monkeypatch, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    data = pdf(["a"]) if extra == "pdf" else b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99)
    with pytest.raises(UserError, match=rf'pip install "ppocr-jax\[{extra}\]"'):
        list(read_pages(data))


def test_jpeg_pixels_do_not_depend_on_who_decodes():
    for data in (JPEG, encode(CLEAN.convert("RGB"), "JPEG", progressive=True), encode(CLEAN.convert("RGB"), "JPEG")):
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(load_image(data), np.asarray(image.convert("RGB")))


def test_gif_frames_outside_of_the_canvas_count():
    """Pillow enlarges the canvas to (1000, 2000) pixels, half at each of the two later frames."""
    data = bytearray(gray_pages("GIF", (10, 90, 170)))
    at = [i for i in range(len(data)) if data[i : i + 1] == b"," and data[i + 5 : i + 9] == b"\x28\0\x1e\0"]
    assert len(at) == 3
    data[at[1] + 1 : at[1] + 3] = (1000 - 40).to_bytes(2, "little")
    data[at[2] + 3 : at[2] + 5] = (2000 - 30).to_bytes(2, "little")
    assert load_image(bytes(data), max_pixels=1200).shape == (30, 40, 3)
    with pytest.raises(ImageError, match="is too large: 1000x2000"):
        list(read_pages(bytes(data), frames="all", max_pixels=1_999_999))
    assert [page.image_rgb.shape[:2] for page in read_pages(bytes(data), frames="all", max_pixels=2_000_000)] == [
        (30, 40), (30, 1000), (2000, 1000),
    ]  # fmt: skip
