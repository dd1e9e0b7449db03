"""Recognizers whose heads are cut to some letters when they are opened."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.charset import LettersError, load_charset, load_letters
from ppocr_jax.inference.backends import OnnxBackend, make_backend
from ppocr_jax.inference.model_folder import ModelError, cut_letters, load_model_folder
from ppocr_jax.inference.recognize import TextRecognizer
from tests.released import release_or_skip
from tests.stripes import paint_line, paint_page

RECEIPT = Path(__file__).parents[2] / "examples" / "receipt.jpg"
DIGITS = "0123456789.,-"


def noise(height: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.6, (2, height, 160, 3)).astype(np.float32)


def assert_cut(cut: np.ndarray, whole: np.ndarray, classes: tuple[int, ...]) -> None:
    """Equal logits: the probabilities are the old ones of the classes that are left, divided by their sum."""
    kept = whole[..., classes].astype(np.float64)
    assert cut.shape == kept.shape
    np.testing.assert_allclose(cut, kept / kept.sum(axis=-1, keepdims=True), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("letters", ["latin", DIGITS])
@pytest.mark.parametrize("name", ["en", "ch", "ppocr-v2", "ppocr-v3-en", "ppocr-v4", "ppocr-v6"])
def test_the_logits_that_are_left_are_what_they_were(name, letters):
    if name.startswith("ppocr"):
        release_or_skip(name)
    model = load_model_folder(name)
    _, classes = cut_letters(model, letters)
    images = noise(model.rec.height)
    assert_cut(
        make_backend(model, "rec", threads=1, classes=classes)(images),
        make_backend(model, "rec", threads=1)(images),
        classes,
    )


def test_the_head_of_flax_networks_is_cut_too():
    pytest.importorskip("flax", reason="needs ppocr-jax[train]")
    model = load_model_folder("en")
    _, classes = cut_letters(model, DIGITS)
    images = noise(32)[:1]
    backend = pickle.loads(pickle.dumps(make_backend(model, "rec", "jax", classes=classes)))
    assert_cut(backend(images), make_backend(model, "rec", "jax")(images), classes)


def test_a_head_of_another_kind_gives_the_same(stripes_model):
    """That of the toy network is no product with a matrix: its logits are computed and then taken."""
    path, images, classes = stripes_model / "rec.onnx", noise(32), (0, 2)
    cut = OnnxBackend(path, threads=1, classes=classes)
    assert_cut(cut(images), OnnxBackend(path, threads=1)(images), classes)
    assert cut.num_classes == 2
    assert pickle.loads(pickle.dumps(cut)).classes == cut.with_threads(2).classes == classes


def test_only_the_letters_are_read(stripes_model):
    page = paint_page((64, 320), [("abcab", (160, 32), 0)])
    assert OCR(stripes_model)(page).text == "abcab"
    assert set(OCR(stripes_model, letters="ac", drop_score=0)(page).text) <= {"a", "c"}


def test_a_receipt_in_digits():
    ocr = OCR("en", letters=DIGITS, threads=1)
    texts = [line.text for line in ocr(RECEIPT)]
    assert set("".join(texts)) <= set(DIGITS)
    assert {"22.22", "25.00", "4.95", "-1.17"} <= set(texts)
    assert ocr.stages.recognizer.charset.num_classes == len(DIGITS) + 1


def test_all_letters_change_nothing():
    whole, cut = (OCR("en", letters=letters, threads=1)(RECEIPT) for letters in (None, "en"))
    assert whole.text == cut.text
    np.testing.assert_allclose([x.confidence for x in whole], [x.confidence for x in cut], rtol=1e-5)


def test_chinese_weights_read_latin_letters_with_both_spaces_of_released_files(caplog):
    model = load_model_folder("ch")
    cut, classes = cut_letters(model, "latin")
    assert len(classes) == cut.charset.num_classes < 500
    assert "does not read" in caplog.text
    release_or_skip("ppocr-v3-en")
    english = load_model_folder("ppocr-v3-en")
    assert cut_letters(english, "ab ")[0].charset.characters == ("a", "b", " ", " ")


def test_spaces_are_put_back_only_where_they_are_letters():
    release_or_skip("ppocr-v4")
    with_space, without = (cut_letters(load_model_folder("ppocr-v4"), letters)[0] for letters in ("a b", "ab"))
    assert with_space.rec.put_spaces
    assert not without.rec.put_spaces


def test_unknown_letters_are_told_in_one_line(stripes_model, caplog):
    with caplog.at_level(logging.WARNING, "ppocr_jax"):
        ocr = OCR(stripes_model, letters="axy\n")
    (record,) = caplog.records
    assert record.getMessage() == "model 'stripes' does not read 3 of the requested characters: 'xy\\n'"
    assert ocr.stages.recognizer.charset.characters == ("a",)
    with pytest.raises(ModelError, match="reads none of the requested characters"):
        OCR(stripes_model, letters="xyz")


@pytest.mark.parametrize("letters", [" ", " \u2f00"])  # a radical, which is in no charset
def test_spaces_alone_are_no_text(letters):
    with pytest.raises(ModelError, match="reads none of the requested characters but spaces"):
        OCR("en", letters=letters)


def test_a_set_a_file_or_the_letters_themselves(tmp_path):
    (tmp_path / "digits.txt").write_text("1\n2\n3\n", encoding="utf-8")
    assert load_letters("latin") == load_charset("latin").characters
    assert load_letters(tmp_path / "digits.txt") == load_letters(str(tmp_path / "digits.txt")) == ("1", "2", "3")
    assert load_letters("321") == ("3", "2", "1")
    assert load_letters(["a", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("letters", "message"),
    [
        ("japan", "as a set of characters it has 'a' twice"),
        ("missing.txt", "no charset 'missing.txt'"),
        (Path("missing"), "no charset 'missing'"),
        ("", "nor a set of single characters"),
        (["ab"], "nor a set of single characters"),
    ],
)
def test_what_is_no_set_of_letters(letters, message):
    with pytest.raises(LettersError, match=message):
        load_letters(letters)


def test_with_files_of_others(stripes_model):
    """Networks opened to be looked into are whole; what reads is cut."""
    ocr = OCR(stripes_model, rec=stripes_model / "rec.onnx", rec_height=32, letters="b", threads=1)
    recognizer = ocr.stages.recognizer
    assert isinstance(recognizer, TextRecognizer)
    assert recognizer.backend.num_classes == 2
    assert [line.text for line in ocr.recognize([paint_line("b")])] == ["b"]
