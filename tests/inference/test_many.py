"""Reading several images: the pages of single calls, in order, a few at a time."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.document.page import Page
from ppocr_jax.images import ImageError
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.many import ordered_map
from ppocr_jax.inference.model_folder import DetectorSpec
from ppocr_jax.inference.ocr import OCR

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

TEXTS = ("abc", "ccab", "bab", "aabbcc", "cbab")


@pytest.fixture(scope="module")
def ocr(stripes_model) -> OCR:
    return OCR(stripes_model, threads=1)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [stripes.paint_page((200, 500 + 60 * i), [(text, (240, 100), 0)]) for i, text in enumerate(TEXTS)]


def test_a_list_gives_the_pages_of_single_calls_in_order(ocr, images):
    pages = list(ocr(images))
    assert pages == [ocr(image) for image in images]
    assert [page.text for page in pages] == list(TEXTS)
    assert list(ocr(())) == []
    assert list(pickle.loads(pickle.dumps(ocr))(images)) == pages


def test_options_and_their_mistakes_count_for_all(ocr, images):
    assert all(not page.lines for page in ocr(images, box_threshold=1.0))
    with pytest.raises(TypeError, match="no option 'drop'"):
        ocr(images, drop=1)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        ocr.read_many(images, workers=0)
    with pytest.raises(ValueError, match="on_error must be one of"):
        ocr.read_many(images, on_error="ignore")


def test_a_bad_image_ends_the_reading_or_is_a_page_with_an_error(ocr, images, tmp_path):
    sources = [images[0], tmp_path / "missing.png", images[1]]
    pages = ocr(sources)
    assert next(pages).text == "abc"
    with pytest.raises(ImageError, match=r"no such file: .*missing\.png"):
        next(pages)
    first, bad, last = ocr.read_many(sources, on_error="page")
    assert (first.text, last.text) == ("abc", "ccab")
    assert (bad.lines, bad.source) == ((), str(tmp_path / "missing.png"))
    assert "no such file" in bad.error
    assert Page.from_dict(bad.to_dict()) == bad
    assert "error" not in first.to_dict()


def test_an_endless_iterator_is_read_a_few_images_ahead():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield f"{taken[-1]}.png"

    pages = ordered_map(lambda source: Page(1, 1, (), str(source)), endless(), workers=2)
    assert [next(pages).source for _ in range(5)] == [f"{i}.png" for i in range(5)]
    assert len(taken) <= 5 + 4
    pages.close()


def test_workers_read_at_the_same_time():
    together = threading.Barrier(3, timeout=20)

    def read(source: object) -> Page:
        together.wait()
        return Page(1, 1, (), str(source))

    names = [str(i) for i in range(6)]
    assert [page.source for page in ordered_map(read, map(Path, names), workers=3)] == names


def test_what_is_not_the_images_fault_is_never_hidden(images):
    def broken(batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("a defect")

    ocr = OCR.from_stages(TextDetector(broken, DetectorSpec()))
    with pytest.raises(RuntimeError, match="a defect"):
        list(ocr.read_many(images, on_error="page"))
    with pytest.raises(RuntimeError, match="a defect"):
        list(ocr.read(images, on_error="page"))
