"""Batches of the direction classifier: what a column is labeled with is what stands there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import Charset, load_charset
from ppocr_jax.data.augment_rec import NO_AUGMENTATION
from ppocr_jax.data.crops import CropBank, CropSource
from ppocr_jax.data.direction import DirectionBatches, direction_ids, has_direction
from ppocr_jax.data.labels import RecognitionRecord, write_recognition_labels
from ppocr_jax.synth.line import LineSample


class Bars:
    """Lines of 40 "characters", one dark bar each, whose gray tells which: `A` is darkest."""

    def __call__(self, seed: int, index: int) -> LineSample:
        letters = "ABCDEFGHIJ" * 4
        image = np.full((48, 40 * 32, 3), 255, np.uint8)
        for i, letter in enumerate(letters):
            image[:, i * 32 + 8 : i * 32 + 24] = 10 * (ord(letter) - ord("A"))
        return LineSample(image, letters, np.arange(40, dtype=np.float32) * 32 + 16)


def test_columns_are_labeled_with_the_bars_that_stand_there() -> None:
    charset = load_charset("en")
    make = DirectionBatches(
        generator=Bars(),  # type: ignore[arg-type]
        bank=None,
        batch_size=32,
        synthetic_share=1.0,
        augmentation=None,  # type: ignore[arg-type]
        seed=3,
        long_lines="windows",
        charset=charset,
    )
    batch = make(0)
    assert batch["images"].shape == (32, 48, 192, 3)
    assert set(batch["labels"].tolist()) == {0, 1}
    expected = {rotated: direction_ids("ABCDEFGHIJ", charset, rotated=rotated) for rotated in (False, True)}
    seen = set()
    for image, frames, label in zip(batch["images"], batch["frames"], batch["labels"], strict=True):
        columns = np.flatnonzero(frames > 0)
        assert 5 <= len(columns) <= 6
        for column in columns:
            gray = (image[24, column * 4 : column * 4 + 4].mean() * 0.5 + 0.5) * 255
            assert frames[column] == expected[bool(label)][round(gray / 10)]
        seen.add(round((image[24, columns[0] * 4].mean() * 0.5 + 0.5) * 25.5))
    assert len(seen) > 1  # not the leading window alone


def test_words_that_stay_words_have_no_direction() -> None:
    assert [has_direction(text) for text in ("HIS", "0.00", "96", "SOS", "pod", "Total", "1997")] == [
        False,
        False,
        False,
        False,
        False,
        True,
        True,
    ]


def test_real_lines_that_look_the_same_upside_down_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 90, 3), 255, np.uint8)).save(tmp_path / "a.png")
    write_recognition_labels(tmp_path / "rec.txt", [RecognitionRecord(tmp_path / "a.png", "0.00")])
    bank = CropBank((CropSource(str(tmp_path / "rec.txt")),), Charset(("0", ".")), 25)
    batches = DirectionBatches(Bars(), bank, 4, 0.0, NO_AUGMENTATION, seed=0)
    with pytest.raises(ValueError, match="upside down"):
        batches(0)
