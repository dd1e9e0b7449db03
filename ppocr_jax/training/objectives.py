"""What each task minimises: `objective(params, batch_stats, batch, rng, step) -> (loss, (batch_stats, terms))`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsLossConfig, DetLossConfig, RecLossConfig
from ppocr_jax.losses.alignment import frame_loss
from ppocr_jax.losses.classification import direction_loss
from ppocr_jax.losses.ctc import ctc_loss, fold_case
from ppocr_jax.losses.db import db_loss
from ppocr_jax.training.step import Batch, Objective, Terms


def _apply(model: nn.Module, params: Any, batch_stats: Any, images: jax.Array) -> tuple[dict[str, jax.Array], Any]:
    variables = {"params": params, "batch_stats": batch_stats}
    outputs, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
    return outputs, changed["batch_stats"]


def detection_objective(model: nn.Module, config: DetLossConfig) -> Objective:
    """DB loss on a batch of `images` and the four target maps."""

    def objective(params: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        outputs, batch_stats = _apply(model, params, batch_stats, batch["images"])
        loss, terms = db_loss(
            outputs,
            batch,
            alpha=config.alpha,
            beta=config.beta,
            main=config.main,
            negative_ratio=config.negative_ratio,
        )
        return loss, (batch_stats, terms)

    return objective


def recognition_objective(model: nn.Module, config: RecLossConfig, charset: Charset) -> Objective:
    """CTC, with the frame-wise warm start that `config` describes; lines marked `case_blind` count without case."""
    partner, is_lower = case_partners(charset)

    def weights(step: jax.Array) -> tuple[jax.Array, jax.Array]:
        aligning = step < config.align_steps
        align = jnp.where(aligning, config.align_weight, 0.0)
        ctc = jnp.where(aligning, jnp.where(step < config.ctc_from_step, 0.0, config.ctc_weight), 1.0)
        return align, ctc

    def objective(params: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        outputs, batch_stats = _apply(model, params, batch_stats, batch["images"])
        logits = outputs["logits"]
        folded = fold_case(logits, partner, is_lower)
        scored = jnp.where(batch["case_blind"][:, None, None], folded, jax.nn.log_softmax(logits))
        terms: Terms = {"ctc": ctc_loss(scored, batch["labels"], batch["lengths"])}
        loss = terms["ctc"]
        if config.align_steps:
            terms["alignment"] = frame_loss(logits, batch["frames"])
            align_weight, ctc_weight = weights(step)
            loss = align_weight * terms["alignment"] + ctc_weight * terms["ctc"]
        return loss, (batch_stats, terms)

    return objective


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


def direction_objective(model: nn.Module, config: ClsLossConfig) -> Objective:
    """Cross-entropy on `images` and `labels` (0 upright, 1 turned), with the auxiliary column loss of `config`."""

    def objective(params: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        outputs, batch_stats = _apply(model, params, batch_stats, batch["images"])
        terms: Terms = {"cross_entropy": direction_loss(outputs["logits"], batch["labels"])}
        loss = terms["cross_entropy"]
        if config.frame_weight > 0:
            terms["frames"] = frame_loss(outputs["frame_logits"], batch["frames"])
            loss = loss + config.frame_weight * terms["frames"]
        accuracy = (outputs["logits"].argmax(-1) == batch["labels"]).mean()
        return loss, (batch_stats, {**terms, "batch_accuracy": accuracy})

    return objective
