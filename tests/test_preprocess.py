import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppocr_jax.preprocess import (
    DETECTOR_NORMALIZATION,
    LINE_NORMALIZATION,
    Normalization,
    crop_batch_width,
    detector_image,
    detector_size,
    line_width,
    pad_small,
    resize_pad_line,
)

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "pipeline.json").read_text(encoding="utf-8"))
ARRAYS = np.load(FOLDER / "pipeline.npz")

NORMALIZED = 1e-5  # tolerance for equal pixels
ONE_GRAY_LEVEL = 1 / 255 / 0.224 + NORMALIZED  # versions of OpenCV round bilinear sums of bytes differently


def rgb(name: str) -> np.ndarray:
    return ARRAYS[name][..., ::-1]  # stored as BGR


def test_normalization_is_by_position_in_the_stated_channel_order():
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 255  # red
    bgr = Normalization((0.1, 0.2, 0.3), (0.5, 0.25, 0.2))(image)
    np.testing.assert_allclose(bgr[0, 0], [-0.1 / 0.5, -0.2 / 0.25, 0.7 / 0.2], rtol=1e-6)
    rgb_ = Normalization((0.1, 0.2, 0.3), (0.5, 0.25, 0.2), channel_order="rgb")(image)
    np.testing.assert_allclose(rgb_[0, 0], [0.9 / 0.5, -0.2 / 0.25, -0.3 / 0.2], rtol=1e-6)


def test_normalization_of_every_byte_equals_its_formula():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    expected = (image / 255 - DETECTOR_NORMALIZATION.mean) / DETECTOR_NORMALIZATION.std
    got = DETECTOR_NORMALIZATION(image)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(DETECTOR_NORMALIZATION(image[::-1, ::2]), got[::-1, ::2])  # any strides


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
    ids=["gray", "rgba", "float"],
)
def test_normalization_refuses_what_is_not_a_image(image):
    with pytest.raises(ValueError, match="uint8"):
        LINE_NORMALIZATION(image)


def test_normalization_survives_json():
    normalization = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), channel_order="rgb")
    assert Normalization.from_dict(json.loads(json.dumps(normalization.to_dict()))) == normalization


def test_an_unknown_channel_order_is_refused():
    with pytest.raises(ValueError, match="'grb'"):
        Normalization((0, 0, 0), (1, 1, 1), channel_order="grb")


@pytest.mark.parametrize("case", GOLDEN["det_resize"], ids=lambda c: f"{c['h']}x{c['w']}-{c['args'].get('limit_type')}")
def test_detector_sizes_equal_the_reference(case):
    padded = pad_small(np.zeros((case["h"], case["w"], 3), np.uint8)).shape[:2]
    limit_side = case["args"].get("limit_side_len", 736)
    size = detector_size(*padded, limit_side=limit_side, limit_type=case["args"].get("limit_type", "min"))
    assert list(size) == case["out"]
    np.testing.assert_allclose(np.divide(size, padded), case["shape"][2:])


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["max", "min", "resize_long"]))
def test_detector_sizes_are_multiples_of_32_near_the_images_shape(height, width, limit_type):
    size = np.array(detector_size(height, width, limit_side=960, limit_type=limit_type))
    assert (size % 32 == 0).all()
    assert (size >= 32).all()
    longest = max(height, width)
    enlarged = min(960 / min(height, width), max(1, (16e6 / (height * width)) ** 0.5))
    ratio = {"max": min(1, 960 / longest), "min": max(1, enlarged), "resize_long": 960 / longest}
    assert (np.abs(size - np.array([height, width]) * ratio[limit_type]) <= 33).all()


@pytest.mark.parametrize(("side", "rounded"), [(48, 64), (80, 64), (112, 128), (144, 128), (1, 32), (33, 32)])
def test_halves_go_to_the_even_multiple(side, rounded):
    assert detector_size(side, 320, limit_side=960, limit_type="max") == (rounded, 320)


def test_images_are_not_enlarged_without_limit():
    """A strip, such as one line of a long text, may be enlarged to a billion pixels by its shorter side."""
    assert detector_size(20, 5000, limit_side=736, limit_type="min") == (256, 63232)
    assert detector_size(4000, 5000, limit_side=8192, limit_type="min") == (4000, 4992)


def test_detector_size_refuses_bad_arguments():
    with pytest.raises(ValueError, match="limit_type"):
        detector_size(10, 10, limit_side=960, limit_type="long")
    with pytest.raises(ValueError, match="one pixel"):
        detector_size(0, 10, limit_side=960, limit_type="max")


def test_only_tiny_images_are_padded():
    image = np.full((20, 43, 3), 7, np.uint8)
    padded = pad_small(image)
    assert padded.shape == (32, 43, 3)
    np.testing.assert_array_equal(padded[:20], image)
    assert padded[20:].max() == 0
    assert pad_small(np.zeros((20, 44, 3), np.uint8)).shape == (20, 44, 3)


def test_detector_input_equals_the_reference():
    np.testing.assert_allclose(
        DETECTOR_NORMALIZATION(rgb("detpre_resized")).transpose(2, 0, 1), ARRAYS["detpre_norm"], atol=NORMALIZED
    )
    image = rgb("detpre_in")
    got = DETECTOR_NORMALIZATION(detector_image(image, limit_side=64, limit_type="min")).transpose(2, 0, 1)
    np.testing.assert_allclose(got, ARRAYS["detpre_norm"], atol=ONE_GRAY_LEVEL)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_planar_input_equals_the_other_and_needs_no_copy(order):
    normalization = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), order)
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    for part in (image, image[2:6, 3:8]):
        planar = normalization.planar(part)
        np.testing.assert_array_equal(planar, normalization(part))
        assert planar.transpose(2, 0, 1).flags.c_contiguous
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        normalization.planar(image[..., 0])


@pytest.mark.parametrize(("name", "height", "width"), [("rec", 32, 320), ("cls", 48, 192)])
@pytest.mark.parametrize("index", range(len(GOLDEN["rec_resize"])))
def test_line_input_equals_the_reference(index, name, height, width):
    case = GOLDEN["rec_resize"][index]
    image = rgb(case["inp"])
    got = resize_pad_line(image, height=height, width=width).transpose(2, 0, 1)
    got = got if case[f"{name}_full"] else got[:, ::8, ::4]
    np.testing.assert_allclose(got, ARRAYS[f"{name}out{index}"], atol=1 / 127 + NORMALIZED)
    assert line_width(image.shape, height=height, max_width=width) / width == case[f"{name}_valid_ratio"]
    assert crop_batch_width([image.shape], height=32, min_width=320) == case["infer_width"]


def test_line_padding_is_zero_after_normalization():
    got = resize_pad_line(np.full((16, 40, 3), 255, np.uint8), height=32, width=100)
    np.testing.assert_allclose(got[:, :80], 1, atol=1e-6)
    assert not got[:, 80:].any()


def test_batch_widths_equal_the_reference():
    sizes = GOLDEN["rec_batching"]["sizes"]
    for batch in GOLDEN["rec_batching"]["batches"]:
        members = [sizes[i] for i in batch["indices"]]
        assert crop_batch_width(members, height=32, min_width=320) == batch["width_ge25"]
        assert crop_batch_width(members, height=32) == batch["width_le24"]


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 3000)), min_size=1, max_size=6))
def test_a_batch_is_wide_enough_to_a_pixel_for_each_of_its_lines(sizes):
    width = crop_batch_width(sizes, height=32)
    widest = max(line_width(size, height=32, max_width=10**6) for size in sizes)
    assert widest - 1 <= width <= widest
