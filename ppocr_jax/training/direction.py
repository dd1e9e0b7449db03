"""Training the direction classifier, the whole story: the network, its batches, what it minimizes, how it is scored."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, ClsDataConfig
from ppocr_jax.data.augment_rec import LineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.direction import DirectionBatches
from ppocr_jax.data.rand_augment import Chain, LineAugmentationLike, RandAugment
from ppocr_jax.evaluation.cls import evaluate_direction, held_out_lines, turn_every_second
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.model_folder import ClassifierSpec
from ppocr_jax.losses.alignment import frame_loss
from ppocr_jax.losses.classification import direction_loss
from ppocr_jax.training.learners import objective_alone, training_forward
from ppocr_jax.training.material import Evaluate, crop_bank, line_generator, make_corpus
from ppocr_jax.training.network import NetworkInTraining
from ppocr_jax.training.step import Batch, Objective, Terms

_LONGEST_LINE = 200  # characters; the text matters to the auxiliary loss alone
_LINES_AT_ONCE = 32


def model_options(config: ClsConfig, charset: Charset) -> dict[str, Any]:
    """Return the options of the network's builder that are not left to the builder."""
    options: dict[str, Any] = {"scale": config.model.scale}
    if config.loss.frame_weight > 0:
        options["frame_classes"] = 2 * charset.num_classes - 1  # each character upright and turned, and one blank
    return options


def network_spec(config: ClsConfig, charset: Charset) -> ClassifierSpec:
    """Return what `model.json` will say of the network."""
    data = config.data
    return ClassifierSpec(
        network=config.model.name,
        options=model_options(config, charset),
        height=data.height,
        width=data.width,
        long_lines=data.long_lines,
    )


def batches(config: ClsConfig, charset: Charset, process: ProcessShare = WHOLE_BATCH) -> DirectionBatches:
    """Return the batches: lines, half of them turned; `process`: which rows to make."""
    data = config.data
    return DirectionBatches(
        generator=line_generator(data.synthetic, charset),
        bank=crop_bank(data.train_labels, charset, _LONGEST_LINE),
        batch_size=config.train.batch_size,
        synthetic_share=data.synthetic_share,
        augmentation=_augmentation(data, data.augmentation),
        drawn_augmentation=_augmentation(data, data.drawn_augmentation),
        seed=config.train.seed,
        height=data.height,
        width=data.width,
        long_lines=data.long_lines,
        charset=charset if config.loss.frame_weight > 0 else None,
        process=process,
    )


def _augmentation(data: ClsDataConfig, recipe: str) -> LineAugmentationLike:
    lines = LineAugmentation(data.augment_probability, recipe=recipe)
    return Chain((lines, RandAugment())) if data.rand_augment else lines


def objective(
    model: nn.Module,
    config: ClsConfig,
    charset: Charset | None = None,
    *,
    teacher: nn.Module | None = None,
    mesh: Mesh | None = None,
) -> Objective:
    """Return the cross-entropy on `images` and `labels` (0 upright, 1 turned), with the auxiliary column loss.

    A classifier learns alone: `teacher` and `mesh` change nothing.
    """
    weight = config.loss.frame_weight

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        terms: Terms = {"cross_entropy": direction_loss(own["logits"], batch["labels"])}
        loss = terms["cross_entropy"]
        if weight > 0:
            terms["frames"] = frame_loss(own["frame_logits"], batch["frames"])
            loss = loss + weight * terms["frames"]
        return loss, {**terms, "batch_accuracy": (own["logits"].argmax(-1) == batch["labels"]).mean()}

    return objective_alone(training_forward(model, frozen_statistics=config.train.frozen_statistics), share)


def evaluation(model: nn.Module, config: ClsConfig, charset: Charset) -> Evaluate:
    """Return a function that gives the accuracy on drawn lines in held-out fonts, every second one turned."""
    corpus = make_corpus(config.data.synthetic, charset)
    lines = held_out_lines(config.data.val_synthetic, charset=charset, corpus=corpus)
    samples = list(islice(turn_every_second(line.image_rgb for line in lines), config.data.val_synthetic))
    network, spec = NetworkInTraining(model, "cls"), network_spec(config, charset)

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        classify = TextClassifier(network.with_variables(variables), spec)
        return evaluate_direction(partial(classify, batch_size=_LINES_AT_ONCE), samples)

    return evaluate
