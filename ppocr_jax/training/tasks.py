"""The tasks, as a table: all that differs between detectors, recognizers, direction and image classifiers."""

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
    """What training, export and evaluation ask of a task.

    `config` stands for a configuration of the task, `charset` for the one it names (None for a detector), `model` for
    one network.

    Attributes:
        config: class of its configurations.
        spec: class of its networks' descriptions in `model.json`; knows input size and output.
        model_options: (config, charset) -> keyword arguments of `models.build_model`.
        network_spec: (config, charset) -> what `model.json` will say.
        sizes: (a network's options) -> sizes in the words of `config.model`; a configuration that leaves them out takes
            those of the network that it starts from.
        batches: (config, charset, process) -> function of the step.
        objective: (model, config, charset, teacher=, mesh=) -> what is minimized; see `step`.
        teacher: (config) -> where a frozen network is that teaches, None without one.
        evaluation: (model, config, charset) -> scores of the network's variables.
        images: (model, config, charset, batches) -> images for TensorBoard.
        metrics: names of what `evaluation` gives, one of which is `train.key_metric`.
        constants: (config, charset) -> arrays that the objective reads beside the weights.
        writes_text: whether the classes of its network are the charset's characters.
        is_exempt_from_l2, is_head: (config, path) -> see `optimizer.make_optimizer`.
        initial_clip: where PACT's clip values start; by default where PaddleSlim's do.
    """

    config: type[Any]
    spec: type[NetworkSpec]
    model_options: Callable[..., dict[str, Any]]
    network_spec: Callable[..., NetworkSpec]
    batches: Callable[..., BatchFunction]
    objective: Callable[..., Objective]
    evaluation: Callable[..., Evaluate]
    metrics: tuple[str, ...]
    images: Callable[..., Images] = lambda model, config, charset, batches: lambda variables: {}
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
        initial_clip=500.0,  # its neck has maps of 1,000, of which 20 would leave nothing
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
    """Return the task that `config` configures."""
    return TASKS[config.task]
