"""ONNX detectors as teachers: their maps in the batches, images without labels, and training by them alone."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import jax
import numpy as np
import onnx
import onnxruntime
import optax
import pytest
from onnx import TensorProto, helper, numpy_helper

from ppocr_jax.cli import main
from ppocr_jax.config import ConfigError, DetConfig, DetDataConfig, DetLossConfig, DetMutualConfig, LabelSource
from ppocr_jax.config_io import from_dict, to_dict
from ppocr_jax.data.labels import DetectionRecord, Region, write_detection_labels
from ppocr_jax.errors import UserError
from ppocr_jax.training import detection
from ppocr_jax.training.step import create_state, make_train_step
from tests.released import release_or_skip
from tests.training.experiments import log, shorten
from tests.training.tiny_networks import TinyDetector


def dark_finder(path, *, gain, name="teacher", size=None):
    """Write an ONNX detector (N 3 H W -> N 1 H W) that takes what is dark, in a window of 3 x 3, for text."""
    kernel = np.full((1, 3, 3, 3), -gain / 27, np.float32)
    side = [size or "H", size or "W"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "kernel"], ["gray"], pads=[1, 1, 1, 1]),
            helper.make_node("Sigmoid", ["gray"], ["map"]),
        ],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, *side])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 1, *side])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return str(path)


@pytest.fixture
def images(tmp_path):
    """A folder with five white images, one in a subfolder, of dark bars; and a file that is none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(5):
        image = np.full((150, 220, 3), 235, np.uint8)
        for y in range(15, 130, 30):
            image[y : y + 14, 20 : 20 + int(rng.integers(60, 180))] = rng.integers(0, 90)
        cv2.imwrite(str(folder / ("more" if i == 4 else "") / f"{i}.png"), image)
    (folder / "broken.jpg").write_bytes(b"no image")
    return folder


def configuration(images, teachers, **mutual):
    return DetConfig(
        data=DetDataConfig(
            train_labels=(LabelSource(str(images)),),
            crop_size=64,
            crop="page",
            scale_range=(0.6, 1.6),
            photometric=True,
        ),
        loss=DetLossConfig(alpha=0.0, beta=0.0),
        mutual=DetMutualConfig(teacher=tuple(teachers), **mutual),
    )


def test_maps_are_those_of_onnx_runtime_on_the_crops_of_the_student(tmp_path, images):
    files = [dark_finder(tmp_path / f"{gain}.onnx", gain=gain) for gain in (4, 1)]
    config = configuration(images, files, teacher_form="soft", teacher_disagreement=0.2)
    batches = detection.batches(config)
    assert [str(use) for use in batches.uses()] == [f"{images}: 6 of 6 images without labels used"]
    batch = batches(3)
    nchw = batch["images"].transpose(0, 3, 1, 2)  # the student's very input
    first, second = (onnxruntime.InferenceSession(file).run(None, {"x": nchw})[0][:, 0] for file in files)
    np.testing.assert_allclose(batch["teacher_map"], (first + second) / 2, atol=1e-6)
    np.testing.assert_array_equal(batch["teacher_mask"], np.abs(first - second) <= 0.2)
    assert 0 < batch["teacher_mask"].mean() < 1
    assert batch["teacher_map"].std() > 0.1
    assert not batch["shrink_mask"].any()
    assert not batch["threshold_mask"].any()
    for name, values in pickle.loads(pickle.dumps(batches))(3).items():  # as a data worker has it
        np.testing.assert_array_equal(values, batch[name])


def test_maps_of_released_detectors(tmp_path):
    names = ["ppocr-v4", "ppocr-v6"]
    files = [release_or_skip(name)["det"] for name in names]
    shutil.copy(Path(__file__).parents[2] / "examples/receipt.jpg", tmp_path)
    config = configuration(tmp_path, names)
    batch = detection.batches(replace(config, data=replace(config.data, crop_size=160)))(0)
    nchw = batch["images"].transpose(0, 3, 1, 2)
    maps = []
    for file in files:
        session = onnxruntime.InferenceSession(file)
        maps.append(session.run(None, {session.get_inputs()[0].name: nchw})[0][:, 0])
    np.testing.assert_allclose(batch["teacher_map"], np.mean(maps, axis=0), atol=2e-4)
    assert (batch["teacher_map"] > 0.5).any()


def test_labeled_images_keep_their_labels(tmp_path, images):
    box = Region(np.array([(20, 15), (200, 15), (200, 29), (20, 29)], np.float32), "bar")
    write_detection_labels(tmp_path / "label.txt", [DetectionRecord(images / "0.png", (box,))])
    config = configuration(images, [dark_finder(tmp_path / "teacher.onnx", gain=4)])
    sources = (LabelSource(str(images)), LabelSource(str(tmp_path / "label.txt"), weight=6.0))
    batches = detection.batches(replace(config, data=replace(config.data, train_labels=sources)))
    masks = np.concatenate([batches(step)["shrink_mask"] for step in range(4)]).any(axis=(1, 2))
    assert 0 < masks.mean() < 1
    texts = np.concatenate([batches(step)["shrink_map"] for step in range(4)]).any(axis=(1, 2))
    assert texts.any()
    assert not (texts & ~masks).any()


def test_what_is_said_before_anything_is_compiled(tmp_path, images):
    good = dark_finder(tmp_path / "good.onnx", gain=4)
    reasons = {
        ("missing.onnx",): "no such file: missing.onnx",
        (good, "runs/other"): "'runs/other' is not an ONNX detector",
        (dark_finder(tmp_path / "fixed.onnx", gain=4, size=96),): "data.crop_size",
        (str(images / "0.png") + ".onnx",): "mutual.teacher: ",
    }
    (images / "0.png.onnx").write_bytes(b"not a network")
    for teachers, reason in reasons.items():
        with pytest.raises(UserError, match=reason):
            detection.batches(configuration(images, teachers))
    plain = replace(configuration(images, [good]), mutual=DetMutualConfig(), loss=DetLossConfig())
    with pytest.raises(ValueError, match=f"{images} contains images without labels"):
        detection.batches(plain)
    with pytest.raises(ConfigError, match="nothing would be learned"):
        DetConfig(loss=DetLossConfig(alpha=0.0, beta=0.0))


def test_a_file_of_labels_in_a_folder_of_images_is_pointed_at(images, tmp_path, caplog):
    caplog.set_level("INFO")
    (images / "label.txt").write_text('0.png\t[{"transcription": "a", "points": [[0,0],[9,0],[9,9],[0,9]]}]\n')
    detection.batches(configuration(images, [dark_finder(tmp_path / "teacher.onnx", gain=4)]))
    assert "label.txt: read as" in caplog.text  # the label file that the folder holds is taken


def test_one_teacher_or_none_as_older_configurations_write_it():
    values = to_dict(DetConfig())
    for written, read in ((None, ()), (["a.onnx", "b.onnx"], ("a.onnx", "b.onnx")), ("runs/x", ("runs/x",))):
        values["mutual"]["teacher"] = written
        config = from_dict(DetConfig, values)
        assert config.mutual.teacher == read
    assert detection.network_teacher(config) == "runs/x"


def test_the_command_distills_a_folder_of_images(tmp_path, images, monkeypatch):
    """As configs/det/distill.toml says, with teachers of the test's own and a short network from random weights."""
    shorten(monkeypatch)
    monkeypatch.chdir(tmp_path)
    teachers = [dark_finder(tmp_path / f"{gain}.onnx", gain=gain) for gain in (4, 3)]
    words = ["train-det", "--config", "det/distill", "--data.train-labels", str(images)]
    words += ["--mutual.teacher", *teachers]
    words += ["--data.crop-size", "64", "--train.steps", "2", "--train.batch-size", "2", "--train.log-every", "1"]
    assert main([*words, "--train.init", "None", "--train.workers", "0", "--optimizer.warmup-steps", "0"]) == 0
    first, second = (record for record in log(tmp_path / "runs/distilled") if record["kind"] == "train")
    assert {"teacher_bce", "teacher_dice"} <= first.keys()
    assert "probability" not in first
    assert all(np.isfinite(value) for record in (first, second) for key, value in record.items() if key != "kind")


@pytest.mark.parametrize("form", ["soft", "hard", "dilated"])
def test_a_student_comes_to_see_what_its_teacher_sees(tmp_path, images, form):
    """A small network, in 60 steps, without a label."""
    config = configuration(images, [dark_finder(tmp_path / "teacher.onnx", gain=4)], teacher_form=form)
    batches, model = detection.batches(config), TinyDetector()
    variables = model.init(jax.random.key(0), batches(0)["images"], train=False)
    objective = detection.objective(model, config)
    tx = optax.adam(2e-2)
    step = make_train_step(objective, tx)
    state = create_state(variables, tx)
    before = _agreement(model, variables, batches(1000))
    for k in range(60):
        state, _ = step(state, batches(k), jax.random.key(0), None)
    assert before < 0.6
    assert _agreement(model, state.variables, batches(1000)) > 0.8


def _agreement(model, variables, batch):
    """Intersection over union of what student and teacher take for text."""
    found = np.asarray(model.apply(variables, batch["images"], train=False)["probability"]) > 0.5
    taught = batch["teacher_map"] > 0.5
    return (found & taught).sum() / (found | taught).sum()
