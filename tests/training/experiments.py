"""The training commands as a user types them, in this process, at tiny sizes and on synthetic text; for tests."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppocr_jax import cli, models
from ppocr_jax.charset import load_charset
from ppocr_jax.config import DetConfig, DetModelConfig
from ppocr_jax.config_io import load_config, save_config
from ppocr_jax.export import model_folder
from ppocr_jax.inference.released import RELEASES
from ppocr_jax.models import mobilenet_v3, ops, resnet_vd
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.models.ops import native_ops
from ppocr_jax.training import pact, trained
from ppocr_jax.training.centers import Centers, save_centers
from ppocr_jax.training.network import variable_shapes
from ppocr_jax.training.tasks import TASKS
from tests.released import release_or_skip

CONFIGS = Path(__file__).parents[2] / "configs"
# The smallest sizes at which every network still works.
TINY = {
    "det": ["--data.crop-size", "64", "--train.batch-size", "2"],
    "rec": ["--data.widths", "64", "--data.val-limit", "8", "--train.batch-size", "8"],
    "cls": ["--data.val-synthetic", "4", "--train.batch-size", "8"],
    "image": ["--data.size", "32", "--model.num-classes", "2", "--train.batch-size", "4"],
}
_HEAD_FEATURES = 96  # of the recognizer's first dense layer


_LCNET_ROWS = (0, 1, 3, 5, 11, 12)  # those with a stride for lines or for images, and the last, which is replaced


def shorten(monkeypatch) -> None:
    """Leave each backbone one block of every stage: all that a command does with a network is left, and compiles fast.

    For the same reason convolutions are XLA's own, and initial weights are drawn at once; test_ops and test_golden have
    the forms for CPUs, test_initial the real weights.
    Names, options, widths, strides, necks and heads stay as they are; weights of whole networks do not fit.
    """
    for module in (models, ops, pact):
        monkeypatch.setattr(module, "default_ops", lambda: native_ops)
    for name in ("LARGE", "SMALL_TEXT"):
        first, *others = getattr(mobilenet_v3, name)
        units = (first, *(unit for unit in others if unit.strides != (1, 1)))
        monkeypatch.setattr(mobilenet_v3, name, units)
    lcnet = import_module("ppocr_jax.models.pp_lcnet")  # the package has a builder of this name
    for name in ("BLOCKS", "IMAGE_STRIDES"):
        rows = getattr(lcnet, name)
        monkeypatch.setattr(lcnet, name, tuple(rows[i] for i in _LCNET_ROWS))
    stages = resnet_vd._stages
    monkeypatch.setattr(resnet_vd, "_stages", lambda *args, depths, **kw: stages(*args, depths=(1, 1, 1, 1), **kw))
    monkeypatch.setattr(trained, "initialize", _initialize_at_once)
    # Each shape is compiled anew; what a file computes at all of them is compared in tests/export.
    shapes = model_folder.parity_shapes
    monkeypatch.setattr(model_folder, "parity_shapes", lambda spec: shapes(spec)[:1])


def _initialize_at_once(model, spec, key):
    """Variables such as `initialize` gives: hundreds of draws of their own would take longer to compile than a step."""
    paths, tree = jax.tree_util.tree_flatten_with_path(variable_shapes(spec))
    ends = np.cumsum([np.prod(leaf.shape, dtype=int) for _, leaf in paths])
    pieces = jnp.split(0.05 * jax.random.normal(key, (int(ends[-1]),)), ends[:-1].tolist())
    return tree.unflatten(
        jnp.ones(leaf.shape) if path[-1].key in ("var", "scale") else piece.reshape(leaf.shape)
        for (path, leaf), piece in zip(paths, pieces, strict=True)
    )


def draw(folder: Path) -> None:
    """Draw pages with their label file, `det/label.txt`, and lines with theirs, `rec/rec_label.txt`."""
    assert cli.main(["synth", "det", "--count", "3", "--size", "160", "--seed", "5", "--output", f"{folder}/det"]) == 0
    assert cli.main(["synth", "rec", "--count", "24", "--seed", "5", "--output", f"{folder}/rec"]) == 0
    for labels in (folder / "det/label.txt", folder / "rec/rec_label.txt"):
        rows = [line.split("\t", 1) for line in labels.read_text(encoding="utf-8").splitlines()]
        text = "".join(f"{labels.parent / path}\t{label}\n" for path, label in rows)
        labels.write_text(text, encoding="utf-8")


def config_path(task: str, name: str) -> Path:
    """The file of an experiment."""
    return CONFIGS / task / f"{name}.toml"


def words(task: str, name: str, *flags: str) -> list[str]:
    """What a user types behind the training command, at a tiny size."""
    return [
        "--config",
        str(config_path(task, name)),
        *TINY[task],
        "--train.workers",
        "0",
        "--train.log-every",
        "1",
        *flags,
    ]


def provide(task: str, name: str, synthetic: Path) -> None:
    """Put synthetic data where a configuration looks for its own, relative to the working folder."""
    config = load_config(TASKS[task].config, config_path(task, name))
    data = config.data
    if task == "image":
        for folder in (Path(data.train_folder), Path(data.val_folder)):
            _copy(synthetic / "det", folder / "pages")
            _copy(synthetic / "rec", folder / "lines")
        return
    for source in (*data.train_labels, *data.val_labels):
        if not Path(source.path).suffix:  # a folder of images without labels
            shutil.copytree(next((synthetic / "det").rglob("*.png")).parent, source.path, dirs_exist_ok=True)
            continue
        lines = "rec" in Path(source.path).parts or source.path.endswith("rec_label.txt")
        _copy(synthetic / ("rec/rec_label.txt" if lines else "det/label.txt"), Path(source.path))
    for corpus in data.synthetic.corpus:
        Path(corpus).parent.mkdir(parents=True, exist_ok=True)
        Path(corpus).write_text("some words 12.50\nmore of them\n", encoding="utf-8")
    if data.synthetic.backgrounds:
        _copy(synthetic / "det", Path(data.synthetic.backgrounds))


def provide_networks(task: str, name: str) -> None:
    """Put there what a configuration wants trained before it: a teacher, centers, weights to start from."""
    config = load_config(TASKS[task].config, config_path(task, name))
    if config.train.init and "/" in config.train.init:
        Path("ppocr_jax").symlink_to(CONFIGS.parent / "ppocr_jax")
    for release in config.mutual.teacher if task == "det" else ():
        if release in RELEASES:
            release_or_skip(release)
    path = TASKS[task].teacher(config)
    if path is not None:
        teacher = DetConfig(model=DetModelConfig(name="db_resnet18"))
        shapes = variable_shapes(TASKS["det"].network_spec(teacher, None))
        Path(path).mkdir(parents=True)
        save_config(teacher, Path(path) / "config.json")
        zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        save_safetensors(Path(path) / "det.safetensors", zeros)
    if task == "rec" and config.loss.centers:
        charset = load_charset(config.model.charset, space=config.charset_space)
        values = np.zeros((charset.num_classes, _HEAD_FEATURES), np.float32)
        Path(config.loss.centers).parent.mkdir(parents=True, exist_ok=True)
        save_centers(config.loss.centers, Centers(values, np.ones(len(values), np.int64), 1, 1), charset)


def train(task: str, name: str, *flags: str, steps: int = 1) -> Path:
    """Train an experiment for a few steps; return the run's folder."""
    assert cli.main([f"train-{task}", *words(task, name, "--train.steps", str(steps), *flags)]) == 0
    return Path(load_config(TASKS[task].config, config_path(task, name)).train.work_dir)


@contextmanager
def stopped_after_one_step():
    """The run inside is told to stop, as by `kill`, when its first step is done."""

    class Stop(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("compiled and ran"):
                signal.raise_signal(signal.SIGTERM)

    handler = Stop()
    logging.getLogger("ppocr_jax").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("ppocr_jax").removeHandler(handler)


def log(run: Path) -> list[dict[str, Any]]:
    """Every record of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def terms_of(run: Path) -> dict[str, float]:
    """Return what a run of one logged step logged; all of it is finite."""
    (trained,) = (record for record in log(run) if record["kind"] == "train")
    assert all(np.isfinite(value) for name, value in trained.items() if name != "kind")
    return trained


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
