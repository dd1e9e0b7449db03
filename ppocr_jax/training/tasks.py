"""From a configuration to a run: the network, the objective, the batches and the evaluation of each task."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import load_charset
from ppocr_jax.config import ClsConfig, DetConfig, RecConfig
from ppocr_jax.models import build_model
from ppocr_jax.models.io import save_safetensors
from ppocr_jax.models.ops import training_ops
from ppocr_jax.models.options import builder_options
from ppocr_jax.training import sources, validation
from ppocr_jax.training.cml import TEACHER, detection_objective
from ppocr_jax.training.fit import Task, fit
from ppocr_jax.training.initial import initial_variables, load_centers, load_teacher
from ppocr_jax.training.objectives import direction_objective
from ppocr_jax.training.pictures import detection_pictures, recognition_pictures
from ppocr_jax.training.platform import prepare_cpu
from ppocr_jax.training.sharding import Placement, connect, make_mesh, process_share
from ppocr_jax.training.udml import CENTERS, recognition_objective

_logger = logging.getLogger("ppocr_jax")
Config = DetConfig | RecConfig | ClsConfig
_PICTURES = 4
WEIGHTS_FILE = {"det": "det.safetensors", "rec": "rec.safetensors", "cls": "cls.safetensors"}


def run(config: Config) -> Path:
    """Train as `config` says; returns the safetensors file with the best weights.

    Raises:
        UserError: something the configuration names is missing or wrong.
    """
    prepare_cpu()
    connect(config.train.mesh)
    builders: dict[type, tuple[str, Callable[[Any], Task]]] = {
        DetConfig: ("det", detection_task),
        RecConfig: ("rec", recognition_task),
        ClsConfig: ("cls", direction_task),
    }
    name, build = builders[type(config)]
    variables = fit(config, build(config))
    path = Path(config.train.work_dir) / WEIGHTS_FILE[name]
    if jax.process_index() == 0:
        save_safetensors(path, variables)
        _logger.info("best weights: %s", path)
    return path


def detection_task(config: DetConfig) -> Task:
    """Detectors: one alone, or students with or without a teacher."""
    mutual, mesh = config.mutual, _mesh(config)
    build = _builder(config, builder_options(config))
    batches = sources.detection_batches(config, process_share(mesh))
    teacher, teacher_variables = load_teacher(mutual.teacher, config.train.compute) if mutual.teacher else (None, None)
    return Task(
        variables=initial_variables(build(), "det", config.train, students=mutual.students),
        objective=detection_objective(build(training=True), config.loss, mutual, teacher=teacher, mesh=mesh),
        batches=batches,
        pictures=detection_pictures(build(), config, batches, count=_PICTURES),
        evaluate=validation.detector_evaluation(build(), config),
        frozen=None if teacher is None else {TEACHER: teacher_variables},
        placement=Placement(mesh, mutual.students),
    )


def recognition_task(config: RecConfig) -> Task:
    """Recognizers: one alone, or several that learn from each other."""
    charset = load_charset(config.model.charset)
    mutual, mesh = config.mutual, _mesh(config)
    build = _builder(config, builder_options(config, charset))
    batches = sources.recognition_batches(config, charset, process_share(mesh))
    return Task(
        variables=initial_variables(build(), "rec", config.train, students=mutual.students, charset=charset),
        objective=recognition_objective(build(training=True), config.loss, charset, mutual, mesh=mesh),
        batches=batches,
        pictures=recognition_pictures(build(), charset, batches, count=_PICTURES),
        evaluate=validation.recognizer_evaluation(build(), config, charset),
        frozen=None if config.loss.centers is None else {CENTERS: load_centers(config.loss.centers, charset)},
        placement=Placement(mesh, mutual.students),
        charset=charset.characters,
        l2_exempt=_is_norm if config.model.name == "crnn_lcnet" else lambda path: False,
        is_head=lambda path: path.startswith("head/"),
    )


def direction_task(config: ClsConfig) -> Task:
    """The direction classifier."""
    charset, mesh = load_charset(config.data.charset), _mesh(config)
    build = _builder(config, builder_options(config, charset))
    return Task(
        variables=initial_variables(build(), "cls", config.train),
        objective=direction_objective(build(training=True), config.loss),
        batches=sources.direction_batches(config, charset, process_share(mesh)),
        evaluate=validation.classifier_evaluation(build(), config, charset),
        placement=Placement(mesh),
    )


def _mesh(config: Config) -> Mesh | None:
    return make_mesh(config.train.mesh, config.train.batch_size // config.train.accumulate)


def _builder(config: Config, options: dict[str, Any]) -> Callable[..., nn.Module]:
    """The configured network, with `training=True` in the configured precision."""

    def build(training: bool = False) -> nn.Module:
        ops = training_ops(config.train.compute) if training else None
        return build_model(config.model.name, ops=ops, **options)

    return build


def _is_norm(path: str) -> bool:
    """BatchNorm of the PP-LCNet recognizer gets no L2 (PaddleOCR release/2.6)."""
    return path.endswith(("bn/scale", "bn/bias"))
