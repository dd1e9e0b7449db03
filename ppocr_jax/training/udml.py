"""The recognizer's objective: CTC alone, Unified Deep Mutual Learning, Enhanced CTC, and the warm start."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import Charset
from ppocr_jax.config import RecLossConfig, RecMutualConfig
from ppocr_jax.losses.ace import ace_loss
from ppocr_jax.losses.alignment import frame_loss
from ppocr_jax.losses.ctc import ctc_loss, fold_case
from ppocr_jax.losses.udml import udml_share
from ppocr_jax.training.learners import Share, mutual_objective
from ppocr_jax.training.objectives import objective_alone, training_forward
from ppocr_jax.training.step import Batch, Objective, Terms

CENTERS = "centers"


def recognition_objective(
    model: nn.Module,
    loss: RecLossConfig,
    charset: Charset,
    mutual: RecMutualConfig | None = None,
    *,
    mesh: Mesh | None = None,
) -> Objective:
    """CTC and what `loss` and `mutual` add; lines marked `case_blind` count without case. See `losses.udml`.

    Args:
        model: one student.
        loss: of each student against the labels; the center loss reads `frozen["centers"]`.
        charset: of the labels.
        mutual: how many students, and what they learn from each other; one student alone if left out.
        mesh: see `learners.mutual_objective`.
    """
    mutual = mutual or RecMutualConfig()
    forward, share = training_forward(model), _share(loss, mutual, charset)

    def context(frozen: Any, batch: Batch) -> dict[str, jax.Array]:
        return {CENTERS: frozen[CENTERS]} if loss.center_weight > 0 else {}

    if mutual.students == 1:
        return objective_alone(forward, share, context)
    return mutual_objective(
        forward, share, exchanged=["logits", "backbone"], students=mutual.students, mesh=mesh, context=context
    )


def _share(config: RecLossConfig, mutual: RecMutualConfig, charset: Charset) -> Share:
    partner, is_lower = case_partners(charset)

    def label_terms(logits: jax.Array, batch: Batch) -> Terms:
        folded = fold_case(logits, partner, is_lower)
        scored = jnp.where(batch["case_blind"][:, None, None], folded, jax.nn.log_softmax(logits))
        terms = {"ctc": ctc_loss(scored, batch["labels"], batch["lengths"], focal=config.focal)}
        if config.ace_weight > 0:
            terms["ace"] = ace_loss(scored, batch["labels"], batch["lengths"])
        if config.align_steps:
            terms["alignment"] = frame_loss(logits, batch["frames"])
        return terms

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        labeled = label_terms(own["logits"], batch)
        weights = _weights(config, step)
        weighted = sum((weights[name] * term for name, term in labeled.items()), jnp.zeros(()))
        loss, terms = udml_share(
            own,
            peers,
            weighted,
            dml_weight=mutual.dml_weight,
            feature_weight=mutual.feature_weight,
            center_weight=config.center_weight,
            centers=context.get(CENTERS),
        )
        return loss, {**terms, **labeled}

    return share


def _weights(config: RecLossConfig, step: jax.Array) -> dict[str, Any]:
    """Weights at `step`: during the warm start CTC joins late and with a weight of its own."""
    aligning = step < config.align_steps
    while_aligning = jnp.where(step < config.ctc_from_step, 0.0, config.ctc_weight)
    ctc = jnp.where(aligning, while_aligning, 1.0)
    return {"ctc": ctc, "ace": ctc * config.ace_weight, "alignment": jnp.where(aligning, config.align_weight, 0.0)}


def case_partners(charset: Charset) -> tuple[jax.Array, jax.Array]:
    """For each class the id of the same letter in the other case (or its own id), and whether it is the small one.

    Returns:
        (K,) int32 and (K,) bool.
    """
    partner = np.arange(charset.num_classes, dtype=np.int32)
    is_lower = np.zeros(charset.num_classes, bool)
    for character, index in charset.ids.items():
        other = charset.ids.get(character.swapcase())
        if other is not None and other != index:
            partner[index] = other
            is_lower[index] = character.islower()
    return jnp.asarray(partner), jnp.asarray(is_lower)
