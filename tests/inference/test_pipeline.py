import math
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from ppocr_jax.charset import Charset
from ppocr_jax.errors import UserError
from ppocr_jax.geometry import perspective_crop
from ppocr_jax.images import ImageError
from ppocr_jax.inference.backends import make_backend
from ppocr_jax.inference.classify import Direction, TextClassifier
from ppocr_jax.inference.detect import TextDetector
from ppocr_jax.inference.model_folder import DetectorSpec, ModelError, RecognizerSpec, builtin_models, load_model_folder
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.inference.recognize import TextRecognizer, width_sorted_batches

stripes = pytest.importorskip("tests.stripes", reason="needs onnx")

# Text, center, clockwise rotation in degrees; in reading order (rows by the top-left corner of the upright box).
LINES = [
    ("abc", (150, 60), 0),
    ("ccab", (520, 64), 180),
    ("aabbcc", (650, 240), 20),
    ("cbab", (300, 350), -90),
    ("bab", (120, 350), 90),
    ("caabb", (630, 430), 155),
]
PAGE = stripes.paint_page((600, 900), LINES)


@pytest.fixture(scope="module")
def ocr(stripes_model) -> OCR:
    return OCR(stripes_model, threads=1, reading_order="paddleocr")


def test_reads_lines_that_lie_in_every_direction(ocr):
    page = ocr(PAGE)
    assert (page.width, page.height) == (900, 600)
    assert [line.text for line in page] == [text for text, _, _ in LINES]
    assert all(line.confidence > 0.9 and line.detection_score > 0.8 for line in page)


def test_quads_run_clockwise_from_where_reading_starts(ocr):
    for line, (text, center, angle) in zip(ocr(PAGE), LINES, strict=True):
        half_length = stripes.paint_line(text).shape[1] / 2
        along = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
        down = np.array([-along[1], along[0]])
        quad = np.array(line.quad)
        np.testing.assert_allclose(quad.mean(axis=0), center, atol=3)
        # (left, top), (right, top), (right, bottom), (left, bottom) in the line's own directions; boxes have a margin.
        own = np.stack([(quad - center) @ along, (quad - center) @ down], axis=1)
        assert np.array_equal(np.sign(own), [[-1, -1], [1, -1], [1, 1], [-1, 1]]), text
        assert (np.abs(own[:, 0]) > half_length).all()
        assert (np.abs(own[:, 0]) < half_length + 25).all()


def test_angle_says_which_crops_were_turned(ocr):
    assert [line.angle for line in ocr(PAGE)] == [0, 180, 0, 180, 0, 180]


def test_without_classifier_upside_down_lines_read_backwards(ocr):
    texts = [line.text for line in ocr(PAGE, use_classifier=False)]
    assert texts == ["abc", "bacc", "aabbcc", "babc", "bab", "bbaac"]


def test_options_of_a_call_do_not_stay(ocr):
    before = ocr(PAGE)
    assert len(ocr(PAGE, drop_score=1.0)) == 0
    least = min(line.confidence for line in before)
    assert len(ocr(PAGE, drop_score=least)) == len(before), "a line exactly at the limit is kept"
    assert len(ocr(PAGE, box_threshold=0.95)) == 0
    assert len(ocr(PAGE, threshold=0.95)) == 0
    assert ocr(PAGE, limit_side=320) != before
    assert ocr(PAGE) == before


def test_options_of_the_object_and_of_a_call(stripes_model):
    strict = OCR(stripes_model, threads=1, drop_score=1.0)
    assert len(strict(PAGE)) == 0
    assert len(strict(PAGE, drop_score=0.5)) == len(LINES)


def test_wrong_options(ocr, stripes_model):
    with pytest.raises(TypeError, match=r"no option 'box_treshold'; the options are .*box_threshold"):
        ocr(PAGE, box_treshold=0.5)
    with pytest.raises(ValueError, match="drop_score must be between 0 and 1, not 50"):
        OCR(stripes_model, drop_score=50)
    with pytest.raises(ValueError, match="limit_side must be at least 1"):
        ocr(PAGE, limit_side=0)
    with pytest.raises(ValueError, match="limit_type"):
        ocr(PAGE, limit_type="avg")
    with pytest.raises(ValueError, match="backend must be one of"):
        OCR(stripes_model, backend="torch")
    with pytest.raises(UserError, match="threads must be a whole number, not '2'"):
        OCR(stripes_model, threads="2")
    with pytest.raises(ModelError, match="no model"):
        OCR("klingon")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"limit_side": "960"}, "limit_side must be a whole number, not '960'"),
        ({"limit_side": 960.5}, "limit_side must be a whole number, not 960.5"),
        ({"drop_score": None}, "drop_score must be a number, not None"),
        ({"drop_score": float("nan")}, "drop_score must be a number, not nan"),
        ({"threshold": "0.3"}, "threshold must be a number, not '0.3'"),
        ({"unclip_ratio": [1.5]}, r"unclip_ratio must be a number, not \[1.5\]"),
        ({"unclip_ratio": float("inf")}, "unclip_ratio must be a number, not inf"),
        ({"batch_size": float("inf")}, "batch_size must be a whole number, not inf"),
        ({"max_pixels": None}, "max_pixels must be a whole number, not None"),
        ({"look_again": "no"}, "look_again must be True or False, not 'no'"),
        ({"limit_type": 1}, "limit_type must be one of max, min, resize_long, not 1"),
    ],
)
def test_options_of_another_kind_give_one_line(ocr, options, says):
    with pytest.raises(UserError, match=f"^{says}$"):
        ocr(PAGE, **options)


def test_numbers_of_numpy_are_numbers(ocr):
    assert ocr(PAGE, limit_side=np.int64(960), drop_score=np.float32(0.5), look_again=np.True_) == ocr(
        PAGE, limit_side=960
    )


def test_no_text_is_an_empty_page(ocr):
    page = ocr(np.zeros((70, 50, 3), np.uint8))
    assert (page.width, page.height, page.lines, page.text) == (50, 70, (), "")


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (3, 3), (31, 32), (33, 31)])
@pytest.mark.parametrize("value", [0, 255])
def test_tiny_and_narrow_images(ocr, size, value):
    page = ocr(np.full((*size, 3), value, np.uint8))
    assert (page.height, page.width) == size


def test_boxes_of_tiny_images_are_in_their_own_pixels(ocr):
    image = np.zeros((22, 40, 3), np.uint8)
    image[6:16, 8:30] = 255
    (box,) = ocr.detect(image)
    left, top = box.points.min(axis=0)
    right, bottom = box.points.max(axis=0)
    assert 0 <= left <= 8
    assert 0 <= top <= 6
    assert 29 <= right <= 39
    assert 15 <= bottom <= 21


@pytest.mark.parametrize("angle", [45, -45])
def test_boxes_at_exactly_45_degrees_can_be_cropped(angle):
    def backend(images: np.ndarray) -> np.ndarray:
        probability = np.zeros(images.shape[1:3], np.float32)
        cv2.fillPoly(probability, [np.round(cv2.boxPoints(((64, 64), (66, 12), angle))).astype(np.int32)], 0.9)
        return probability[None]

    image = np.zeros((128, 128, 3), np.uint8)
    for box in TextDetector(backend, DetectorSpec())(image):
        assert min(perspective_crop(image, box.points).shape[:2]) > 5


def test_every_kind_of_source(ocr, tmp_path):
    from PIL import Image

    path = tmp_path / "page.png"
    Image.fromarray(PAGE).save(path)
    expected = ocr(PAGE)
    from_path = ocr(path)
    assert from_path.source == str(path)
    assert from_path.lines == expected.lines
    assert ocr(path.read_bytes()) == expected
    assert ocr(Image.open(path)) == expected
    with pytest.raises(ImageError, match="too large"):
        ocr(path, max_pixels=1000)


def test_one_object_serves_many_threads(ocr):
    expected = ocr(PAGE)
    with ThreadPoolExecutor(4) as pool:
        assert all(page == expected for page in pool.map(ocr, [PAGE] * 8))


def test_ocr_pickles(ocr):
    assert pickle.loads(pickle.dumps(ocr))(PAGE) == ocr(PAGE)


def test_stages_one_by_one_give_the_page(ocr):
    boxes = ocr.detect(PAGE)
    assert [box.points.shape for box in boxes] == [(4, 2)] * len(LINES)
    crops = [stripes.paint_line(text) for text, _, _ in LINES]
    assert [found.text for found in ocr.recognize(crops)] == [text for text, _, _ in LINES]
    turned = [crop[::-1, ::-1] if i % 2 else crop for i, crop in enumerate(crops)]
    assert [found.angle for found in ocr.classify(turned)] == [0, 180, 0, 180, 0, 180]
    assert ocr.classify([]) == []
    assert ocr.recognize([]) == []


def test_single_stages_say_what_they_need(ocr):
    line = stripes.paint_line("cab")
    for stage in (ocr.recognize, ocr.classify):
        for single in (line, "line.png"):
            with pytest.raises(TypeError, match="pass line images as a list"):
                stage(single)
        with pytest.raises(ImageError, match="must be uint8"):
            stage([line / 255])
    for stage in (ocr.detect, ocr.probability_map):
        with pytest.raises(ImageError, match="must be uint8"):
            stage(PAGE / 255)
        with pytest.raises(ImageError, match="no such file"):
            stage("missing.png")


def test_models_with_only_some_networks(stripes_model):
    model = load_model_folder(stripes_model)
    reader = OCR.from_stages(recognizer=TextRecognizer(make_backend(model, "rec"), model.rec, model.charset))
    assert reader.recognize([stripes.paint_line("cab")])[0].text == "cab"
    with pytest.raises(ModelError, match="no detector"):
        reader(PAGE)
    with pytest.raises(ModelError, match="no direction classifier"):
        reader.classify([])
    finder = OCR.from_stages(detector=TextDetector(make_backend(model, "det"), replace(model.det, limit_side=640)))
    assert len(finder.detect(PAGE)) == len(LINES)
    with pytest.raises(ModelError, match="no recognizer"):
        finder.recognize([])


def test_classifier_needs_to_be_sure(stripes_model):
    def unsure(images: np.ndarray) -> np.ndarray:
        return np.tile(np.float32([0.1, 0.9]), (len(images), 1))

    model = load_model_folder(stripes_model)
    hesitant = OCR.from_stages(
        TextDetector(make_backend(model, "det"), model.det),
        TextRecognizer(make_backend(model, "rec"), model.rec, model.charset),
        TextClassifier(unsure, model.cls),
        drop_score=0,
    )
    assert hesitant.classify([stripes.paint_line("a")]) == [Direction(180, pytest.approx(0.9))]
    assert {line.angle for line in hesitant(PAGE, cls_threshold=0.91)} == {0}
    assert {line.angle for line in hesitant(PAGE, cls_threshold=float(np.float32(0.9)))} == {0}, "strictly above"
    assert {line.angle for line in hesitant(PAGE, cls_threshold=0.89)} == {180}


# Width of 14 crops of height 32, and the batches PaddleOCR's tool makes of them: (indices, width of the batch).
WIDTHS = [236, 89, 589, 29, 294, 717, 544, 716, 308, 223, 365, 458, 299, 772]
BATCHES = [([3, 1, 9, 0, 4, 12], 320), ([8, 10, 11, 6, 2, 7], 716), ([5, 13], 772)]


def test_batches_are_those_of_paddleocr():
    crops = [np.full((32, width, 3), i, np.uint8) for i, width in enumerate(WIDTHS)]
    assert list(width_sorted_batches(crops, 6)) == [indices for indices, _ in BATCHES]
    seen = []

    def backend(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        which = np.round((images[:, 0, 0, 0] + 1) * 127.5).astype(int)  # undoes the normalization
        return np.repeat(np.eye(15, dtype=np.float32)[which + 1][:, None], 2, axis=1)

    charset = Charset(tuple("abcdefghijklmn"))
    texts = TextRecognizer(backend, RecognizerSpec(), charset)(crops, batch_size=6)
    assert [text.text for text in texts] == list("abcdefghijklmn"), "results keep the order of the crops"
    assert [images.shape for images in seen] == [(len(i), 32, width, 3) for i, width in reversed(BATCHES)]
    first = seen[-1][0]
    assert (first[:, 29:] == 0).all()
    assert (first[:, :29] != 0).all()


def test_detector_sees_the_image_at_its_limit():
    seen = []

    def backend(images: np.ndarray) -> np.ndarray:
        seen.append(images.shape)
        return np.zeros(images.shape[:3], np.float32)

    detector = TextDetector(backend, DetectorSpec(limit_side=320))
    assert detector(np.full((320, 640, 3), 250, np.uint8)) == []
    assert seen == [], "nothing is there to be seen"
    image = np.random.default_rng(0).integers(0, 256, (320, 640, 3), np.uint8)
    assert detector(image) == []
    detector(image, limit_side=96, limit_type="min")
    detector(image, limit_side=480, limit_type="min")
    assert seen == [(1, 160, 320, 3), (1, 320, 640, 3), (1, 480, 960, 3)]
    seen.clear()
    detector(image, limit_side=960, limit_type="min")
    assert seen == [(1, 576, 1056, 3)] * 4  # 960 x 1920, in tiles


def test_shipped_models_read_nothing_on_an_empty_sheet():
    if not builtin_models():
        pytest.skip("no weights shipped yet")
    for name in builtin_models():
        assert len(OCR(name, threads=1)(np.full((200, 300, 3), 255, np.uint8))) == 0


def test_shipped_english_model_reads_clean_print():
    if "en" not in builtin_models():
        pytest.skip("no weights shipped yet")
    from PIL import Image, ImageDraw, ImageFont

    sheet = Image.new("RGB", (640, 200), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    draw.text((30, 30), "Invoice 2048", fill=(20, 20, 20), font=ImageFont.load_default(36))
    draw.text((30, 110), "Total 17.50", fill=(20, 20, 20), font=ImageFont.load_default(36))
    text = OCR("en", threads=1)(sheet).text
    assert "2048" in text
    assert "17.50" in text
    assert text.index("2048") < text.index("17.50")


def test_networks_of_lines_load_beside_the_detector(stripes_model, tmp_path):
    ocr = OCR(stripes_model, threads=2)
    detector, recognizer, classifier = ocr.stages.detector, ocr.stages.recognizer, ocr.stages.classifier
    assert not any(stage.backend.loaded for stage in (detector, recognizer, classifier))
    ocr(np.random.default_rng(0).integers(0, 30, (64, 64, 3), np.uint8))  # too dark to be text, but not blank
    assert detector.backend.loaded
    deadline = time.monotonic() + 20
    while not (recognizer.backend.loaded and classifier.backend.loaded):  # nothing was there to be read
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ocr.single_threaded() is ocr.single_threaded()
    assert ocr.single_threaded().stages.recognizer.backend is recognizer.backend


def test_a_warm_model_has_its_networks_loaded(stripes_model):
    stages = OCR(stripes_model, threads=1).warm_up().stages
    assert all(stage.backend.loaded for stage in (stages.detector, stages.recognizer, stages.classifier))


def test_a_network_that_cannot_be_loaded_is_named_when_it_is_needed(stripes_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(stripes_model, folder)
    data = (folder / "rec.onnx").read_bytes()
    assert b"Transpose" in data
    (folder / "rec.onnx").write_bytes(data.replace(b"Transpose", b"Transpoze"))
    ocr = OCR(folder, threads=2)
    with pytest.raises(ModelError, match=r"cannot load .*rec\.onnx"):
        ocr.warm_up()
    with pytest.raises(ModelError, match=r"cannot load .*rec\.onnx"):
        ocr.recognize([np.full((32, 64, 3), 255, np.uint8)])
