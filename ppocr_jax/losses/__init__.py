"""Loss functions: pure functions from arrays to a scalar, or to (scalar, {term: scalar})."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppocr_jax.lazy import lazy_names

if TYPE_CHECKING:
    from ppocr_jax.losses.center import (
        CenterSums as CenterSums,
        accumulate_centers as accumulate_centers,
        center_loss as center_loss,
        empty_centers as empty_centers,
        finish_centers as finish_centers,
        random_centers as random_centers,
    )
    from ppocr_jax.losses.cross_entropy import (
        ace_loss as ace_loss,
        attention_loss as attention_loss,
        direction_loss as direction_loss,
        frame_loss as frame_loss,
    )
    from ppocr_jax.losses.ctc import (
        ctc_loss as ctc_loss,
        ctc_loss_per_line as ctc_loss_per_line,
        is_feasible as is_feasible,
    )
    from ppocr_jax.losses.db import (
        balanced_bce_loss as balanced_bce_loss,
        db_loss as db_loss,
        dice_loss as dice_loss,
        masked_l1_loss as masked_l1_loss,
    )
    from ppocr_jax.losses.distillation import (
        dilate as dilate,
        dilated_teacher_loss as dilated_teacher_loss,
        hard_teacher_loss as hard_teacher_loss,
        soft_teacher_loss as soft_teacher_loss,
    )
    from ppocr_jax.losses.mutual import (
        feature_loss as feature_loss,
        map_dml_loss as map_dml_loss,
        sequence_dml_loss as sequence_dml_loss,
    )
    from ppocr_jax.losses.shares import cml_share as cml_share, udml_share as udml_share

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "center": "CenterSums accumulate_centers center_loss empty_centers finish_centers random_centers",
        "cross_entropy": "ace_loss attention_loss direction_loss frame_loss",
        "ctc": "ctc_loss ctc_loss_per_line is_feasible",
        "db": "balanced_bce_loss db_loss dice_loss masked_l1_loss",
        "distillation": "dilate dilated_teacher_loss hard_teacher_loss soft_teacher_loss",
        "mutual": "feature_loss map_dml_loss sequence_dml_loss",
        "shares": "cml_share udml_share",
    },
)
