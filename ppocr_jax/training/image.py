"""Training of an image classifier: network, batches, objective and evaluation.

It pretrains a backbone on folders of images. A text network starts from such a run with `--train.init`: it takes the
backbone; the rest is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh

from ppocr_jax.config import ImageConfig
from ppocr_jax.data.batches import WHOLE_BATCH, ProcessShare
from ppocr_jax.data.image_folders import ImageBatches, center_crops, find_images
from ppocr_jax.errors import UserError
from ppocr_jax.inference.model_folder import NetworkSpec
from ppocr_jax.models import outputs_of
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, Normalization
from ppocr_jax.training.learners import objective_alone, training_forward
from ppocr_jax.training.material import Evaluate
from ppocr_jax.training.step import Batch, Objective

_IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class ImageSpec(NetworkSpec):
    """An image classifier: image size in pixels and normalization. It is never part of a model folder."""

    task: ClassVar[str] = "image"
    output: ClassVar[str] = "probabilities"
    normalization: Normalization = DETECTOR_NORMALIZATION
    height: int = 224
    width: int = 224


def model_options(config: ImageConfig, charset: None = None) -> dict[str, Any]:
    """Return the builder options that the configuration sets; the others keep the builder's defaults."""
    options = {"num_classes": config.model.num_classes, "scale": config.model.scale}
    return {name: value for name, value in options.items() if value is not None}


def network_spec(config: ImageConfig, charset: None = None) -> ImageSpec:
    """Return the network's description."""
    size = config.data.size
    return ImageSpec(network=config.model.name, options=model_options(config), height=size, width=size)


def batches(config: ImageConfig, charset: None = None, process: ProcessShare = WHOLE_BATCH) -> ImageBatches:
    """Return the batches: random crops of images with their classes; `process`: which rows to make.

    Raises:
        UserError: If there are no images, or the number of folders differs from the number of classes.
    """
    data = config.data
    folders = find_images(data.train_folder)
    if len(folders.classes) != config.model.num_classes:
        raise UserError(
            f"{data.train_folder} holds {len(folders.classes)} folders, the network has {config.model.num_classes} "
            f"classes: set model.num_classes"
        )
    return ImageBatches(
        folders=folders,
        path=data.train_folder,
        batch_size=config.train.batch_size,
        size=data.size,
        least_area=data.least_area,
        mirror=data.mirror,
        seed=config.train.seed,
        process=process,
    )


def objective(
    model: nn.Module,
    config: ImageConfig,
    charset: None = None,
    *,
    teacher: nn.Module | None = None,
    mesh: Mesh | None = None,
) -> Objective:
    """Return the cross-entropy with label smoothing.

    A classifier learns alone, so `teacher` and `mesh` are not used.
    """
    smoothing = config.loss.smoothing

    def share(own: Any, peers: Any, batch: Batch, context: Any, step: jax.Array):
        logits, labels = own["logits"], batch["labels"]
        targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1]), smoothing)
        loss = optax.softmax_cross_entropy(logits.astype(jnp.float32), targets).mean()
        return loss, {"cross_entropy": loss, "batch_accuracy": (logits.argmax(-1) == labels).mean()}

    return objective_alone(training_forward(model, frozen_statistics=config.train.frozen_statistics), share)


def evaluation(model: nn.Module, config: ImageConfig, charset: None = None) -> Evaluate:
    """Return a function from a network's variables to the top-1 ("accuracy") and top-5 accuracy on `data.val_folder`.

    Raises:
        UserError: If its classes are not those of the training folder.
    """
    folders, trained = find_images(config.data.val_folder), find_images(config.data.train_folder)
    if folders.classes != trained.classes:
        raise UserError(f"{config.data.val_folder} and {config.data.train_folder} hold folders of different names")
    predict = jax.jit(lambda variables, images: outputs_of(model, variables, images)["logits"])

    def evaluate(variables: Mapping[str, Any]) -> Mapping[str, float]:
        places: list[np.ndarray] = []
        for start in range(0, len(folders.images), _IMAGES_AT_ONCE):
            rows = folders.images[start : start + _IMAGES_AT_ONCE]
            images = center_crops([path for path, _ in rows], config.data.size)
            padded = np.pad(images, ((0, _IMAGES_AT_ONCE - len(images)), (0, 0), (0, 0), (0, 0)))
            logits = np.asarray(predict(variables, padded))[: len(rows)]
            own = logits[np.arange(len(rows)), [label for _, label in rows]]
            places.append((logits > own[:, None]).sum(1))
        ranks = np.concatenate(places)
        return {"accuracy": float((ranks == 0).mean()), "top_5": float((ranks < 5).mean())}

    return evaluate
