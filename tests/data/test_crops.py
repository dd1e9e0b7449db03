"""Lines cut from pages: as wide as reading cuts them, and an account of what is left out."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import Charset, alphanumeric_charset, english_charset
from ppocr_jax.data.batches import LabelUse
from ppocr_jax.data.crops import CropBank, CropSource
from ppocr_jax.data.labels import (
    DetectionRecord,
    RecognitionRecord,
    Region,
    write_detection_labels,
    write_recognition_labels,
)
from ppocr_jax.geometry import CROP_GROWTH

HEIGHT, WIDTH = 40, 200
ENGLISH = english_charset()


def box(left: float, top: float, width: float, height: float) -> np.ndarray:
    return np.array([(left, top), (left + width, top), (left + width, top + height), (left, top + height)], np.float32)


def bank(path: Path, charset: Charset = ENGLISH) -> CropBank:
    return CropBank((CropSource(str(path)),), charset, 25)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A white page with one black line of 40 x 200 pixels."""
    image = np.full((200, 400, 3), 255, np.uint8)
    image[80 : 80 + HEIGHT, 100 : 100 + WIDTH] = 0
    Image.fromarray(image).save(tmp_path / "page.png")
    regions = (Region(box(100, 80, WIDTH, HEIGHT), "line"),)
    write_detection_labels(tmp_path / "label.txt", [DetectionRecord(tmp_path / "page.png", regions)])
    return tmp_path / "label.txt"


def test_crops_grow_about_as_reading_grows_them(page: Path) -> None:
    rng = np.random.default_rng(0)
    crop = bank(page).draw(rng, (1, 20))
    sides = []
    for _ in range(400):
        ys, xs = np.nonzero(crop.image(rng)[..., 0] < 128)
        sides.append((xs.min(), ys.min()))
        # Never more than a few pixels of the line itself are cut off.
        assert len(np.unique(ys)) >= 0.8 * HEIGHT
        assert len(np.unique(xs)) >= WIDTH - 1
    left, top = np.array(sides).T / HEIGHT
    assert left.mean() == pytest.approx(CROP_GROWTH.left, abs=0.02)
    assert (left.min(), left.max()) == (pytest.approx(0, abs=0.03), pytest.approx(0.2, abs=0.03))
    assert top.max() == pytest.approx(CROP_GROWTH.above + 0.1, abs=0.03)


def test_the_middle_crop_is_what_reading_cuts(page: Path) -> None:
    crop = bank(page).draw(np.random.default_rng(0), (1, 20))
    trim = crop.slack // 2
    middle = crop.pixels[trim:-trim, trim:-trim]
    ys, xs = np.nonzero(middle[..., 0] < 128)
    right, below = middle.shape[1] - 1 - xs.max(), middle.shape[0] - 1 - ys.max()
    assert right == pytest.approx(CROP_GROWTH.right * HEIGHT, abs=1.5)
    assert below == pytest.approx(CROP_GROWTH.below * HEIGHT, abs=1.5)
    assert crop.aspect == pytest.approx((WIDTH + 0.3 * HEIGHT) / (1.075 * HEIGHT), rel=0.03)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    Image.fromarray(np.full((90, 300, 3), 255, np.uint8)).save(tmp_path / "page.png")
    texts = ["good", "good", "x" * 26, "caf\u00e9", "na\u00efve caf\u00e9", "", "###"]
    regions = [Region(box(5, 5, 100, 12), text, text == "###") for text in texts]
    regions.append(Region(box(5, 5, 100, 3), "thin"))
    gone = DetectionRecord(tmp_path / "gone.png", (Region(box(5, 5, 100, 12), "lost"),))
    path = tmp_path / "label.txt"
    write_detection_labels(path, [DetectionRecord(tmp_path / "page.png", tuple(regions)), gone])
    with path.open("a", encoding="utf-8") as file:
        file.write("no tab here\n")
    (use,) = bank(path).uses()
    assert (use.total, use.used) == (10, 2)
    assert use.left_out == {
        "outside the charset (\u00e9, \u00ef)": 2,
        "longer than 25": 1,
        "without a text": 1,
        "marked as ignored": 1,
        "smaller than 5 pixels": 1,
        f"whose image is missing (such as {tmp_path / 'gone.png'})": 1,
        "in entries that cannot be used": 1,
    }
    assert len(bank(path)) == use.used


def test_the_account_as_a_sentence() -> None:
    use = LabelUse("a.txt", "lines", 4341, {"longer than 25": 535, "outside the charset (\u00e4)": 0})
    assert str(use) == "a.txt: 3,806 of 4,341 lines used; 535 longer than 25"


def test_images_that_cannot_be_read_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.full((20, 90, 3), 255, np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    names = ("good.png", "broken.png", "gone.png")
    write_recognition_labels(tmp_path / "rec.txt", [RecognitionRecord(tmp_path / name, "a") for name in names])
    lines = bank(tmp_path / "rec.txt")
    with caplog.at_level(logging.WARNING, "ppocr_jax"):
        assert len(lines) == 1
    assert "2 images skipped" in caplog.text
    (use,) = lines.uses()
    assert use.left_out == {f"whose image is missing (such as {tmp_path / 'gone.png'})": 1}


def test_labels_are_read_and_announced_once(page: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ppocr_jax"):
        used = bank(page)
        assert [use.used for use in used.uses()] == [len(used)] == [1]
        assert len(pickle.loads(pickle.dumps(used))) == 1
    assert sum("read as ppocr-det" in record.getMessage() for record in caplog.records) == 2  # here and in a worker


def test_a_charset_without_capitals_takes_them_as_small_letters(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 90, 3), 255, np.uint8)).save(tmp_path / "good.png")
    write_recognition_labels(tmp_path / "rec.txt", [RecognitionRecord(tmp_path / "good.png", "AbC9")])
    lines = bank(tmp_path / "rec.txt", alphanumeric_charset())
    assert lines.draw(np.random.default_rng(0), (1, 9)).text == "abc9"


def test_nothing_usable_is_said(tmp_path: Path) -> None:
    write_recognition_labels(tmp_path / "rec.txt", [RecognitionRecord(tmp_path / "gone.png", "a")])
    with pytest.raises(ValueError, match="no usable line"):
        len(bank(tmp_path / "rec.txt"))
