import json
import shutil
from dataclasses import replace

import pytest

from ppocr_jax.charset import Charset
from ppocr_jax.inference import bundle as bundle_module
from ppocr_jax.inference.bundle import Bundle, BundleError, builtin_models, load_bundle, write_bundle_metadata
from ppocr_jax.inference.db_postprocess import DBOptions
from ppocr_jax.inference.specs import ClassifierSpec, DetectorSpec, NetworkSpec, RecognizerSpec
from ppocr_jax.preprocess import Normalization


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    """Every value differs from its default, so that one lost on the way is noticed."""
    numbers = Normalization((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "rgb")
    for name in ("d.onnx", "c.onnx", "r.onnx", "r.safetensors"):
        (tmp_path / name).write_bytes(b"0")
    return Bundle(
        tmp_path,
        "mine",
        "7",
        Charset(("x", "é", "字", '"', "\\", " ")),
        det=DetectorSpec("d.onnx", None, "det", {"a": 1}, numbers, 640, "min", DBOptions(0.2, 0.5, 1.7, 9, True)),
        cls=ClassifierSpec("c.onnx", None, "cls", {}, numbers, 32, 100, ("180", "0"), 0.8),
        rec=RecognizerSpec("r.onnx", "r.safetensors", "rec", {"classes": 7}, numbers, 48, 100),
        provenance={"data": ["a", "b"], "hours": 2.5},
    )


def edit(bundle: Bundle, **changes) -> None:
    path = bundle.folder / "model.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values.update(changes)
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not ...}), encoding="utf-8")


def test_what_is_written_is_read(bundle):
    path = write_bundle_metadata(bundle)
    assert path == bundle.folder / "model.json"
    assert load_bundle(bundle.folder) == bundle
    assert load_bundle(str(bundle.folder)) == bundle


def test_networks_may_be_absent(bundle):
    partial = replace(bundle, det=None, cls=None)
    write_bundle_metadata(partial)
    loaded = load_bundle(bundle.folder)
    assert loaded == partial
    with pytest.raises(BundleError, match="no 'det' network"):
        loaded.spec("det")


def test_paths_of_files(bundle):
    assert bundle.file("rec", "safetensors") == bundle.folder / "r.safetensors"
    with pytest.raises(BundleError, match="no safetensors file for 'det'"):
        bundle.file("det", "safetensors")


def test_numbers_that_are_not_given_have_defaults(bundle):
    write_bundle_metadata(bundle)
    edit(bundle, det={"onnx": "d.onnx"}, cls=..., rec=...)
    assert load_bundle(bundle.folder).det == DetectorSpec("d.onnx")


def test_charset_in_a_file_of_the_folder(bundle):
    write_bundle_metadata(bundle)
    bundle.charset.save(bundle.folder / "characters.txt")
    edit(bundle, charset="characters.txt")
    assert load_bundle(bundle.folder).charset == bundle.charset
    edit(bundle, charset="other.txt")
    with pytest.raises(BundleError, match=r"other\.txt"):
        load_bundle(bundle.folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "update ppocr_jax"),
        ({"schema": ...}, 'no "schema" number'),
        ({"charset": ...}, "lacks the entry 'charset'"),
        ({"name": ...}, "lacks the entry 'name'"),
        ({"charset": ["a", "a"]}, "more than once"),
        ({"det": {"onnx": "d.onnx", "limt_side": 3}}, "unknown entries.*limt_side"),
        ({"det": {"onnx": "gone.onnx"}}, r"names gone\.onnx, which is not in the folder"),
        ({"det": {"postprocess": {"box_threshold": 7}}}, "box_threshold"),
        ({"rec": {"normalization": {"mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "grb"}}}, "channel_order"),
        ({"rec": {"normalization": {"mean": [0, 0, 0]}}}, "lacks the entry 'std'"),
        ({"rec": 5}, "not valid"),
    ],
)
def test_wrong_descriptions(bundle, changes, message):
    write_bundle_metadata(bundle)
    edit(bundle, **changes)
    with pytest.raises(BundleError, match=message) as error:
        load_bundle(bundle.folder)
    assert "\n" not in str(error.value)


def test_broken_json(bundle):
    (bundle.folder / "model.json").write_text("{", encoding="utf-8")
    with pytest.raises(BundleError, match=r"cannot read .*model\.json"):
        load_bundle(bundle.folder)
    (bundle.folder / "model.json").write_text("[]", encoding="utf-8")
    with pytest.raises(BundleError, match="not a model description"):
        load_bundle(bundle.folder)


def test_no_such_model(tmp_path):
    with pytest.raises(BundleError, match="neither a folder nor a built-in model"):
        load_bundle(tmp_path / "missing")
    with pytest.raises(BundleError, match=r"is not a model folder: it holds no model\.json"):
        load_bundle(tmp_path)


def test_builtin_models_are_found_by_name(bundle, tmp_path, monkeypatch):
    write_bundle_metadata(bundle)
    weights = tmp_path / "weights"
    shutil.copytree(bundle.folder, weights / "mine", ignore=lambda *_: ["weights"])
    (weights / "unfinished").mkdir()
    monkeypatch.setattr(bundle_module, "BUILTIN_FOLDER", weights)
    assert builtin_models() == ("mine",)
    assert load_bundle("mine") == replace(bundle, folder=weights / "mine")


def test_shipped_models_load():
    if not builtin_models():
        pytest.skip("no weights shipped yet")
    for name in builtin_models():
        loaded = load_bundle(name)
        assert loaded.name == name
        assert loaded.provenance


def embedded(bundle: Bundle, task: str) -> dict[str, str]:
    return {
        "task": task,
        "charset": json.dumps(bundle.charset.characters),
        "normalization": json.dumps(bundle.spec(task).normalization.to_dict()),
        "ppocr_jax_version": "0.1.0",
        "options": "{}",
    }


@pytest.mark.parametrize("task", ["det", "cls", "rec"])
def test_embedded_metadata_that_agrees(bundle, task):
    bundle.check_embedded(task, embedded(bundle, task))
    bundle.check_embedded(task, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("task", "cls"),
        ("charset", '["x", "é"]'),
        ("normalization", '{"mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "bgr"}'),
    ],
)
def test_embedded_metadata_that_disagrees(bundle, key, value):
    with pytest.raises(BundleError, match=rf"r\.onnx and model\.json in .* disagree on '{key}'"):
        bundle.check_embedded("rec", embedded(bundle, "rec") | {key: value})


def test_every_network_has_the_common_fields():
    assert NetworkSpec().onnx is None
    assert {spec.task for spec in (DetectorSpec, ClassifierSpec, RecognizerSpec)} == {"det", "cls", "rec"}
