"""Table of the tasks: all differences between detectors, recognizers, direction and image classifiers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ppocr_jax.config import ClsConfig, DetConfig, ImageConfig, RecConfig, TaskConfig
from ppocr_jax.inference.model_folder import ClassifierSpec, DetectorSpec, NetworkSpec, RecognizerSpec
from ppocr_jax.training import detection, direction, image, recognition
from ppocr_jax.training.material import Evaluate, Images
from ppocr_jax.training.prefetch import BatchFunction
from ppocr_jax.training.step import Objective


@dataclass(frozen=True, kw_only=True)
class TaskKind:
    """The functions of a task that training, export and evaluation call.

    `config` is a configuration of the task, `charset` the one it names (None for a detector), `model` one network.

    Attributes:
        config: Class of its configurations.
        spec: Class of its networks' descriptions in `model.json`; it knows input size and output.
        model_options: (config, charset) -> keyword arguments of `models.build_model`.
        network_spec: (config, charset) -> description for `model.json`.
        sizes: (a network's options) -> sizes, named as in `config.model`; a configuration without them takes those of
            the network it starts from.
        batches: (config, charset, process) -> function of the step.
        objective: (model, config, charset, teacher=, mesh=) -> objective; see `step`.
        teacher: (config) -> path of a frozen teacher network, or None.
        evaluation: (model, config, charset) -> function from the network's variables to scores.
        images: (model, config, charset) -> function from the network's variables and a batch to images for TensorBoard;
            None for no images.
        metrics: Names of the scores of `evaluation`; `train.key_metric` is one of them.
        constants: (config, charset) -> constant arrays that the objective reads.
        writes_text: Whether the network's classes are the charset's characters.
        is_exempt_from_l2, is_head: (config, path) -> see `optimizer.make_optimizer`.
        initial_clip: Initial value of PACT's clip values; by default PaddleSlim's.
    """

    config: type[Any]
    spec: type[NetworkSpec]
    model_options: Callable[..., dict[str, Any]]
    network_spec: Callable[..., NetworkSpec]
    batches: Callable[..., BatchFunction]
    objective: Callable[..., Objective]
    evaluation: Callable[..., Evaluate]
    metrics: tuple[str, ...]
    images: Callable[..., Images] | None = None
    constants: Callable[..., Mapping[str, Any]] = lambda config, charset: {}
    teacher: Callable[[Any], str | None] = lambda config: None
    sizes: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda options: {}
    writes_text: bool = False
    is_exempt_from_l2: Callable[[Any, str], bool] = lambda config, path: False
    is_head: Callable[[Any, str], bool] = lambda config, path: False
    initial_clip: float = 20.0


TASKS: dict[str, TaskKind] = {
    "det": TaskKind(
        config=DetConfig,
        spec=DetectorSpec,
        model_options=detection.model_options,
        network_spec=detection.network_spec,
        sizes=detection.sizes,
        batches=detection.batches,
        objective=detection.objective,
        evaluation=detection.evaluation,
        metrics=("hmean", "precision", "recall", "area_hmean", "area_precision", "area_recall"),
        images=detection.images,
        teacher=detection.network_teacher,
        initial_clip=500.0,  # feature maps of its neck reach 1,000; clipping at 20 would destroy them
    ),
    "rec": TaskKind(
        config=RecConfig,
        spec=RecognizerSpec,
        model_options=recognition.model_options,
        network_spec=recognition.network_spec,
        sizes=recognition.sizes,
        batches=recognition.batches,
        objective=recognition.objective,
        evaluation=recognition.evaluation,
        metrics=("accuracy", "one_minus_ned"),  # higher is better
        images=recognition.images,
        constants=recognition.constants,
        writes_text=True,
        is_exempt_from_l2=recognition.is_exempt_from_l2,
        is_head=lambda config, path: path.startswith("head/"),
    ),
    "cls": TaskKind(
        config=ClsConfig,
        spec=ClassifierSpec,
        model_options=direction.model_options,
        network_spec=direction.network_spec,
        batches=direction.batches,
        objective=direction.objective,
        evaluation=direction.evaluation,
        metrics=("accuracy", "accuracy_0", "accuracy_180"),
    ),
    "image": TaskKind(
        config=ImageConfig,
        spec=image.ImageSpec,
        model_options=image.model_options,
        network_spec=image.network_spec,
        batches=image.batches,
        objective=image.objective,
        evaluation=image.evaluation,
        metrics=("accuracy", "top_5"),
    ),
}


def kind_of(config: TaskConfig) -> TaskKind:
    """Return the task of `config`."""
    return TASKS[config.task]
