"""Pages that lie on their side or stand on their head."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppocr_jax.geometry import rotate_points
from ppocr_jax.images import load_image
from ppocr_jax.inference.classify import (
    Direction,
    TextClassifier,
    crop_angles,
    may_be_sideways,
    page_rotation,
    shows_more_text,
)
from ppocr_jax.inference.db_postprocess import TextBox
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.page import read_page
from tests.helpers import iou

RECEIPT = Path(__file__).resolve().parents[2] / "examples" / "receipt.jpg"
UP, DOWN = Direction(0, 0.99), Direction(180, 0.99)


def rows(count: int, length: float = 100, height: float = 10) -> np.ndarray:
    """Quads of lines below one another, read from left to right."""
    corners = np.array([[0, 0], [length, 0], [length, height], [0, height]], np.float32)
    return np.stack([corners + np.array([0, 20 * i], np.float32) for i in range(count)])


def boxes(count: int, length: float, height: float = 10) -> list[TextBox]:
    return [TextBox(quad, 0.9) for quad in rows(count, length, height)]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_points_turn_with_the_image(turns: int):
    size = (5, 9)
    points = np.array([[0, 0], [8, 0], [8, 4], [0, 4], [3, 1]])
    for x, y in points:
        image = np.zeros(size, bool)
        image[y, x] = True
        row, column = np.argwhere(np.rot90(image, turns))[0]
        assert rotate_points(np.array([x, y]), 90 * turns, size).tolist() == [column, row]
        assert rotate_points(np.array([column, row]), -90 * turns, np.rot90(image, turns).shape).tolist() == [x, y]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_lines_vote_for_the_way_the_page_lies(degrees: int):
    quads = rotate_points(rows(6), -degrees, (200, 200))
    assert page_rotation(quads, [UP] * 6) == degrees
    assert page_rotation(quads, [DOWN] * 6) == (degrees + 180) % 360
    assert page_rotation(quads, [UP] * 5 + [DOWN]) == degrees
    assert page_rotation(quads, [UP] * 3 + [DOWN] * 3) is None


def test_few_lines_do_not_make_a_vote():
    assert page_rotation(rows(1), [DOWN]) is None
    assert page_rotation(rows(2), [DOWN, UP]) is None
    assert page_rotation(rows(2), [DOWN, Direction(180, 0.8)]) is None
    assert page_rotation(rows(2), [DOWN] * 2) == 180


def test_long_lines_have_more_votes():
    long, short = rows(3, length=400), rows(6, length=30)
    assert page_rotation(np.concatenate([long, short]), [UP] * 3 + [DOWN] * 6) == 0


def test_a_doubtful_line_follows_the_page_and_a_certain_one_does_not():
    directions = [UP, Direction(180, 0.95), Direction(180, 0.999)]
    assert crop_angles(rows(3), directions, page_known=True, threshold=0.9) == [0, 0, 180]
    assert crop_angles(rows(3), directions, page_known=False, threshold=0.9) == [0, 180, 180]


def test_a_line_across_the_page_decides_alone():
    standing = rotate_points(rows(2), 90, (200, 200))
    directions = [Direction(180, 0.95), Direction(180, 0.6)]
    assert crop_angles(standing, directions, page_known=True, threshold=0.9) == [180, 0]


def test_fragments_and_hardly_any_text_are_suspicious():
    assert may_be_sideways([])
    assert may_be_sideways(boxes(1, length=40))
    assert may_be_sideways(boxes(40, length=20))
    assert not may_be_sideways(boxes(4, length=100))


def test_a_turned_page_must_show_far_more_text():
    assert shows_more_text(boxes(4, length=100), boxes(20, length=15))
    assert not shows_more_text(boxes(4, length=100), boxes(3, length=100))
    assert not shows_more_text(boxes(1, length=30), [])


@pytest.fixture(scope="module")
def ocr() -> OCR:
    return OCR("en", threads=1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_receipt_reads_like_the_upright_one(ocr: OCR, turns: int):
    upright = load_image(RECEIPT)
    expected = ocr(upright)
    page = ocr(np.ascontiguousarray(np.rot90(upright, -turns)))
    assert page.rotation == 90 * turns
    assert (page.width, page.height) == np.rot90(upright, -turns).shape[1::-1]
    assert page.text == expected.text
    for line, other in zip(page, expected, strict=True):
        back = rotate_points(np.array(line.quad), 90 * turns, (page.height, page.width))
        assert iou(back, np.array(other.quad)) > 0.9
        np.testing.assert_allclose(back[0], other.quad[0], atol=2)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("text", [["Salon", "Open", "daily"], ["EXIT 42", "Bus stop"]])
def test_a_sign_in_a_photograph_is_read_whichever_way_it_lies(ocr: OCR, text: list[str], turns: int):
    photo = np.random.default_rng(1).normal(120, 6, (480, 640, 3))
    photo = cv2.GaussianBlur(photo.clip(0, 255).astype(np.uint8), (0, 0), 3)
    for i, line in enumerate(text):
        cv2.putText(
            photo, line, (120 + 20 * i, 120 + 66 * i), cv2.FONT_HERSHEY_DUPLEX, 1.2, (235, 230, 210), 2, cv2.LINE_AA
        )
    page = ocr(np.ascontiguousarray(np.rot90(photo, -turns)))
    assert [line.text for line in page] == text


def test_a_column_beside_a_line_that_is_hard_to_read_turns_no_page(ocr: OCR):
    sheet = np.full((480, 480, 3), 235, np.uint8)
    cv2.putText(sheet, "Fraser Place", (60, 100), cv2.FONT_HERSHEY_DUPLEX, 1.2, (30, 30, 30), 2, cv2.LINE_AA)
    sheet = np.ascontiguousarray(np.rot90(sheet))
    hard = np.full((70, 300, 3), 235, np.uint8)
    cv2.putText(hard, "rnmnrn", (10, 50), cv2.FONT_HERSHEY_DUPLEX, 1.2, (60, 60, 60), 2, cv2.LINE_AA)
    sheet[200:270, 160:460] = cv2.GaussianBlur(hard, (0, 0), 3.5)
    page = ocr(sheet, drop_score=0)
    assert page.rotation == 0
    *column, _ = (line.text for line in page)
    assert " ".join(column) == "Fraser Place"


def test_a_page_that_is_hard_to_read_is_left_as_it_stands(ocr: OCR):
    small = cv2.resize(load_image(RECEIPT), None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)
    page = ocr(cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR), drop_score=0)
    assert np.mean([line.confidence for line in page]) < 0.9
    assert page.rotation == 0


def test_the_page_need_not_decide(ocr: OCR):
    upside_down = np.ascontiguousarray(load_image(RECEIPT)[::-1, ::-1])
    page = ocr(upside_down, page_direction=False)
    assert page.rotation == 0
    assert any(line.angle == 180 for line in page)


def test_lines_upside_down_on_an_upright_page_are_turned(ocr: OCR):
    image = load_image(RECEIPT).copy()
    words = [line for line in ocr(image) if len(line.text) >= 6 and not set("0689.-").issuperset(line.text)]
    flipped = sorted(words, key=lambda line: np.ptp(np.array(line.quad)[:, 0]))[:4]  # the shortest: none speaks for all
    for line in flipped:
        (left, top), (right, bottom) = np.array(line.quad).min(axis=0), np.array(line.quad).max(axis=0)
        place = np.s_[int(top) - 2 : int(bottom) + 3, int(left) - 2 : int(right) + 3]
        image[place] = image[place][::-1, ::-1]
    page = ocr(image)
    assert page.rotation == 0
    turned = {line.text for line in page if line.angle == 180}
    assert len(turned & {line.text for line in flipped}) >= 3
    assert turned <= {line.text for line in flipped}


@dataclass
class Counting:
    """A direction classifier that counts the lines it is asked of."""

    classifier: TextClassifier
    asked: int = 0

    def __getattr__(self, name: str):
        return getattr(self.classifier, name)

    def __call__(self, crops, **options):
        self.asked += len(crops)
        return self.classifier(crops, **options)


def test_an_upright_page_asks_few_lines_how_they_lie(ocr: OCR):
    counting = Counting(ocr.stages.classifier)
    found = read_page(replace(ocr.stages, classifier=counting), load_image(RECEIPT)).found
    assert 0 < counting.asked < len(found) / 2
