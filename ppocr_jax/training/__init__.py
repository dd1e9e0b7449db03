"""Training: one loop for every network, given an objective, batches and an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.training.centers import (
        Centers as Centers,
        extract_centers as extract_centers,
        load_centers as load_centers,
        save_centers as save_centers,
    )
    from ppocr_jax.training.checkpoint import (
        CheckpointError as CheckpointError,
        Checkpointer as Checkpointer,
        SavedNetwork as SavedNetwork,
    )
    from ppocr_jax.training.learners import (
        Share as Share,
        mutual_objective as mutual_objective,
        objective_alone as objective_alone,
        pick as pick,
        stack as stack,
        training_forward as training_forward,
    )
    from ppocr_jax.training.loggers import Logger as Logger, make_loggers as make_loggers
    from ppocr_jax.training.loop import Interrupted as Interrupted, NonFiniteError as NonFiniteError, train as train
    from ppocr_jax.training.network import NetworkInTraining as NetworkInTraining, TrainedNetwork as TrainedNetwork
    from ppocr_jax.training.optimizer import make_optimizer as make_optimizer, make_schedule as make_schedule
    from ppocr_jax.training.run import Task as Task, fit as fit, prepare as prepare
    from ppocr_jax.training.sharding import MeshError as MeshError, Placement as Placement, make_mesh as make_mesh
    from ppocr_jax.training.step import (
        TrainState as TrainState,
        create_state as create_state,
        make_train_step as make_train_step,
    )
    from ppocr_jax.training.tasks import TASKS as TASKS, TaskKind as TaskKind, kind_of as kind_of
    from ppocr_jax.training.trained import (
        initial_variables as initial_variables,
        load_trained as load_trained,
        transfer as transfer,
    )

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "centers": "Centers extract_centers load_centers save_centers",
        "checkpoint": "CheckpointError Checkpointer SavedNetwork",
        "learners": "Share mutual_objective objective_alone pick stack training_forward",
        "loggers": "Logger make_loggers",
        "loop": "Interrupted NonFiniteError train",
        "network": "NetworkInTraining TrainedNetwork",
        "optimizer": "make_optimizer make_schedule",
        "run": "Task fit prepare",
        "sharding": "MeshError Placement make_mesh",
        "step": "TrainState create_state make_train_step",
        "tasks": "TASKS TaskKind kind_of",
        "trained": "initial_variables load_trained transfer",
    },
)
