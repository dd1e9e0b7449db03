"""Batches for the recognizer and the classifier: purity, shapes, and labels that belong to their images."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest

from ppocr_jax.charset import Charset, english_charset, load_charset
from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.batches import ProcessShare
from ppocr_jax.data.crops import CropBank, CropSource
from ppocr_jax.data.direction import DirectionBatches, direction_ids, has_direction
from ppocr_jax.data.labels import DetectionRecord, Region, write_detection_labels
from ppocr_jax.data.recognition import RecognitionBatches, frame_labels
from ppocr_jax.synth.line import LineSample

CHARSET = english_charset()


class BarGenerator:
    """Stands in for the drawn lines: a black bar under every character's center, on white."""

    def __call__(self, seed, index, *, aspect=None):
        rng = np.random.default_rng((seed, index))
        aspect = aspect or (2, 8)
        height = 24
        width = int(height * rng.uniform(*aspect))
        count = max(1, width // 16)
        centers = (np.arange(count) + 0.5) * width / count
        image = np.full((height, width, 3), 255, np.uint8)
        for center in centers:
            image[:, int(center) - 1 : int(center) + 2] = 0
        text = "".join(rng.choice(list("abcXYZ127"), count))
        return LineSample(image, text, centers.astype(np.float32))


def batches(bank=None, **changes):
    options = {
        "charset": CHARSET,
        "generator": BarGenerator(),
        "bank": bank,
        "widths": (64, 128, 256),
        "batch_size": 16,
        "synthetic_share": 0.5,
        "synthetic_warm_steps": 2,
        "max_label_length": 25,
        "augmentation": LineAugmentation(),
        "seed": 3,
        "reference_width": 128,
    }
    return RecognitionBatches(**{**options, **changes})


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """A page of 20 lines, each filled with a gray level of its own, texts L0..L19."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("page")
    page = np.full((800, 600, 3), 255, np.uint8)
    regions = []
    for i in range(20):
        top, width = 10 + 38 * i, 60 + 22 * i
        page[top : top + 24, 20 : 20 + width] = 10 * i
        quad = np.array([[20, top], [20 + width, top], [20 + width, top + 24], [20, top + 24]], np.float32)
        regions.append(Region(quad, f"L{i}"))
    regions.append(Region(np.array([[0, 0], [9, 0], [9, 2], [0, 2]], np.float32), "thin"))
    regions.append(Region(quad, "é"))
    Image.fromarray(page).save(folder / "page.png")
    write_detection_labels(folder / "label.txt", [DetectionRecord(folder / "page.png", tuple(regions))])
    return CropBank((CropSource(str(folder / "label.txt"), case_blind=True),), CHARSET, 25)


def test_a_batch_is_a_function_of_seed_and_step(bank):
    first, again = batches(bank)(5), pickle.loads(pickle.dumps(batches(bank)))(5)
    assert first.keys() == again.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(batches(bank, seed=4)(5)["images"][:8], first["images"][:8])


def test_shapes_and_costs_of_the_buckets(bank):
    seen = set()
    for step in range(12):
        batch = batches(bank)(step)
        count, height, width, _ = batch["images"].shape
        seen.add(width)
        assert height == 32
        assert batch["frames"].shape == (count, width // 4)
        assert count == max(8, round(16 * 128 / width / 8) * 8)
        assert (batch["lengths"] <= batch["labels"].shape[1]).all()
        assert batch["images"].dtype == np.float32
        assert np.abs(batch["images"]).max() <= 1
    assert seen == {64, 128, 256}


def test_real_lines_join_after_the_warm_steps(bank):
    assert not batches(bank)(1)["case_blind"].any()
    later = batches(bank)(2)
    assert later["case_blind"].mean() == pytest.approx(0.5)
    unknown = (later["frames"] == -1).all(1)
    np.testing.assert_array_equal(unknown, later["case_blind"])


def test_letters_without_a_capital_in_the_charset_stay_small_in_a_case_blind_label(tmp_path):
    """The capital of "ß" is "SS", and a charset may contain "é" but not "É"."""
    cv2.imwrite(str(tmp_path / "line.png"), np.full((32, 96, 3), 255, np.uint8))
    (tmp_path / "label.txt").write_text("line.png\tGroßé\n", encoding="utf-8")
    charset = Charset((*CHARSET.characters, "ß", "é"))
    bank = CropBank((CropSource(str(tmp_path / "label.txt"), case_blind=True),), charset, 25)
    batch = batches(bank, charset=charset, widths=(128,), synthetic_share=0.0, synthetic_warm_steps=0)(0)
    texts = {charset.decode(ids[:n]) for ids, n in zip(batch["labels"], batch["lengths"], strict=True)}
    assert texts == {"GROßé"}


def test_a_share_of_0_needs_real_lines():
    for make in (
        batches,
        lambda **share: DirectionBatches(BarGenerator(), None, 4, augmentation=LineAugmentation(), seed=0, **share),
    ):
        with pytest.raises(ValueError, match=r"synthetic_share is 0, but there are no data\.train_labels"):
            make(synthetic_share=0.0)


def test_frames_stand_under_the_characters():
    """The bars of the drawn lines must lie where the frame labels say the characters are."""
    checked = 0
    for step in range(6):
        batch = batches(None, synthetic_share=1.0)(step)
        for image, frames, labels, length in zip(
            batch["images"], batch["frames"], batch["labels"], batch["lengths"], strict=True
        ):
            at = np.flatnonzero(frames > 0)
            darkness = (-image.mean((0, 2))).reshape(-1, 4).max(1)
            assert (darkness[at] > darkness.mean()).mean() > 0.95
            if len(at) == length:
                np.testing.assert_array_equal(frames[at], labels[:length])
                checked += 1
    assert checked > 50


def test_frame_labels_by_hand():
    # 100 pixels wide, scaled by 32 / 20: centers 10, 40 and 90 become 16, 64 and 144, frames 4, 16 and 36.
    frames = frame_labels([5, 6, 7], np.array([10.0, 40.0, 90.0]), size=(20, 100), height=32, width=192)
    assert {i: int(c) for i, c in enumerate(frames) if c > 0} == {4: 5, 16: 6, 36: 7}
    assert sorted(np.flatnonzero(frames == -1)) == [3, 5, 15, 17, 35, 37]
    assert frames.shape == (48,)


def test_crops_carry_the_text_of_their_image(bank):
    rng = np.random.default_rng(0)
    assert len(bank) == 20  # the thin region and the unknown character are left out
    for _ in range(40):
        crop = bank.draw(rng, (2.0, 20.0))
        image = crop.image(rng)
        middle = image[image.shape[0] // 2, image.shape[1] // 2, 0]
        assert int(crop.text[1:]) == pytest.approx(middle / 10, abs=0.2)
        assert 2.0 <= crop.aspect <= 20


def test_draw_keeps_to_the_aspect_and_takes_the_nearest_where_there_is_none(bank):
    rng = np.random.default_rng(0)
    assert 5 <= bank.draw(rng, (5, 7)).aspect <= 7
    assert bank.draw(rng, (0.1, 0.2)).text == "L0"
    assert bank.draw(rng, (500, 600)).text == "L19"


def test_bucket_shares_add_up(bank):
    shares = bank.bucket_shares((64, 128, 256), 32)
    assert shares.sum() == pytest.approx(1)
    assert shares.argmax() == 2  # most of these lines are wider than 4 heights


def test_augmentation_changes_pixels_and_keeps_the_height():
    image = np.random.default_rng(0).integers(0, 255, (24, 100, 3), np.uint8)
    rng = np.random.default_rng(1)
    outputs = [LineAugmentation(probability=0.8)(rng, image) for _ in range(20)]
    assert all(o.shape[0] == 24 and o.dtype == np.uint8 for o in outputs)
    assert sum(o.shape != image.shape or not np.array_equal(o, image) for o in outputs) > 15
    np.testing.assert_array_equal(LineAugmentation(probability=0, recipe="strong")(rng, image), image)


def test_direction_labels_match_the_images():
    class Gradient:
        def __call__(self, seed, index, *, aspect=None):
            ramp = np.linspace(0, 255, 120).astype(np.uint8)
            image = np.repeat(np.tile(ramp, (30, 1))[..., None], 3, axis=2)
            return LineSample(image, "up", np.array([30.0, 90.0], np.float32))

    make = DirectionBatches(Gradient(), None, 32, 1.0, LineAugmentation(), seed=0)
    batch = make(0)
    left_darker = batch["images"][:, :, :20].mean((1, 2, 3)) < batch["images"][:, :, 100:120].mean((1, 2, 3))
    np.testing.assert_array_equal(batch["labels"] == 0, left_darker)
    assert 0 < batch["labels"].mean() < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.00", False),
        ("SOS", False),
        ("96", False),
        ("22:58", False),
        ("pod", False),
        ("TOTAL", True),
        ("7", True),
        ("pods!", True),
    ],
)
def test_lines_that_are_text_upside_down_have_no_direction(text, expected):
    assert has_direction(text) is expected


def test_turned_characters_are_classes_of_their_own_unless_they_look_the_same():
    charset = load_charset("en")
    upright = direction_ids("A0b", charset, rotated=False)
    rotated = direction_ids("A0b", charset, rotated=True)
    assert upright == charset.encode("A0b")
    assert rotated[1] == upright[1]
    assert [rotated[0] - upright[0], rotated[2] - upright[2]] == [charset.num_classes - 1] * 2


def test_direction_frames_lie_where_the_characters_stand():
    charset = load_charset("en")

    class Bars:
        def __call__(self, seed, index, *, aspect=None):
            image = np.full((48, 120, 3), 255, np.uint8)
            for x in (30, 90):
                image[:, x - 2 : x + 3] = 0
            return LineSample(image, "up", np.array([30.0, 90.0], np.float32))

    make = DirectionBatches(Bars(), None, 16, 1.0, LineAugmentation(), seed=1, charset=charset)
    batch = make(0)
    for image, frames, label in zip(batch["images"], batch["frames"], batch["labels"], strict=True):
        at = np.flatnonzero(frames > 0)
        assert all(image[:, 4 * i : 4 * i + 4].min() < -0.9 for i in at)  # each under its bar
        text = "pu" if label else "up"
        assert frames[at].tolist() == [direction_ids(c, charset, rotated=bool(label))[0] for c in text]


def test_processes_make_the_rows_of_one_batch_between_them(bank):
    batch = batches(bank)(3)
    parts = [batches(bank, process=ProcessShare(i, 2))(3) for i in range(2)]
    for name, values in batch.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_a_network_with_wider_frames_takes_shorter_labels(bank):
    """Of 64 pixels, 16 or 8 frames: three quarters of them may be filled."""
    for width, longest in ((4, 12), (8, 6)):
        made = batches(bank, frame_width=width, widths=(64,), reference_width=None)(3)
        assert made["labels"].shape[1] == longest
        assert made["frames"].shape[1] == 64 // width


def test_joined_lines_are_lines_of_the_bank_side_by_side(bank):
    """Every line of the bank has a gray level of its own, ten times its number, so an image tells its label."""
    plain = {"augmentation": LineAugmentation(recipe="none"), "synthetic_share": 0.0, "widths": (320,)}
    pieces = []
    for step in range(2, 12):
        batch = batches(bank, join_probability=1.0, reference_width=None, **plain)(step)
        for image, label, length in zip(batch["images"], batch["labels"], batch["lengths"], strict=True):
            text = CHARSET.decode(label[:length].tolist())
            numbers = [int(part) for part in text.split("L")[1:]]
            levels = np.round((image[16, :, 0] + 1) / 2 * 255).astype(int)
            # Levels of lines, in order; crops have white margins, at which interpolation gives other levels.
            wide = [level for level in set(levels.tolist()) if (levels == level).sum() > 20 and level % 10 == 0]
            runs = sorted(wide, key=lambda level, levels=levels: np.median(np.flatnonzero(levels == level)))
            assert set(runs) == {10 * number for number in numbers}
            if len(set(numbers)) == len(numbers):  # a line that came twice has no single place
                assert runs == [10 * number for number in numbers]
            pieces.append(len(numbers))
    assert set(pieces) == {1, 2, 3}
    alone = batches(bank, join_probability=0.0, reference_width=None, **plain)(2)
    assert (alone["lengths"] <= 3).all()


def test_joined_lines_keep_to_the_longest_label(bank):
    made = batches(bank, join_probability=1.0, max_label_length=4, synthetic_share=0.0, widths=(320,))(2)
    assert made["lengths"].max() <= 4
