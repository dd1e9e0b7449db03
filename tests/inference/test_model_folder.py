import difflib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from ppocr_jax import OCR
from ppocr_jax.charset import Charset
from ppocr_jax.inference import model_folder as module
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.model_folder import (
    ClassifierSpec,
    DetectorSpec,
    ModelError,
    ModelFolder,
    NetworkSpec,
    RecognizerSpec,
    builtin_models,
    load_model_folder,
    write_model_json,
)
from ppocr_jax.onnx_graph.messages import read_header
from ppocr_jax.preprocess import Normalization


@pytest.fixture
def folder(tmp_path) -> ModelFolder:
    """Every value differs from its default, so that one lost on the way is noticed."""
    numbers = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "rgb")
    for name in ("d.onnx", "c.onnx", "r.onnx", "r.safetensors"):
        (tmp_path / name).write_bytes(b"0")
    return ModelFolder(
        tmp_path,
        "mine",
        "7",
        Charset(("x", "é", "字", '"', "\\", " ")),
        det=DetectorSpec("d.onnx", None, "det", {"a": 1}, numbers, 640, "min", DBOptions(0.2, 0.5, 1.7, 9, True)),
        cls=ClassifierSpec("c.onnx", None, "cls", {}, numbers, 32, 100, ("180", "0"), 0.8),
        rec=RecognizerSpec("r.onnx", "r.safetensors", "rec", {"classes": 7}, numbers, 48, 100),
        provenance={"data": ["a", "b"], "hours": 2.5},
    )


def edit(folder: ModelFolder, **changes) -> None:
    path = folder.path / "model.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values.update(changes)
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}), encoding="utf-8")


def test_what_is_written_is_read(folder):
    path = write_model_json(folder)
    assert path == folder.path / "model.json"
    assert load_model_folder(folder.path) == folder
    assert load_model_folder(str(folder.path)) == folder


def test_networks_may_be_absent(folder):
    partial = replace(folder, det=None, cls=None)
    write_model_json(partial)
    loaded = load_model_folder(folder.path)
    assert loaded == partial
    with pytest.raises(ModelError, match="no 'det' network"):
        loaded.spec("det")


def test_paths_of_files(folder):
    assert folder.file("rec", "safetensors") == folder.path / "r.safetensors"
    with pytest.raises(ModelError, match="no safetensors file for 'det'"):
        folder.file("det", "safetensors")


def test_numbers_that_are_not_given_have_defaults(folder):
    write_model_json(folder)
    edit(folder, det={"onnx": "d.onnx"}, cls=..., rec=...)
    assert load_model_folder(folder.path).det == DetectorSpec("d.onnx")


def test_charset_in_a_file_of_the_folder(folder):
    write_model_json(folder)
    folder.charset.save(folder.path / "characters.txt")
    edit(folder, charset="characters.txt")
    assert load_model_folder(folder.path).charset == folder.charset
    edit(folder, charset="other.txt")
    with pytest.raises(ModelError, match=r"other\.txt"):
        load_model_folder(folder.path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "update ppocr_jax"),
        ({"schema": ...}, 'no "schema" number'),
        ({"charset": ...}, "lacks the entry 'charset'"),
        ({"name": ...}, "lacks the entry 'name'"),
        ({"det": {"onnx": "d.onnx", "limt_side": 3}}, "unknown entries.*limt_side"),
        ({"det": {"onnx": "gone.onnx"}}, r"names gone\.onnx, which is not in the folder"),
        ({"det": {"postprocess": {"box_threshold": 7}}}, "box_threshold"),
        ({"rec": {"normalization": {"mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "grb"}}}, "channel_order"),
        ({"rec": {"normalization": {"mean": [0, 0, 0]}}}, "lacks the entry 'std'"),
        ({"rec": 5}, "not valid"),
    ],
)
def test_wrong_descriptions(folder, changes, message):
    write_model_json(folder)
    edit(folder, **changes)
    with pytest.raises(ModelError, match=message) as error:
        load_model_folder(folder.path)
    assert "\n" not in str(error.value)


def test_broken_json(folder):
    (folder.path / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"cannot read .*model\.json"):
        load_model_folder(folder.path)
    (folder.path / "model.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="not a model description"):
        load_model_folder(folder.path)


def test_no_such_model(tmp_path):
    with pytest.raises(ModelError, match="not a folder, a built-in model"):
        load_model_folder(tmp_path / "missing")
    with pytest.raises(ModelError, match=r"is not a model folder: it contains no model\.json"):
        load_model_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("eng", "en"),
        ("fra", "latin"),
        ("german", "latin"),
        ("en+de", "latin"),
        ("deu+fra", "latin"),
        ("ch_sim+en", "ch"),
        ("chi_tra", "ch"),
        ("latin", "latin"),
    ],
)
def test_a_model_is_found_by_its_languages(name, model):
    assert load_model_folder(name).path == load_model_folder(model).path


def test_a_folder_is_stronger_than_a_language(folder, tmp_path, monkeypatch):
    shutil.copytree(folder.path, tmp_path / "fra")
    write_model_json(replace(folder, path=tmp_path / "fra"))
    monkeypatch.chdir(tmp_path)
    assert load_model_folder("fra").path == tmp_path / "fra"


@pytest.mark.parametrize("name", ["deu+chi_sim", "tlh", "eng+", "de,fr"])
def test_languages_that_no_model_reads(name):
    with pytest.raises(ModelError, match="or languages that a built-in model reads"):
        load_model_folder(name)


def test_builtin_models_are_found_by_name(folder, tmp_path, monkeypatch):
    write_model_json(folder)
    weights = tmp_path / "weights"
    shutil.copytree(folder.path, weights / "mine", ignore=lambda *_: ["weights"])
    (weights / "unfinished").mkdir()
    monkeypatch.setattr(module, "BUILTIN_FOLDER", weights)
    assert builtin_models() == ("mine",)
    assert load_model_folder("mine") == replace(folder, path=weights / "mine")


def test_shipped_models_load():
    if not builtin_models():
        pytest.skip("no weights shipped yet")
    for name in builtin_models():
        loaded = load_model_folder(name)
        assert loaded.name == name
        assert loaded.provenance


@pytest.mark.parametrize("name", builtin_models())
def test_a_shipped_file_alone_is_read_as_in_its_model(name):
    loaded = load_model_folder(name)
    described = json.loads((loaded.path / "model.json").read_text(encoding="utf-8"))
    for task in ("det", "cls", "rec"):
        stated = [json.loads(read_header(loaded.file(task, "onnx")).metadata["options"])]
        if described[task]["safetensors"]:  # int8 files have no weights for training
            with safe_open(loaded.file(task, "safetensors"), "numpy") as file:
                stated.append(json.loads(file.metadata()["spec"]))
        for options in stated:
            assert options == {option: described[task][option] for option in options}


def embedded(folder: ModelFolder, task: str) -> dict[str, str]:
    return {
        "task": task,
        "charset": json.dumps(folder.charset.characters),
        "normalization": json.dumps(folder.spec(task).normalization.to_dict()),
        "ppocr_jax_version": "0.1.0",
        "options": "{}",
    }


@pytest.mark.parametrize("task", ["det", "cls", "rec"])
def test_embedded_metadata_that_agrees(folder, task):
    folder.check_embedded(task, embedded(folder, task))
    folder.check_embedded(task, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "cls"),
        ("charset", '["x", "é"]'),
        ("normalization", '{"mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "bgr"}'),
    ],
)
def test_embedded_metadata_that_disagrees(folder, key, value):
    with pytest.raises(ModelError, match=rf"r\.onnx and model\.json in .* disagree on '{key}'"):
        folder.check_embedded("rec", embedded(folder, "rec") | {key: value})


def test_every_network_has_the_common_fields():
    assert NetworkSpec().onnx is None
    assert {spec.task for spec in (DetectorSpec, ClassifierSpec, RecognizerSpec)} == {"det", "cls", "rec"}


def test_en_tiny_takes_less_than_3_mb_and_reads_what_en_reads():
    tiny = load_model_folder("en_tiny")
    assert sum(tiny.file(task, "onnx").stat().st_size for task in ("det", "cls", "rec")) < 3_000_000
    image = Path(__file__).parents[2] / "examples" / "receipt.jpg"
    expected, got = (OCR(name)(image).text for name in ("en", "en_tiny"))
    assert difflib.SequenceMatcher(None, expected, got, autojunk=False).ratio() > 0.97
