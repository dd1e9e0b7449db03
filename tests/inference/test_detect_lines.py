"""What one look at an image misses: large letters, slanting lines, faint boxes, full pages, empty paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ppocr_jax.images import load_image
from ppocr_jax.inference.classify import Direction
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.detect_lines import detect_lines, share_covered, slant
from ppocr_jax.inference.model_folder import DetectorSpec
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.options import ReadSettings
from ppocr_jax.inference.page import read_page

RECEIPT = Path(__file__).resolve().parents[2] / "examples" / "receipt.jpg"
stripes = pytest.importorskip("tests.stripes", reason="needs onnx")


def written(size: tuple[int, int], *lines: tuple[tuple[int, int], str, int]) -> np.ndarray:
    """A sheet of (height, width) with lines: (x, y), text, size of the letters."""
    sheet = Image.new("RGB", size[::-1], (250, 250, 250))
    for place, text, letters in lines:
        ImageDraw.Draw(sheet).text(place, text, fill=(20, 20, 20), font=ImageFont.load_default(letters))
    return np.asarray(sheet)


@pytest.fixture(scope="module")
def ocr() -> OCR:
    return OCR("en", threads=1)


def test_a_detector_of_outlines_reads_lines_as_rectangles(ocr):
    detector = ocr.stages.detector
    outlines = replace(detector.spec, postprocess=replace(detector.spec.postprocess, polygons=True))
    stages = replace(ocr.stages, detector=replace(detector, spec=outlines))
    page = written((200, 400), ((20, 30), "Oat milk", 30), ((20, 110), "Rye bread", 30))
    assert {len(box.points) for box in stages.detector(page)} != {4}
    found = read_page(stages, page).lines
    assert [line.text for line in found] == ["Oat milk", "Rye bread"]


@pytest.mark.parametrize("letters", [60, 150, 300])
def test_letters_of_any_size_are_found(ocr, letters):
    page = ocr(written((letters * 2, letters * 4), ((letters // 2, letters // 3), "EXIT", letters)))
    assert page.text == "EXIT"
    (line,) = page
    height = line.quad[3][1] - line.quad[0][1]
    assert 0.6 * letters < height < 1.5 * letters


def test_a_title_above_small_text_does_not_hide_it(ocr):
    small = [((60, 330 + 40 * i), f"Line number {i} of the text", 24) for i in range(6)]
    page = ocr(written((640, 900), ((60, 40), "EXIT", 200), *small))
    texts = [line.text for line in page]
    assert texts[0] == "EXIT"
    assert sum("of the text" in text for text in texts) == 6
    assert len(texts) == 7


@pytest.mark.parametrize("angle", [-45, -20, 30, 45])
def test_lines_that_run_aslant_are_read(ocr, angle):
    sheet = written(
        (500, 700), *[((60, 90 + 70 * i), text, 30) for i, text in enumerate(("Invoice 2048", "Total 17.50"))]
    )
    turned = Image.fromarray(sheet).rotate(
        angle, expand=True, fillcolor=(250, 250, 250), resample=Image.Resampling.BICUBIC
    )
    assert [line.text.replace(" ", "").lower() for line in ocr(turned)] == ["invoice2048", "total17.50"]


@pytest.mark.parametrize("angle", [50, 140])
def test_a_page_that_lies_diagonally_is_read(ocr, angle):
    receipt = cv2.resize(load_image(RECEIPT), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    height, width = receipt.shape[:2]
    side = round(np.hypot(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    turned = cv2.warpAffine(receipt, turn, (side, side), borderMode=cv2.BORDER_REPLICATE)
    expected = {line.text for line in ocr(receipt)}
    assert len(expected & {line.text for line in ocr(turned)}) > 0.9 * len(expected)


def test_the_slant_is_that_of_most_of_the_text():
    def box(angle: float, length: float = 200.0) -> TextBox:
        a = np.radians(angle)
        along, down = np.array([np.cos(a), np.sin(a)]), np.array([-np.sin(a), np.cos(a)])
        return TextBox(np.float32([0 * along, length * along, length * along + 20 * down, 20 * down]) + 300, 0.9)

    assert slant([box(30), box(31), box(29)]) == pytest.approx(30, abs=1)
    assert slant([box(-25), box(65)]) == pytest.approx(-25, abs=0.1)  # at right angles to one another
    assert slant([box(44.9), box(45.1), box(45)]) == pytest.approx(45, abs=0.2)
    assert slant([box(-55)]) == pytest.approx(-55, abs=0.2), "turned by 35 degrees it would stand"
    assert slant([box(75)]) == pytest.approx(-15, abs=0.2), "perhaps a column"
    assert slant([box(0), box(1), box(30, 50)]) == 0.0
    assert slant([box(30), box(0), box(60)]) == 0.0
    assert slant([box(40, 20)]) == 0.0, "a square runs nowhere"
    assert slant([]) == 0.0


class Map:
    """A detector that finds a rectangle with a probability, wherever it looks."""

    def __init__(self, probability: float):
        self.probability = probability
        self.looks = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.looks += 1
        found = np.zeros(images.shape[:3], np.float32)
        found[:, 32:48, 32:96] = self.probability
        return found


@pytest.mark.parametrize(("probability", "sure", "unsure"), [(0.7, 1, 0), (0.5, 0, 1), (0.25, 0, 0)])
def test_boxes_below_the_threshold_are_kept_apart(probability, sure, unsure):
    detector = TextDetector(Map(probability), DetectorSpec())
    found = detect_lines(detector, written((128, 128), ((30, 30), "word", 20)), ReadSettings())
    assert (len(found.boxes), len(found.unsure)) == (sure, unsure)
    strict = detect_lines(detector, written((128, 128), ((30, 30), "word", 20)), ReadSettings(box_threshold=0.6))
    assert (len(strict.boxes), strict.unsure) == (sure, [])


def test_an_unsure_box_is_text_if_it_can_be_read(stripes_model):
    model = OCR(stripes_model, threads=1)
    page = stripes.paint_page((200, 400), [("abc", (200, 100), 0)])
    detector = model.stages.detector

    def faint(images: np.ndarray) -> np.ndarray:
        return detector.backend(images) * 0.5  # .45 where .6 is asked for

    unsure = OCR.from_stages(TextDetector(faint, detector.spec), model.stages.recognizer)
    assert unsure(page).text == "abc"
    assert len(unsure(page, box_threshold=0.6)) == 0
    assert len(unsure(page, drop_score=1.0)) == 0


def test_every_text_of_a_full_page_is_found(stripes_model):
    page = np.zeros((1600, 1600, 3), np.uint8)
    for row in range(36):
        for column in range(36):
            page[40 + 43 * row : 52 + 43 * row, 40 + 43 * column : 66 + 43 * column] = 255
    found = OCR(stripes_model, threads=1).detect(page, limit_side=1600)
    assert len(found) == 36 * 36


def test_blank_paper_is_not_looked_at():
    shades = np.linspace(225, 250, 900).astype(np.uint8)
    paper = np.repeat(np.repeat(shades[None, :, None], 3, axis=2), 700, axis=0)
    noise = np.random.default_rng(0).normal(0, 2, paper.shape)
    scanned = np.clip(paper + noise, 0, 255).astype(np.uint8)
    detector = TextDetector(network := Map(0.9), DetectorSpec())
    assert detector(scanned) == []
    assert network.looks == 0
    scanned[300:316, 200:220] -= 20  # faint gray letters on it
    assert len(detector(scanned)) == 1
    assert network.looks == 1


def test_a_share_is_counted_by_area():
    def box(left: float, top: float, right: float, bottom: float) -> TextBox:
        return TextBox(np.float32([[left, top], [right, top], [right, bottom], [left, bottom]]), 0.9)

    assert share_covered(box(0, 0, 100, 10), [box(50, 0, 200, 10)]) == pytest.approx(0.5)
    assert share_covered(box(0, 0, 100, 10), [box(0, 0, 20, 10), box(60, 5, 80, 20), box(200, 0, 300, 9)]) == 0.3
    assert share_covered(box(0, 0, 100, 10), []) == 0.0


def test_a_image_that_is_one_line_needs_no_detector(ocr):
    word = written((120, 200), ((70, 30), "R2", 60))
    alone = OCR.from_stages(recognizer=ocr.stages.recognizer)
    page = alone(word, single_line=True)
    assert page.text == "R2"
    assert 60 < page.lines[0].quad[0][0] < 80, "empty ground is left out"
    assert alone.recognize([word[20:110, 60:160]])[0].text == "R2"


def tight(text: str, letters: int) -> np.ndarray:
    """An image that ends where the ink of a text does."""
    sheet = written((3 * letters, 2 * letters + letters * len(text)), ((letters, letters), text, letters))
    rows, columns = (np.flatnonzero((sheet[..., 0] < 200).any(axis=axis)) for axis in (1, 0))
    return sheet[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@pytest.mark.parametrize(("text", "letters"), [("Paid in full.", 20), ("Then of them.", 26), ("A total of 12.50", 40)])
def test_text_that_touches_the_border_is_read(ocr, text, letters):
    image = tight(text, letters)
    (line,) = ocr(image)
    assert line.text == text
    corners = np.array(line.quad)
    assert corners.min() >= 0
    assert (corners.max(axis=0) <= np.array(image.shape[1::-1]) - 1).all(), "in the image's own pixels"
    assert [box.points.min() >= 0 for box in ocr.detect(image)] == [True]


def test_a_long_strip_is_read_whole(ocr):
    text = " ".join(["Call the office before noon on day"] * 5) + "."
    strip = written((44, 2700), ((10, 6), text, 28))
    assert " ".join(line.text for line in ocr(strip)) == text


def test_faint_letters_are_read(ocr):
    sheet = written((160, 420), ((30, 30), "Paid in full.", 28), ((30, 90), "Total 12.50", 28))
    faint = np.where(sheet < 128, 238, 250).astype(np.uint8)
    assert ocr(faint).text == "Paid in full.\nTotal 12.50"
    assert ocr(255 - faint).text == "Paid in full.\nTotal 12.50", "on a dark ground"


def test_a_line_that_is_cut_off_gets_no_margin(ocr):
    lines = [((20, 14 + 40 * i), f"Line number {i + 1} of the text.", 24) for i in range(7)]
    page = ocr(written((300, 500), *lines)[: 14 + 6 * 40 + 14])
    assert [line.text for line in page] == [text for _, text, _ in lines[:6]]


@pytest.mark.parametrize("sign", ["!", "i", "f", "]"])
def test_a_narrow_character_alone_stands(ocr, sign):
    (line,) = ocr(written((100, 120), ((50, 25), sign, 44)))
    assert line.text == sign
    assert line.angle == 0


def test_numbers_that_read_as_well_upside_down_stay_as_they_are(ocr):
    def wrong(crops, *, batch_size=2):
        return [Direction(180, 0.999)] * len(crops)

    stages = ocr.stages
    wrong.spec, wrong.backend = stages.classifier.spec, stages.classifier.backend
    misled = OCR.from_stages(stages.detector, stages.recognizer, wrong)
    (line,) = misled(written((100, 200), ((40, 25), "9.96", 44)))
    assert (line.text, line.angle) == ("9.96", 0)
    (line,) = misled(np.ascontiguousarray(written((100, 200), ((40, 25), "Paid", 44))[::-1, ::-1]))
    assert (line.text, line.angle) == ("Paid", 180)


@pytest.mark.parametrize("angle", [50, 130, 180, -50])
def test_a_word_alone_is_turned_until_it_reads_well(ocr, angle):
    sheet = written((500, 500), ((140, 200), "EXIT", 80))
    around = cv2.getRotationMatrix2D((250, 250), angle, 1)
    turned = cv2.warpAffine(sheet, around, (500, 500), borderValue=(255, 255, 255))
    (line,) = ocr(turned)
    assert line.text == "EXIT"
    start = np.hypot(*(around @ [140, 200, 1] - np.array(line.quad[0])))
    assert start < 40, "the quad begins where reading does"


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "LiberationSerif-Regular.ttf", "DejaVuSansMono-Bold.ttf"])
@pytest.mark.parametrize("word", ["No. 12", "MOM", "Push", "STOP", "8073"])
def test_a_word_that_stands_upright_is_left_so(ocr, word, font):
    """Though upside down they read as words, too: "WOW", "ysnd", "dOLS", "ELOB"."""
    sheet = Image.new("RGB", (420, 420), "white")
    ImageDraw.Draw(sheet).text((210, 210), word, "black", ImageFont.truetype(font, 48), anchor="mm")
    (line,) = ocr(sheet)
    assert (line.text, line.angle) == (word, 0)


def test_letters_in_circles_are_not_taken_for_one_line_of_circles(ocr):
    sheet = Image.new("RGB", (700, 240), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype("LiberationSans-Bold.ttf", 40)
    for i, text in enumerate(("1", "2", "A", "24")):
        x = 90 + 170 * i
        draw.ellipse([x - 60, 60, x + 60, 180], outline=(200, 30, 30), width=4)
        draw.text((x, 120), text, "black", font, anchor="mm")
    assert ocr(sheet).text.split() == ["1", "2", "A", "24"]


def test_a_column_of_short_numbers_is_not_taken_for_a_page_on_its_side(ocr):
    sheet = written((920, 40), *[((6, 10 + 36 * i), str(i + 1), 22) for i in range(25)])
    assert ocr(sheet).text.split() == [str(i + 1) for i in range(25)]


def test_a_line_too_large_to_be_seen_at_once_is_one_line(ocr):
    page = ocr(written((500, 1900), ((100, 80), "Total 45.90", 300)))
    assert page.text == "Total 45.90"


@pytest.mark.parametrize("letters", [28, 49, 58])
def test_a_circle_of_which_no_one_knows_what_it_is_is_read(ocr, letters):
    (line,) = ocr(written((100, 120), ((40, 25), "O", letters)))
    assert line.text in "0Oo"
