"""Networks of other makers in ONNX files: the built-in ones, dressed up as PaddleOCR and RapidOCR ship theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.charset import load_charset
from ppocr_jax.images import load_image
from ppocr_jax.inference.model_folder import BUILTIN_FOLDER, ModelError, load_model_folder

onnx = pytest.importorskip("onnx", reason="needs ppocr-jax[export]")

EN = BUILTIN_FOLDER / "en"
IMAGE = load_image(Path(__file__).parents[2] / "examples" / "receipt.jpg")
# A file that says nothing gets thresholds of PP-OCR: these are those of the built-in detector.
THRESHOLDS = {name: getattr(load_model_folder("en").det.postprocess, name) for name in ("threshold", "box_threshold")}


def disguised(name: str, path: Path, *, size=None, four_axes: bool = False, character: str | None = None) -> Path:
    """A built-in network without ppocr_jax's metadata; `size`: (N, H, W) fixed, as far as given."""
    model = onnx.load(EN / name)
    del model.metadata_props[:]
    if character is not None:
        onnx.helper.set_model_props(model, {"character": character})
    entry, output = model.graph.input[0], model.graph.output[0]
    for axis, value in zip((0, 2, 3), size or (None,) * 3, strict=True):
        if value is not None:
            entry.type.tensor_type.shape.dim[axis].dim_value = value
    if four_axes:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
        model.graph.node.append(onnx.helper.make_node("Unsqueeze", [output.name, "axis"], ["map"]))
        model.graph.output.remove(output)
        model.graph.output.append(onnx.helper.make_tensor_value_info("map", onnx.TensorProto.FLOAT, ["n", 1, "h", "w"]))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def expected() -> str:
    return OCR("en", threads=1)(IMAGE).text


def test_files_of_ppocr_jax_say_all_themselves(expected):
    ocr = OCR(det=EN / "det.onnx", rec=EN / "rec.onnx", threads=1)
    assert ocr(IMAGE).text == expected


@pytest.mark.parametrize(("given", "rest"), [("det", "cls, rec"), ("rec", "det, cls"), ("cls", "det, rec")])
def test_what_is_not_given_is_the_models(expected, caplog, given, rest):
    with caplog.at_level("INFO", "ppocr_jax"):
        ocr = OCR(**{given: EN / f"{given}.onnx"}, threads=1)
    assert [record.getMessage() for record in caplog.records] == [f"no file given for {rest}: using the model 'en'"]
    upside_down = ocr(IMAGE[::-1, ::-1])
    assert (upside_down.rotation, upside_down.text) == (180, expected)


def test_a_detector_with_a_channel_axis_and_a_recognizer_with_its_characters_inside(tmp_path, expected):
    characters = "\n".join(c for c in load_charset("en").characters if c != " ")
    ocr = OCR(
        det=disguised("det.onnx", tmp_path / "det.onnx", four_axes=True),
        rec=disguised("rec.onnx", tmp_path / "rec.onnx", character=characters),
        threads=1,
        **THRESHOLDS,
    )
    assert similarity(ocr(IMAGE).text, expected) > 0.98  # short lines are padded to 320 pixels, PP-OCR's rule


def test_a_file_of_characters(tmp_path, expected):
    rec = disguised("rec.onnx", tmp_path / "rec.onnx")
    (tmp_path / "keys.txt").write_text(
        "".join(c + "\n" for c in load_charset("en").characters if c != " "), encoding="utf-8"
    )
    ocr = OCR(det=EN / "det.onnx", rec=rec, charset=tmp_path / "keys.txt", threads=1)
    assert similarity(ocr(IMAGE).text, expected) > 0.98
    with pytest.raises(ModelError, match="does not contain its charset"):
        OCR(rec=rec)
    (tmp_path / "few.txt").write_text("a\nb\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"few\.txt has 2 characters for 101 classes .*another model"):
        OCR(rec=rec, charset=tmp_path / "few.txt")


def test_networks_of_a_fixed_size(tmp_path):
    crops = [IMAGE[20:60, 100:400], IMAGE[20:60, 100:180], IMAGE[60:100, 100:900]]
    rec = disguised(
        "rec.onnx", tmp_path / "rec.onnx", size=(2, 32, 320), character="\n".join(load_charset("en").characters)
    )
    greedy = {"threads": 1, "language_model": "none"}
    fixed, free = OCR(rec=rec, put_spaces=False, **greedy), OCR("en", **greedy)
    found, usual = fixed.recognize(crops), free.recognize(crops)
    assert [line.text for line in found[:2]] == [line.text for line in usual[:2]]
    det = disguised("det.onnx", tmp_path / "det.onnx", size=(1, 736, 544))
    boxes = OCR(det=det, threads=1, **THRESHOLDS).detect(IMAGE)
    assert abs(len(boxes) - len(free.detect(IMAGE))) <= 0.2 * len(boxes)
    assert max(box.points[:, 0].max() for box in boxes) > 0.8 * IMAGE.shape[1]


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"no such file: .*nowhere\.onnx"):
        OCR(det=tmp_path / "nowhere.onnx")
    with pytest.raises(ModelError, match="is a folder, not an ONNX file"):
        OCR(det=tmp_path)
    with pytest.raises(ModelError, match="is a 'rec' network, not a 'det' one"):
        OCR(det=EN / "rec.onnx")
    with pytest.raises(ModelError, match="is not a detector: its output is"):
        OCR(det=disguised("cls.onnx", tmp_path / "cls.onnx"))
    with pytest.raises(ModelError, match="a charset belongs to a recognizer"):
        OCR(charset="en")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelError, match="cannot load"):
        OCR(det=tmp_path / "text.onnx")


def similarity(a: str, b: str) -> float:
    import difflib

    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()
