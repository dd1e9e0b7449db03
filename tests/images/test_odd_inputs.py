"""Every odd input gives its image, or an error of one line that names the file."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppocr_jax.errors import UserError
from ppocr_jax.images import read_pages
from ppocr_jax.images.sources import printable
from tests.images.odd_inputs import FAILING, ODD_INPUTS, READABLE, OddInput

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
named = {"ids": lambda case: case.name}


def make(case: OddInput, folder: Path) -> Path:
    pytest.importorskip(case.needs, reason=f"{case.name}: needs {case.needs}")
    return case.make(folder)


def test_there_are_enough_and_each_has_its_name():
    names = [case.name for case in ODD_INPUTS]
    assert len(set(names)) == len(names) >= 40


@pytest.mark.parametrize("case", READABLE, **named)
def test_readable(case, tmp_path, caplog):
    caplog.set_level(logging.WARNING, "ppocr_jax")
    pages = list(read_pages(make(case, tmp_path), **case.options))
    assert [page.number for page in pages] == list(range(1, case.pages + 1))
    image_rgb = pages[0].image_rgb
    assert image_rgb.dtype == np.uint8
    assert image_rgb.flags.c_contiguous
    assert image_rgb.shape == (*(case.shape if case.image is None else case.image.shape), 3)
    if case.image is not None:
        difference = np.abs(image_rgb.astype(int) - case.image[..., None])
        assert difference.mean() <= case.tolerance
    if case.words:  # ink and ground are far apart, whatever their colors
        gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
        assert gray.max() - gray.min() >= 200
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(case.warns)
    assert all(part in message for part, message in zip(case.warns, messages, strict=True))


@pytest.mark.parametrize("case", FAILING, **named)
def test_failing(case, tmp_path):
    path = make(case, tmp_path)
    with pytest.raises(UserError) as error:
        list(read_pages(path, **case.options))
    message = str(error.value)
    assert case.error in message
    assert printable(path) in message
    assert message.isprintable()
