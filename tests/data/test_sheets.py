"""The sheet of labels that is looked at."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.charset import load_charset
from ppocr_jax.data.augment_rec import CHANGES, RECIPES
from ppocr_jax.data.label_check import check_labels
from ppocr_jax.data.labels import DetectionRecord, LabelSet, RecognitionRecord, Region
from ppocr_jax.data.rand_augment import OPERATIONS
from ppocr_jax.data.sheets import augmentation_sheet, draw_sheet, page_augmentation_sheet

EN = load_charset("en")
RED, GREEN, GRAY, ORANGE = (220, 0, 0), (0, 110, 60), (120, 120, 120), (190, 110, 0)
BOX = np.array([[20, 20], [180, 20], [180, 60], [20, 60]], np.float32)


def has(sheet: np.ndarray, color: tuple[int, int, int]) -> bool:
    return bool((sheet == color).all(axis=-1).any())


def is_reddish(sheet: np.ndarray) -> bool:
    """Thin strokes of small letters are paler than the color they are drawn in."""
    red, others = sheet[..., 0].astype(int), sheet[..., 1:].max(axis=-1).astype(int)
    return bool((red - others > 100).any())


def sheet_of(labels: LabelSet, **options: int) -> np.ndarray:
    return draw_sheet(labels, check_labels(labels, EN), **options)


def image_of(sheet: np.ndarray) -> np.ndarray:
    """The image, at twice its size, without margin and caption."""
    return sheet[28 : 28 + 200, 8 : 8 + 400]


def page(path: Path, *regions: Region) -> LabelSet:
    if not path.exists():
        Image.new("RGB", (200, 100), (250, 240, 230)).save(path)
    return LabelSet(path.parent / "label.txt", "ppocr-det", (DetectionRecord(path, regions),))


@pytest.mark.parametrize(
    ("region", "color"),
    [
        (Region(BOX, "text"), GREEN),
        (Region(BOX, ""), ORANGE),
        (Region(BOX, "###", ignore=True), GRAY),
        (Region(BOX[::-1], "text"), RED),
        (Region(BOX[[0, 2, 1, 3]], "###", ignore=True), RED),
        (Region(np.roll(BOX, 1, axis=0), "text"), GREEN),
    ],
    ids=["text", "not known", "ignored", "counter-clockwise", "crossing", "rotated"],
)
def test_regions_are_drawn_in_the_color_of_their_state(
    tmp_path: Path, region: Region, color: tuple[int, int, int]
) -> None:
    image = image_of(sheet_of(page(tmp_path / "1.png", region)))
    assert [c for c in (RED, GREEN, GRAY, ORANGE) if has(image, c)] == [color]


def test_outlines_stand_where_they_are_labeled(tmp_path: Path) -> None:
    image = image_of(sheet_of(page(tmp_path / "1.png", Region(BOX, "text"))))
    rows, columns = np.nonzero((image == GREEN).all(axis=-1))
    inside = (columns > 45) & (rows > 45)  # right of the number and the dot
    assert (columns[inside].max(), rows[inside].max()) == (360, 120)
    np.testing.assert_array_equal(image[80, 200], (250, 240, 230))


def test_long_lists_end_in_a_count(tmp_path: Path) -> None:
    few = sheet_of(page(tmp_path / "1.png", *[Region(BOX, "text")] * 3))
    many = sheet_of(page(tmp_path / "1.png", *[Region(BOX, "text")] * 300))
    assert few.shape == many.shape
    last_line, list_columns = slice(-30, -8), slice(430, None)
    assert few[last_line, list_columns].min() == 255
    assert many[last_line, list_columns].min() < 255


def test_lines_above_their_texts(tmp_path: Path) -> None:
    records = []
    for index, text in enumerate(["good", "b\u00e4d", "\u4e2d\u6587", "x" * 300]):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", (80, 20), (10, 20, 200)).save(path)
        records.append(RecognitionRecord(path, text))
    good, *wrong = ([record] for record in records)
    sheets = [sheet_of(LabelSet(tmp_path, "ppocr-rec", tuple(some))) for some in (good, *wrong)]
    assert not is_reddish(sheets[0])
    assert all(is_reddish(sheet) for sheet in sheets[1:])
    assert len({sheet.shape for sheet in sheets}) == 1, "long texts are cut off"


def test_missing_images_leave_a_gray_box(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    assert has(sheet_of(page(tmp_path / "1.png", Region(BOX, "text"))), (200, 200, 200))
    labels = LabelSet(tmp_path, "ppocr-rec", (RecognitionRecord(tmp_path / "none.png", "a"),))
    assert has(sheet_of(labels), (200, 200, 200))


def test_half_of_the_sample_are_problems_if_there_are_any(tmp_path: Path) -> None:
    records = []
    for index in range(40):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", (40, 40), (index, 0, 255)).save(path)
        records.append(RecognitionRecord(path, "\u4e2d" if index in (3, 30) else "a"))
    labels = LabelSet(tmp_path, "ppocr-rec", tuple(records))

    def drawn(**options: int) -> list[int]:
        sheet = sheet_of(labels, **options)
        return sorted({int(c[0]) for c in sheet.reshape(-1, 3) if c[1] == 0 and c[2] == 255})

    assert len(drawn(count=8)) == 8
    assert {3, 30} <= set(drawn(count=8))
    assert drawn(count=8) == drawn(count=8, seed=0) != drawn(count=8, seed=1)
    assert drawn(count=2) != [3, 30], "not only problems"
    assert drawn(count=100) == [*range(40)]


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no labels to draw"):
        sheet_of(LabelSet(tmp_path, "ppocr-rec", ()))


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
