import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppocr_jax.errors import UserError
from ppocr_jax.export import model_folder
from ppocr_jax.export.model_folder import export_to_folder
from ppocr_jax.export.parity import ParityError, ParityRow
from ppocr_jax.inference.model_folder import load_model_folder
from ppocr_jax.inference.ocr import OCR
from ppocr_jax.training.trained import load_trained


@pytest.fixture
def quick(monkeypatch):
    """Exports write a stub, and every parity is `rows`: for tests of what surrounds them."""
    rows = [ParityRow((1, 48, 192, 3), 1e-6)]
    monkeypatch.setattr(model_folder, "export_onnx", lambda network, path: path.write_bytes(b"stub"))
    monkeypatch.setattr(model_folder, "parity_report", lambda *args: rows)
    return rows


def test_folder_holds_all_that_model_json_names(exported, networks):
    model_folder = load_model_folder(exported.folder)
    assert (model_folder.name, len(model_folder.charset)) == ("random", 100)
    for task, network in networks.items():
        assert model_folder.file(task, "onnx").name == f"{task}.onnx"
        assert model_folder.spec(task).options == network.spec.options
        assert model_folder.provenance[task]["parity"] == max(row.max_abs_diff for row in exported.reports[task])
    assert sorted(path.name for path in exported.folder.iterdir()) == sorted(
        ["model.json", *(f"{task}.{end}" for task in networks for end in ("onnx", "safetensors"))]
    )


@pytest.mark.parametrize("task", ["det", "cls", "rec"])
def test_weights_of_a_folder_can_be_exported_again(exported, networks, task, tmp_path):
    network = load_trained(exported.folder / f"{task}.safetensors")
    assert (network.spec, network.charset) == (load_model_folder(exported.folder).spec(task), networks[task].charset)
    np.testing.assert_equal(network.variables, networks[task].variables)
    alone = shutil.copy(exported.folder / f"{task}.safetensors", tmp_path / "alone.safetensors")
    network = load_trained(alone)
    assert (network.spec, network.charset) == (networks[task].spec, networks[task].charset)


def test_network_is_added_and_replaced(quick, networks, tmp_path):
    export_to_folder([networks["rec"]], tmp_path, name="mine")
    export_to_folder([networks["cls"]], tmp_path)
    model_folder = load_model_folder(tmp_path)
    assert (model_folder.name, model_folder.det, model_folder.charset) == ("mine", None, networks["rec"].charset)
    quick[:] = [ParityRow((1, 48, 192, 3), 3e-6)]
    export_to_folder([replace(networks["cls"], spec=replace(networks["cls"].spec, threshold=0.75))], tmp_path)
    again = load_model_folder(tmp_path)
    assert (again.name, again.rec, again.cls.threshold) == ("mine", model_folder.rec, 0.75)
    assert again.provenance["cls"]["parity"] == 3e-6
    assert again.provenance["rec"] == model_folder.provenance["rec"]


def test_a_recognizer_alone_is_completed_to_a_model_that_reads(exported, quick, networks, tmp_path, monkeypatch):
    monkeypatch.setattr(
        model_folder, "export_onnx", lambda network, path: shutil.copy(exported.folder / "rec.onnx", path)
    )
    export_to_folder([networks["rec"]], tmp_path / "mine", complete=True)
    model, lender = load_model_folder(tmp_path / "mine"), load_model_folder("en")
    assert (model.name, model.charset) == ("mine", networks["rec"].charset)
    for task in ("det", "cls"):
        assert model.file(task, "onnx").read_bytes() == lender.file(task, "onnx").read_bytes()
        assert model.provenance[task]["model"] == "en"
    card = tmp_path / "mine" / "card.md"
    assert "model: rec. Taken from the model `en`: det, cls" in card.read_text()
    receipt = np.asarray(Image.open(Path(__file__).parents[2] / "examples" / "receipt.jpg").convert("RGB"))
    ocr = OCR(tmp_path / "mine")
    assert len(ocr.detect(receipt)) == len(OCR("en").detect(receipt)) > 5
    assert ocr(receipt).height == len(receipt)  # what a random recognizer reads is no matter
    export_to_folder([networks["det"]], tmp_path / "mine", complete=True)
    assert "model" not in load_model_folder(tmp_path / "mine").provenance["det"]
    assert "model: det, rec. Taken from the model `en`: cls" in card.read_text()
    card.write_text("My model")
    export_to_folder([networks["det"]], tmp_path / "mine", complete=True)
    assert card.read_text() == "My model"


def test_a_detector_alone_is_completed_to_a_model_that_reads(quick, networks, tmp_path, caplog):
    with caplog.at_level("INFO", "ppocr_jax"):
        export_to_folder([networks["det"]], tmp_path / "mine", complete=True)
    assert "mine: adding cls, rec of 'en'" in caplog.text
    model, lender = load_model_folder(tmp_path / "mine"), load_model_folder("en")
    assert (model.name, model.charset, model.rec.growth) == ("mine", lender.charset, lender.rec.growth)
    assert "model: det. Taken from the model `en`: cls, rec" in (tmp_path / "mine" / "card.md").read_text()
    for task in ("cls", "rec"):
        assert model.file(task, "onnx").read_bytes() == lender.file(task, "onnx").read_bytes()


def test_a_detector_and_a_recognizer_get_a_direction_classifier(quick, networks, tmp_path):
    """Without it, the model of two fine-tuned networks read pages that are upside down as they stood."""
    export_to_folder([networks["det"], networks["rec"]], tmp_path / "mine", complete=True)
    model = load_model_folder(tmp_path / "mine")
    assert model.file("cls", "onnx").read_bytes() == load_model_folder("en").file("cls", "onnx").read_bytes()
    assert "model: det, rec. Taken from the model `en`: cls" in (tmp_path / "mine" / "card.md").read_text()
    export_to_folder([networks["det"], networks["rec"]], tmp_path / "alone")
    assert load_model_folder(tmp_path / "alone").cls is None


def test_a_recognizer_of_the_same_characters_gets_the_language_model(quick, networks, tmp_path):
    en = load_model_folder("en")
    folder = tmp_path / "mine"
    export_to_folder([networks["rec"]], folder, complete=True)  # one of the same characters
    assert load_model_folder(folder).language == "language.npz"
    assert (folder / "language.npz").read_bytes() == (en.path / "language.npz").read_bytes()
    export_to_folder([networks["rec"]], tmp_path / "alone")
    assert load_model_folder(tmp_path / "alone").language is None


def test_nothing_is_written_where_a_file_differs(quick, networks, tmp_path):
    export_to_folder([networks["cls"]], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    quick[:] = [ParityRow((1, 48, 192, 3), 2e-4)]
    with pytest.raises(ParityError, match=r"det\.onnx differs"):
        export_to_folder([networks["det"]], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_one_network_a_task(networks, tmp_path):
    with pytest.raises(UserError, match="two networks for the same task: det"):
        export_to_folder([networks["det"], networks["det"]], tmp_path)


def test_metadata_is_readable_by_everyone(exported):
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in exported.folder.iterdir())
    assert json.loads((exported.folder / "model.json").read_text())["schema"] == 1
