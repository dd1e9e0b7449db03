"""Lines longer than the recognizer takes at once."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.charset import Charset
from ppocr_jax.inference.model_folder import RecognizerSpec
from ppocr_jax.inference.recognize import LONGEST, OVERLAP, TextRecognizer, join_windows, window_starts
from ppocr_jax.metrics.recognition import edit_distance

CHARSET = Charset(tuple("abc"))
FRAME = 4


@given(st.integers(1, 20000), st.integers(7, 60).map(lambda n: 32 * n))
def test_windows_cover_the_line_and_overlap(length: int, width: int):
    starts = window_starts(length, width=width)
    assert starts[0] == 0
    assert starts[-1] + width >= length
    assert starts[-1] < max(length, 1)
    assert all(start % 32 == 0 for start in starts)
    if length > width:
        assert all(0 < after - before <= width - OVERLAP for before, after in pairwise(starts))


def test_windows_narrower_than_their_overlap_are_refused():
    with pytest.raises(ValueError, match="too narrow"):
        window_starts(500, width=OVERLAP)


def line_of(classes: np.ndarray) -> np.ndarray:
    """Probabilities (T, 4) of a recognizer that is sure of each frame."""
    return 0.9 * np.eye(4, dtype=np.float32)[classes] + 0.025


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)), min_size=40, max_size=200))
def test_a_line_seen_through_windows_is_read_once(characters: list[tuple[int, int, int]]):
    """Whatever the characters' widths and gaps, in frames."""
    classes = np.concatenate([[c] * wide + [0] * gap for c, wide, gap in characters])
    width = 256
    starts = window_starts(len(classes) * FRAME, width=width)
    padded = np.pad(classes, (0, max(0, (starts[-1] + width) // FRAME - len(classes))))
    windows = [line_of(padded[s // FRAME : (s + width) // FRAME]) for s in starts]
    joined = join_windows(windows, starts, width=width)
    np.testing.assert_array_equal(joined, line_of(padded))


def test_what_a_window_sees_at_its_ends_is_taken_from_the_other():
    classes = np.tile([1, 1, 0, 2, 2, 0, 0, 3, 0, 0], 48)
    starts = window_starts(len(classes) * FRAME, width=640)
    windows = [line_of(classes[s // FRAME : s // FRAME + 160]) for s in starts]
    wrong = line_of(np.full(8, 3))
    for left, right in pairwise(windows):
        left[-8:] = right[:8] = wrong
    assert starts[-1] // FRAME + 160 == len(classes)
    np.testing.assert_array_equal(join_windows(windows, starts, width=640), line_of(classes))


class Columns:
    """Reads the color of each group of four columns: red, green, blue or none, and notes the widths it was given."""

    def __init__(self) -> None:
        self.widths: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.widths.append(images.shape[2])
        means = images.reshape(len(images), 32, -1, FRAME, 3).mean(axis=(1, 3))  # BGR, -1..1
        scores = np.concatenate([np.full((*means.shape[:2], 1), 0.0), means[..., ::-1]], axis=2)
        return np.eye(4, dtype=np.float32)[scores.argmax(axis=2)]


def painted(text: str, *, pitch: int = 16) -> np.ndarray:
    image = np.zeros((32, pitch * len(text), 3), np.uint8)
    for i, character in enumerate(text):
        image[:, pitch * i + 4 : pitch * i + 12, "abc".index(character)] = 255
    return image


@pytest.mark.parametrize("network_width", [None, 320])
def test_long_and_short_lines_together(network_width: int | None):
    texts = ["abcab" * 60, "cab", "abc" * 40 + "b", "ba" * 300]
    backend = Columns()
    recognizer = TextRecognizer(backend, RecognizerSpec(width=network_width), CHARSET)
    found = recognizer([painted(text) for text in texts], batch_size=2)
    assert [line.text for line in found] == texts
    assert max(backend.widths) <= (network_width or max(LONGEST, 121 * 16))
    for line, text in zip(found, texts, strict=True):
        np.testing.assert_allclose(line.positions, np.arange(len(text)) * 4 + 1, atol=0)
        assert line.extent == pytest.approx(4 * len(text))


def test_a_real_line_reads_the_same_in_windows_and_whole(monkeypatch: pytest.MonkeyPatch):
    from PIL import Image, ImageDraw, ImageFont

    from ppocr_jax import OCR
    from ppocr_jax.inference import recognize

    if not Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf").exists():
        pytest.skip("needs DejaVu Sans")
    text = (
        "Very long lines are read through windows that share some of their pixels and are joined between characters. "
    )
    font = ImageFont.truetype("DejaVuSans.ttf", 26)
    image = Image.new("RGB", (int(font.getlength(text * 4)) + 16, 40), "white")
    ImageDraw.Draw(image).text((8, 4), text * 4, font=font, fill="black")
    ocr = OCR("en", threads=1)
    windows = ocr.recognize([np.asarray(image)])[0].text
    monkeypatch.setattr(recognize, "LONGEST", 1 << 15)
    whole = ocr.recognize([np.asarray(image)])[0].text
    assert image.width * 32 / 40 > LONGEST  # so it was read through windows
    assert edit_distance(windows, whole) <= 6
