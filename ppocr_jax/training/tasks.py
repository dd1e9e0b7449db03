"""From a configuration to a run: the network, the objective, the batches and the evaluation of each task."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ppocr_jax.charset import load_charset
from ppocr_jax.config import ClsConfig, DetConfig, RecConfig, TrainConfig
from ppocr_jax.models import build_model
from ppocr_jax.models.io import check_same_structure, load_safetensors, save_safetensors
from ppocr_jax.models.options import builder_options
from ppocr_jax.training import sources, validation
from ppocr_jax.training.fit import fit
from ppocr_jax.training.objectives import detection_objective, direction_objective, recognition_objective
from ppocr_jax.training.platform import prepare_cpu

_logger = logging.getLogger("ppocr_jax")
WEIGHTS_FILE = {"det": "det.safetensors", "rec": "rec.safetensors", "cls": "cls.safetensors"}


def run(config: DetConfig | RecConfig | ClsConfig) -> Path:
    """Train as `config` says; returns the safetensors file with the best weights.

    Raises:
        UserError: something the configuration names is missing or wrong.
    """
    prepare_cpu()
    runners: dict[type, Callable[[Any], tuple[str, dict[str, Any]]]] = {
        DetConfig: _run_detector,
        RecConfig: _run_recognizer,
        ClsConfig: _run_classifier,
    }
    task, variables = runners[type(config)](config)
    path = Path(config.train.work_dir) / WEIGHTS_FILE[task]
    save_safetensors(path, variables)
    _logger.info("best weights: %s", path)
    return path


def _run_detector(config: DetConfig) -> tuple[str, dict[str, Any]]:
    model = build_model(config.model.name, **builder_options(config))
    variables = _initial_variables(model, (1, 64, 64, 3), config.train)
    best = fit(
        config,
        variables=variables,
        objective=detection_objective(model, config.loss),
        batches=sources.detection_batches(config),
        evaluate=validation.detector_evaluation(model, config),
    )
    return "det", best


def _run_recognizer(config: RecConfig) -> tuple[str, dict[str, Any]]:
    charset = load_charset(config.model.charset)
    model = build_model(config.model.name, **builder_options(config, charset))
    variables = _initial_variables(model, (1, config.data.height, 64, 3), config.train)
    best = fit(
        config,
        variables=variables,
        objective=recognition_objective(model, config.loss, charset),
        batches=sources.recognition_batches(config, charset),
        evaluate=validation.recognizer_evaluation(model, config, charset),
        charset=charset.characters,
        l2_exempt=_is_norm,
        is_head=lambda path: path.startswith("head/"),
    )
    return "rec", best


def _run_classifier(config: ClsConfig) -> tuple[str, dict[str, Any]]:
    charset = load_charset(config.data.charset)
    model = build_model(config.model.name, **builder_options(config, charset))
    variables = _initial_variables(model, (1, config.data.height, config.data.width, 3), config.train)
    best = fit(
        config,
        variables=variables,
        objective=direction_objective(model, config.loss),
        batches=sources.direction_batches(config, charset),
        evaluate=validation.classifier_evaluation(model, config, charset),
    )
    return "cls", best


def _is_norm(path: str) -> bool:
    """BatchNorm of the PP-LCNet recogniser gets no L2 (PaddleOCR release/2.6)."""
    return path.endswith(("bn/scale", "bn/bias"))


def _initial_variables(model: Any, shape: tuple[int, ...], config: TrainConfig) -> Mapping[str, Any]:
    """Random weights, or those of `config.init`.

    Raises:
        WeightsError: the file is missing or of another network.
    """
    initialize = jax.jit(lambda key: model.init(key, jnp.zeros(shape), train=False))
    variables = initialize(jax.random.key(config.seed))
    if config.init is None:
        return variables
    loaded = load_safetensors(config.init)
    check_same_structure(loaded, variables, config.init)
    return loaded
