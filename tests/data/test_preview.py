"""The sheet of augmentations has a row for each, and is a function of its seed."""

import numpy as np
import pytest

from ppocr_jax.data.augment_rec import RECIPES
from ppocr_jax.data.labels import Region
from ppocr_jax.data.line_changes import CHANGES
from ppocr_jax.data.preview import augmentation_sheet, page_augmentation_sheet
from ppocr_jax.data.rand_augment import OPERATIONS


@pytest.mark.parametrize("size", [(32, 200), (90, 30), (20, 900)])
def test_a_row_for_each_name_and_the_line_itself_first(size: tuple[int, int]) -> None:
    line = np.full((*size, 3), (200, 30, 40), np.uint8)
    sheet = augmentation_sheet(line, 0)
    rows = 1 + len(CHANGES) + len(RECIPES) + len(OPERATIONS) + 1
    height, left_over = divmod(len(sheet), rows)
    assert left_over == 0
    assert sheet.dtype == np.uint8
    cells = sheet.reshape(rows, height, -1, 3)
    assert (cells[0, 2, 202:] == (200, 30, 40)).all(axis=1).sum() >= 4 * min(40 * size[1] // size[0] - 1, 380)
    inverted = cells[1 + list(CHANGES).index("invert"), 2, 202:]
    assert (inverted == (55, 225, 215)).all(axis=1).any()
    assert all((row[:, :200] == 255).all(axis=2).any() for row in cells)  # labels


def test_the_seed_decides() -> None:
    line = np.random.default_rng(0).integers(0, 256, (32, 120, 3), np.uint8)
    np.testing.assert_array_equal(augmentation_sheet(line, 1), augmentation_sheet(line, 1))
    assert not np.array_equal(augmentation_sheet(line, 1), augmentation_sheet(line, 2))


def test_pages_are_shown_with_their_outlines() -> None:
    page = np.full((300, 400, 3), 255, np.uint8)
    quad = np.float32([(50, 60), (200, 60), (200, 90), (50, 90)])
    page[60:90, 50:200] = 0
    regions = [Region(quad, "a"), Region(quad + np.float32([0, 100]), "", ignore=True)]
    sheet = page_augmentation_sheet(page, regions, 0)
    for row in np.split(sheet, 7):
        assert (row[..., 0] > row[..., 1].astype(int) + 80).sum() > 500
    assert len(page_augmentation_sheet(page, [], 0)) == len(sheet) // 7 * 6  # nothing to paste
