"""What networks minimize: `objective(params, frozen, batch_stats, batch, rng, step) -> (loss, (statistics, terms))`.

The detector's is in `cml`, the recognizer's in `udml`, each for one network alone and for mutual learners.
"""

from __future__ import annotations

from typing import Any

import jax
from flax import linen as nn

from ppocr_jax.config import ClsLossConfig
from ppocr_jax.losses.alignment import frame_loss
from ppocr_jax.losses.classification import direction_loss
from ppocr_jax.training.learners import Context, Forward, Share
from ppocr_jax.training.step import Batch, Objective, Terms


def training_forward(model: nn.Module) -> Forward:
    """`model` in training mode, as a function of its two collections and the images."""

    def forward(params: Any, batch_stats: Any, images: jax.Array):
        variables = {"params": params, "batch_stats": batch_stats}
        outputs, changed = model.apply(variables, images, train=True, mutable=["batch_stats"])
        return outputs, changed["batch_stats"]

    return forward


def objective_alone(forward: Forward, share: Share, context: Context = lambda frozen, batch: {}) -> Objective:
    """A network without peers: the same share that a mutual learner has, of arrays without a student axis."""

    def objective(params: Any, frozen: Any, batch_stats: Any, batch: Batch, rng: jax.Array, step: jax.Array):
        outputs, batch_stats = forward(params, batch_stats, batch["images"])
        loss, terms = share(outputs, (), batch, context(frozen, batch), step)
        return loss, (batch_stats, terms)

    return objective


def direction_objective(model: nn.Module, config: ClsLossConfig) -> Objective:
    """Cross-entropy on `images` and `labels` (0 upright, 1 turned), with the auxiliary column loss of `config`."""

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        terms: Terms = {"cross_entropy": direction_loss(own["logits"], batch["labels"])}
        loss = terms["cross_entropy"]
        if config.frame_weight > 0:
            terms["frames"] = frame_loss(own["frame_logits"], batch["frames"])
            loss = loss + config.frame_weight * terms["frames"]
        return loss, {**terms, "batch_accuracy": (own["logits"].argmax(-1) == batch["labels"]).mean()}

    return objective_alone(training_forward(model), share)
