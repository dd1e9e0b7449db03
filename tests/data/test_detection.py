import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppocr_jax.config import LabelSource
from ppocr_jax.data.detection import DetectionBatches, DetectionSource, detection_records, merge_words_into_lines
from ppocr_jax.data.images import ImageCache
from ppocr_jax.data.labels import DetectionRecord, Region, write_detection_labels
from ppocr_jax.images import ImageError
from ppocr_jax.preprocess import Normalization

PLAIN = Normalization((0, 0, 0), (1, 1, 1), "rgb")
LINES = np.array(
    [[(x, y), (x + 180, y), (x + 180, y + 24), (x, y + 24)] for x in (30, 260) for y in range(20, 300, 50)]
)


@dataclass(frozen=True)
class FakeLine:
    quad: np.ndarray


@dataclass(frozen=True)
class FakePage:
    image_rgb: np.ndarray
    lines: tuple[FakeLine, ...]


def fake_page(seed: int, index: int, *, size: tuple[int, int]) -> FakePage:
    """White page, each line a blue bar."""
    image = np.full((*size, 3), 255, np.uint8)
    quad = np.array([(20, 40), (100, 40), (100, 64), (20, 64)], np.float32)
    image[40:64, 20:100] = (0, 0, 255 - index % 32)
    return FakePage(image, (FakeLine(quad),))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> DetectionSource:
    """Three white images whose lines are red bars."""
    folder = tmp_path_factory.mktemp("images")
    records = []
    for i in range(3):
        image = np.full((340, 480, 3), 255, np.uint8)
        for x, y in LINES[:, 0]:
            image[y : y + 24, x : x + 180] = (200 + i, 0, 0)
        cv2.imwrite(str(folder / f"{i}.png"), image[..., ::-1])
        records.append(DetectionRecord(folder / f"{i}.png", tuple(Region(q.astype(np.float32), "x") for q in LINES)))
    return DetectionSource(tuple(records))


def batches(**options: Any) -> DetectionBatches:
    defaults = {"seed": 3, "batch_size": 4, "crop_size": 192, "scale_range": (0.7, 1.4), "normalization": PLAIN}
    return DetectionBatches(**(defaults | options))


def test_shapes_types_and_default_normalization(source: DetectionSource) -> None:
    batch = DetectionBatches(seed=0, batch_size=2, crop_size=96, scale_range=(0.5, 3.0), sources=[source])(0)
    got = {name: (value.shape, value.dtype) for name, value in batch.items()}
    maps = (2, 96, 96)
    assert got == {
        "images": ((*maps, 3), np.float32),
        "shrink_map": (maps, np.uint8),
        "shrink_mask": (maps, np.uint8),
        "threshold_map": (maps, np.float32),
        "threshold_mask": (maps, np.uint8),
    }
    white = np.array([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    assert (np.abs(batch["images"] - white).max(axis=-1) < 1e-4).any()


@pytest.mark.parametrize("crop", ["page", "reference"])
@pytest.mark.parametrize("photometric", [False, True])
def test_targets_lie_on_the_text(source: DetectionSource, crop: Any, photometric: bool) -> None:
    draw = batches(sources=[source], crop=crop, photometric=photometric)
    text_pixels = red_pixels = 0
    for step in range(3):
        batch = draw(step)
        red = batch["images"][..., 0] - batch["images"][..., 1] > 0.3
        text = (batch["shrink_map"] == 1) & (batch["shrink_mask"] == 1)
        assert red[text].mean() > 0.98
        outside_threshold = (batch["threshold_mask"] == 0) & (batch["shrink_mask"] == 1)
        assert red[outside_threshold].mean() < 0.01
        text_pixels, red_pixels = text_pixels + text.sum(), red_pixels + red.sum()
    assert text_pixels > 0.15 * red_pixels


def test_synthetic_pages_are_mixed_in_exactly(source: DetectionSource) -> None:
    draw = batches(sources=[source], page_generator=fake_page, synthetic_share=0.3, batch_size=5)
    synthetic = 0
    for step in range(4):
        batch = draw(step)
        blue = (batch["images"][..., 2] - batch["images"][..., 0] > 0.5).any(axis=(1, 2))
        red = (batch["images"][..., 0] - batch["images"][..., 2] > 0.5).any(axis=(1, 2))
        assert (blue ^ red).all()
        assert batch["shrink_map"][blue].any()
        synthetic += blue.sum()
    assert synthetic == 6


def test_synthetic_targets_lie_on_the_text() -> None:
    batch = batches(page_generator=fake_page, synthetic_share=1.0)(0)
    blue = batch["images"][..., 2] - batch["images"][..., 0] > 0.5
    assert blue[batch["shrink_map"] == 1].all()
    assert batch["shrink_map"].any(axis=(1, 2)).all()


def test_batches_depend_on_seed_and_step_alone(source: DetectionSource) -> None:
    options = {"sources": [source], "page_generator": fake_page, "synthetic_share": 0.5, "photometric": True}
    first = batches(**options)
    copy = pickle.loads(pickle.dumps(first))
    first(0)
    for name, value in first(7).items():
        np.testing.assert_array_equal(copy(7)[name], value)
    assert not np.array_equal(first(7)["images"], first(8)["images"])
    assert not np.array_equal(first(7)["images"], batches(**options | {"seed": 4})(7)["images"])


def test_page_mode_keeps_text_at_inference_scale(source: DetectionSource) -> None:
    """The longer side, 480, exceeds the limit of 240: everything is half as large."""
    draw = batches(sources=[source], crop="page", scale_range=(1.0, 1.0), limit_side=240)
    red = draw(0)["images"][..., 0] - draw(0)["images"][..., 1] > 0.5
    widths = [stats[cv2.CC_STAT_AREA] for image in red for stats in _components(image)]
    assert max(widths) == pytest.approx(180 * 24 / 4, rel=0.1)


def test_the_shrink_ratio_reaches_the_targets(source: DetectionSource) -> None:
    shrunk, mild = (batches(sources=[source], shrink_ratio=ratio)(0) for ratio in (0.4, 0.55))
    np.testing.assert_array_equal(mild["images"], shrunk["images"])
    assert mild["shrink_map"].sum() > shrunk["shrink_map"].sum()
    with pytest.raises(ValueError, match="shrink_ratio"):
        batches(sources=[source], shrink_ratio=1.0)


def _components(mask: np.ndarray) -> np.ndarray:
    return cv2.connectedComponentsWithStats(mask.astype(np.uint8))[2][1:]


def test_sources_are_drawn_by_weight(source: DetectionSource) -> None:
    first = DetectionSource(source.records[:1], weight=3.0)
    second = DetectionSource(source.records[1:], weight=0.5)
    unused = DetectionSource(source.records[:2], weight=0.0)
    draw = batches(sources=[first, unused, second], batch_size=64, crop_size=32)
    values = []
    for image in draw(0)["images"]:
        text = image[..., 0] - image[..., 1] > 0.5
        values.append(round(float(np.median(image[text][:, 0])) * 255))
    shares = np.bincount(values, minlength=203)[200:] / len(values)
    np.testing.assert_allclose(shares, (0.75, 0.125, 0.125), atol=0.15)


def test_word_labels_are_merged(tmp_path: Path, source: DetectionSource) -> None:
    quad = np.array([(10, 10), (50, 10), (50, 30), (10, 30)], np.float32)
    words = (Region(quad, "two"), Region(quad + np.float32((48, 0)), "words"))
    write_detection_labels(tmp_path / "label.txt", [DetectionRecord(source.records[0].image_path, words)])
    path = str(tmp_path / "label.txt")
    (line,) = DetectionSource.read(LabelSource(path, granularity="word")).records[0].regions
    assert line.text == "two words"
    assert len(DetectionSource.read(LabelSource(path)).records[0].regions) == 2


def test_images_without_text_give_empty_targets(source: DetectionSource) -> None:
    empty = DetectionSource((DetectionRecord(source.records[0].image_path, ()),))
    for crop in ("page", "reference"):
        batch = batches(sources=[empty], crop=crop)(0)
        assert not batch["shrink_map"].any()
        assert batch["shrink_mask"].all()
        assert not batch["threshold_mask"].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no labeled images"),
        ({"synthetic_share": 0.5}, "no page generator"),
        ({"synthetic_share": 1.5}, "between 0 and 1"),
        ({"synthetic_share": 0.5, "page_generator": fake_page}, "no labeled images"),
        ({"synthetic_share": 1.0, "page_generator": fake_page, "crop_size": 100}, "multiple of 32"),
        ({"synthetic_share": 1.0, "page_generator": fake_page, "crop": "center"}, '"reference" or "page"'),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        batches(**options)


def test_labels_of_which_nothing_can_be_used_are_named(tmp_path: Path) -> None:
    labels = tmp_path / "label.txt"
    labels.write_text("1.png\t[{'transcription': 'a'}]\n2.png\t[]\n", encoding="utf-8")
    read = DetectionSource.read(LabelSource(str(labels), format="ppocr-det"))
    with pytest.raises(ValueError, match=r"0 of 2 images used; 1 in entries .*; 1 missing \(such as .*2\.png\)"):
        batches(sources=[read])


def test_where_no_image_can_be_read_one_is_named(tmp_path: Path) -> None:
    gone = DetectionSource((DetectionRecord(tmp_path / "gone.jpg", ()),))
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        batches(sources=[gone])(0)


def test_a_source_of_broken_images_alone_says_so(tmp_path: Path, source: DetectionSource) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "broken.png").write_bytes(b"no image")
    broken = DetectionRecord(tmp_path / "images" / "broken.png", source.records[0].regions)
    write_detection_labels(tmp_path / "label.txt", [broken])
    for path in (tmp_path / "label.txt", tmp_path / "images"):
        use = DetectionSource.read(LabelSource(str(path))).use
        assert use is not None
        assert (use.used, use.total) == (0, 1)
        assert use.left_out["that cannot be read"] == 1


def test_missing_and_broken_images_are_skipped_and_counted(
    tmp_path: Path, source: DetectionSource, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    more = [DetectionRecord(tmp_path / name, source.records[0].regions) for name in ("gone.png", "broken.png")]
    write_detection_labels(tmp_path / "label.txt", [*source.records, *more])
    scored = detection_records(LabelSource(str(tmp_path / "label.txt")))
    assert len(scored) == 4
    assert "1 of 5 images missing" in caplog.text
    with (tmp_path / "label.txt").open("a", encoding="utf-8") as file:
        file.write("no tab here\n")
    read = DetectionSource.read(LabelSource(str(tmp_path / "label.txt")))
    assert len(read.records) == 4
    made = batches(sources=[read], copy_paste=True)
    (use,) = made.uses()
    assert (use.used, use.total) == (4, 6)
    assert use.left_out == {"in entries that cannot be used": 1, f"missing (such as {tmp_path / 'gone.png'})": 1}
    caplog.clear()
    for step in range(6):
        assert (made(step)["images"] != 0).any(axis=(1, 2, 3)).all()
    assert caplog.text.count("broken.png") == 1  # said once, not at every step


def test_cache_keeps_the_last_used_within_its_limit(source: DetectionSource) -> None:
    paths = [record.image_path for record in source.records]
    size = 340 * 480 * 3
    cache = ImageCache(max_bytes=2 * size)
    first = cache(paths[0])
    cache(paths[1])
    assert cache(paths[0]) is first
    cache(paths[2])  # drops 1, the least recently used
    assert cache(paths[0]) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 0
    assert pickle.loads(pickle.dumps(cache)).max_bytes == 2 * size
    nothing = ImageCache(max_bytes=size - 1)
    assert nothing(paths[0]) is not nothing(paths[0])


def word(text: str, left: float, top: float, *, width: float = 40, height: float = 20, ignore: bool = False) -> Region:
    right, bottom = left + width, top + height
    points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return Region(points, text, ignore)


def turned(regions: list[Region], degrees: float) -> list[Region]:
    angle = np.deg2rad(degrees)
    matrix = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))], np.float32)
    return [Region(region.points @ matrix + (500, 500), region.text, region.ignore) for region in regions]


PAGE = [
    word("to", 60, 10),
    word("How", 10, 12),
    word("merge", 110, 9, height=24),
    word("Total", 300, 10),  # another column
    word("next", 10, 40),
    word("line", 58, 41),
    word("BIG", 105, 20, width=90, height=60),  # beside both lines
]


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, 265])
def test_words_of_one_row_become_a_line_in_any_direction(degrees: float) -> None:
    lines = merge_words_into_lines(turned(PAGE, degrees))
    assert [line.text for line in lines] == ["How to merge", "Total", "next line", "BIG"]
    expected = np.array([(10, 9), (150, 9), (150, 33), (10, 33)], np.float32)
    (expected_line,) = turned([Region(expected, "", False)], degrees)
    np.testing.assert_allclose(lines[0].points, expected_line.points, atol=3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_the_words_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shuffled = [PAGE[i] for i in rng.permutation(len(PAGE))]
    lines = merge_words_into_lines(turned(shuffled, rng.uniform(0, 360)))
    assert sorted(line.text for line in lines) == ["BIG", "How to merge", "Total", "next line"]


def test_line_covers_its_words() -> None:
    rng = np.random.default_rng(0)
    words = [word("a", 45.0 * i, 20 + float(rng.uniform(-3, 3)), height=float(rng.uniform(16, 24))) for i in range(6)]
    (line,) = merge_words_into_lines(words)
    corners = np.concatenate([region.points for region in words])
    edges = np.roll(line.points, -1, axis=0) - line.points
    offsets = corners[:, None] - line.points[None]
    inward = edges[None, :, 0] * offsets[..., 1] - edges[None, :, 1] * offsets[..., 0]
    assert (inward >= -1e-1).all()


def test_ignored_words_join_ignored_words_only() -> None:
    words = [word("a", 0, 0), word("###", 50, 0, ignore=True), word("###", 100, 0, ignore=True), word("b", 150, 0)]
    lines = merge_words_into_lines(words)
    assert [(line.text, line.ignore) for line in lines] == [("a", False), ("###", True), ("b", False)]
    assert lines[1].points[:, 0].max() == pytest.approx(140)


def test_unknown_word_makes_the_line_unknown() -> None:
    (line,) = merge_words_into_lines([word("a", 0, 0), word("", 50, 0)])
    assert line.text == ""
    assert not line.ignore


def test_other_polygons_and_single_words_stay() -> None:
    curved = Region(np.array([(0, 0), (20, 5), (40, 0), (40, 20), (0, 20)], np.float32), "curved")
    single = word("b", 45, 0)
    assert merge_words_into_lines([curved, single]) == (curved, single)
    assert merge_words_into_lines([]) == ()
