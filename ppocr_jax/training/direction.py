"""Training of the direction classifier: network, batches, objective and evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.charset import Charset
from ppocr_jax.config import ClsConfig, ClsDataConfig, LabelSource
from ppocr_jax.data.augment_rec import BaseLineAugmentation, LineAugmentation
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.direction import DirectionBatches, has_direction
from ppocr_jax.data.images import with_images
from ppocr_jax.data.labels import LabelError, read_labels
from ppocr_jax.data.rand_augment import Chain, RandAugment
from ppocr_jax.evaluation.lines import evaluate_direction, held_out_lines, line_samples, rotate_every_second
from ppocr_jax.geometry import CropGrowth
from ppocr_jax.inference.classify import TextClassifier
from ppocr_jax.inference.model_folder import ClassifierSpec
from ppocr_jax.losses.cross_entropy import direction_loss, frame_loss
from ppocr_jax.training.learners import objective_alone, training_forward
from ppocr_jax.training.material import Evaluate, crop_bank, line_generator, make_corpus
from ppocr_jax.training.network import NetworkInTraining
from ppocr_jax.training.step import Batch, Objective, Terms

_LONGEST_LINE = 200  # characters; only the auxiliary loss uses the text
_LINES_AT_ONCE = 32


def model_options(config: ClsConfig, charset: Charset) -> dict[str, Any]:
    """Return the builder options that the configuration sets; the others keep the builder's defaults."""
    options: dict[str, Any] = {"scale": config.model.scale}
    if config.loss.frame_weight > 0:
        options["frame_classes"] = 2 * charset.num_classes - 1  # each character upright and upside down, and one blank
    return options


def network_spec(config: ClsConfig, charset: Charset) -> ClassifierSpec:
    """Return the network's description for `model.json`."""
    data = config.data
    return ClassifierSpec(
        network=config.model.name,
        options=model_options(config, charset),
        height=data.height,
        width=data.width,
        long_lines=data.long_lines,
    )


def batches(config: ClsConfig, charset: Charset, process: ProcessShare = WHOLE_BATCH) -> DirectionBatches:
    """Return the batches: lines, half of them rotated by 180 degrees; `process`: which rows to make."""
    data = config.data
    return DirectionBatches(
        generator=line_generator(data.synthetic, charset, warn=data.synthetic_share > 0),
        bank=crop_bank(data.train_labels, charset, _LONGEST_LINE),
        batch_size=config.train.batch_size,
        synthetic_share=data.synthetic_share,
        augmentation=_augmentation(data, data.augmentation),
        synthetic_augmentation=_augmentation(data, data.synthetic_augmentation),
        seed=config.train.seed,
        height=data.height,
        width=data.width,
        long_lines=data.long_lines,
        charset=charset if config.loss.frame_weight > 0 else None,
        process=process,
    )


def _augmentation(data: ClsDataConfig, recipe: str) -> BaseLineAugmentation:
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
    """Return the cross-entropy on `images` and `labels` (0 upright, 1 upside down) plus the auxiliary column loss.

    A classifier learns alone, so `teacher` and `mesh` are not used.
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
    """Return a function from a network's variables to the accuracy on lines, every second one rotated by 180 degrees.

    The lines are those of `data.val_labels`, pooled; without labels, synthetic lines in fonts held out from training.

    Raises:
        LabelError: If a label file is broken, or has no line with a direction.
    """
    data = config.data
    if data.val_labels:
        upright = [image_rgb for source in data.val_labels for image_rgb in _upright_lines(source)]
    else:
        corpus = make_corpus(data.synthetic, charset)
        upright = [line.image_rgb for line in held_out_lines(data.val_synthetic, charset=charset, corpus=corpus)]
    samples = list(rotate_every_second(upright))
    network, spec = NetworkInTraining(model, "cls"), network_spec(config, charset)

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        classify = TextClassifier(network.with_variables(variables), spec)
        return evaluate_direction(partial(classify, batch_size=_LINES_AT_ONCE), samples)

    return evaluate


def _upright_lines(source: LabelSource) -> list[np.ndarray]:
    """Return the labeled lines that have a direction. Crops do not grow; only the recognizer's do."""
    records = with_images(read_labels(source.path, source.format).records, source.path)
    samples = line_samples(records, growth=CropGrowth(0, 0, 0, 0))
    lines = [image_rgb for image_rgb, text in samples if has_direction(text)]
    if not lines:
        raise LabelError(f"{source.path} has no line of text that looks different upside down")
    return lines
