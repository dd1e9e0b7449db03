"""Calls of many threads done together: each gets what it would have got alone, in fewer calls."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from ppocr_jax.inference.many import Combined, CombinedBackend, by_size
from ppocr_jax.inference.ocr import OCR

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")


class Busy:
    """A device that is busy until it is let go; remembers what it was given."""

    def __init__(self):
        self.free, self.begun, self.calls = threading.Event(), threading.Event(), []

    def __call__(self, items):
        self.calls.append(list(items))
        self.begun.set()
        assert self.free.wait(20)
        return [item * 10 for item in items]


def waiting(combined, count):
    """Wait until `count` calls wait for the device."""
    deadline = threading.Event()
    for _ in range(2000):
        if len(combined._waiting) == count:
            return
        deadline.wait(0.01)
    raise AssertionError("the calls never came")


def test_what_waits_goes_together():
    device = Busy()
    combined = Combined(device, most=6)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(combined, [1])
        assert device.begun.wait(20)
        others = [pool.submit(combined, [n, n + 1]) for n in (10, 20, 30, 40)]
        waiting(combined, 4)
        device.free.set()
        assert first.result() == [10]
        assert [future.result() for future in others] == [[100, 110], [200, 210], [300, 310], [400, 410]]
    assert device.calls[0] == [1]
    assert sorted(map(len, device.calls[1:])) == [2, 6]


def test_a_call_larger_than_the_most_goes_alone():
    combined = Combined(lambda items: [item + 1 for item in items], most=2)
    assert combined([1, 2, 3]) == [2, 3, 4]
    assert combined([]) == []


def test_a_failure_reaches_every_call_it_concerns_and_no_other():
    device = Busy()

    def function(items):
        device(items)
        if 13 in items:
            raise RuntimeError("unlucky")
        return items

    combined = Combined(function, most=2)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(combined, [1])
        assert device.begun.wait(20)
        bad = pool.submit(combined, [13])
        waiting(combined, 1)
        good = pool.submit(combined, [2, 3])
        waiting(combined, 2)
        device.free.set()
        assert first.result() == [1]
        with pytest.raises(RuntimeError, match="unlucky"):
            bad.result()
        assert good.result() == [2, 3]
    assert combined([5]) == [5]


def test_a_backend_groups_images_by_size():
    shapes = []

    def network(images):
        shapes.append(images.shape)
        return images.mean(-1)

    small, large = np.ones((2, 4, 4, 3), np.float32), np.full((1, 8, 4, 3), 2, np.float32)
    backend = CombinedBackend(network, most=8)
    np.testing.assert_array_equal(backend(small), network(small))
    mixed = by_size(network, [small[0], large[0], small[1]])
    assert [output.shape for output in mixed] == [(4, 4), (8, 4), (4, 4)]
    assert shapes[-2:] == [(2, 4, 4, 3), (1, 8, 4, 3)]


def test_images_that_share_calls_are_read_as_alone(stripes_model):
    ocr = OCR(stripes_model, threads=1)
    texts = ["abc", "ccab", "bab", "aabbcc", "cbab", "abab"]
    pages = [stripes.paint_page((200, 500 + 60 * (i % 2)), [(text, (240, 100), 0)]) for i, text in enumerate(texts)]
    together = list(ocr.read_many(pages, combine=True))
    assert [page.text for page in together] == texts
    assert [[line.quad for line in page] for page in together] == [[line.quad for line in ocr(page)] for page in pages]
    assert list(ocr.read_many(pages, combine=True, workers=1)) == list(ocr.read_many(pages, combine=True, workers=1))


@pytest.mark.parametrize("read", [OCR.read_many, OCR.read])
def test_lines_of_images_that_share_calls_are_recognized_in_large_batches(stripes_model, read):
    stages = OCR(stripes_model, threads=1).stages
    sizes = []

    def counted(images):
        sizes.append(len(images))
        return stages.recognizer.backend(images)

    ocr = OCR.from_stages(stages.detector, replace(stages.recognizer, backend=counted))
    page = stripes.paint_page((400, 500), [("abc", (240, 60 + 80 * i), 0) for i in range(4)])
    assert [len(found) for found in read(ocr, [page, page], combine=True)] == [4, 4]
    assert max(sizes) >= 4


def test_one_network_alone_can_be_combined_and_warmed_up(stripes_model):
    ocr = OCR(stripes_model, threads=1)
    assert ocr.warm_up() is ocr
    reader = ocr.stages
    alone = OCR.from_stages(recognizer=reader.recognizer)
    assert alone.warm_up() is alone
    crop = stripes.paint_page((32, 200), [("abc", (100, 16), 0)])
    assert alone.combined().recognize([crop])[0].text == alone.recognize([crop])[0].text
