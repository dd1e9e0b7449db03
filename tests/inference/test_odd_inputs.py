"""Every kind of odd input through the whole pipeline with the shipped weights: all that can be read is."""

import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax.images import load_image, read_pages
from ppocr_jax.inference.ocr import OCR
from tests.images.odd_inputs import READABLE

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")


@pytest.fixture(scope="module")
def ocr() -> OCR:
    return OCR("en", threads=1)


def plain(text: str) -> str:
    return re.sub(r"\W", "", text).lower()


@pytest.mark.parametrize("case", [case for case in READABLE if not case.huge], ids=lambda case: case.name)
def test_its_words_are_read(ocr, case, tmp_path):
    pytest.importorskip(case.needs, reason=f"{case.name}: needs {case.needs}")
    page = ocr(next(iter(read_pages(case.make(tmp_path), **case.options))).image_rgb)
    found = plain(page.text)
    assert [word for word in case.words if plain(word) not in found] == []


def test_eight_threads_read_what_one_reads(ocr):
    large = [load_image(EXAMPLES / name) for name in ("receipt.jpg", "form.jpg", "sign.jpg")]
    images = [np.ascontiguousarray(image[k::3, k::3]) for image in large for k in (0, 1)]
    expected = [ocr(image) for image in images]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ocr, images * 3)) == expected * 3


def test_reading_opens_no_connection(ocr, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len(OCR("en", threads=2)(EXAMPLES / "sign.jpg")) > 0
