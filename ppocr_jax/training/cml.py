"""The detector's objective: DB alone, DML between students, Collaborative Mutual Learning with a teacher."""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.config import DetLossConfig, DetMutualConfig
from ppocr_jax.losses.cml import cml_share
from ppocr_jax.models import outputs_of
from ppocr_jax.training.learners import Context, Share, mutual_objective
from ppocr_jax.training.objectives import objective_alone, training_forward
from ppocr_jax.training.step import Batch, Objective

TEACHER = "teacher"


def detection_objective(
    model: nn.Module,
    loss: DetLossConfig,
    mutual: DetMutualConfig | None = None,
    *,
    teacher: nn.Module | None = None,
    mesh: Mesh | None = None,
) -> Objective:
    """Losses on a batch of `images` and the four target maps; see `losses.cml`.

    Args:
        model: one student.
        loss: of each student against the labels.
        mutual: how many students, and what they learn from each other; one student alone if left out.
        teacher: its variables are `frozen["teacher"]`.
        mesh: see `learners.mutual_objective`.
    """
    mutual = mutual or DetMutualConfig()
    forward, share = training_forward(model), _share(loss, mutual)
    context: Context = _teacher_context(teacher, mutual) if teacher else lambda frozen, batch: {}
    if mutual.students == 1:
        return objective_alone(forward, share, context)
    return mutual_objective(
        forward, share, exchanged=["probability"], students=mutual.students, mesh=mesh, context=context
    )


def _share(loss: DetLossConfig, mutual: DetMutualConfig) -> Share:
    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        return cml_share(
            own,
            [peer["probability"] for peer in peers],
            context.get(TEACHER),
            batch,
            teacher_weight=mutual.teacher_weight,
            dml_weight=mutual.dml_weight,
            alpha=loss.alpha,
            beta=loss.beta,
            main=loss.main,
            negative_ratio=loss.negative_ratio,
            binarize=mutual.binarize_teacher,
            dml_form=mutual.dml_form,
        )

    return share


def _teacher_context(teacher: nn.Module, mutual: DetMutualConfig) -> Context:
    """The teacher's probability map.

    In "train" mode its BatchNorm uses the batch's statistics; that PaddleOCR's running statistics then move as well
    changes nothing that a student sees.
    """

    def context(frozen: Any, batch: Batch) -> dict[str, jax.Array]:
        variables = frozen[TEACHER]
        if mutual.teacher_mode == "eval":
            return {TEACHER: outputs_of(teacher, variables, batch["images"])["probability"]}
        outputs, _ = teacher.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
        return {TEACHER: outputs["probability"]}

    return context
