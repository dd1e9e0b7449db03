"""Pictures of how a network does, for TensorBoard: a few samples of one training batch with targets and results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from ppocr_jax.charset import Charset
from ppocr_jax.config import DetConfig
from ppocr_jax.inference.db_postprocess import DBOptions, boxes_from_map
from ppocr_jax.inference.recognize import ctc_greedy_decode
from ppocr_jax.models import outputs_of
from ppocr_jax.preprocess import DETECTOR_NORMALIZATION, LINE_NORMALIZATION
from ppocr_jax.training.prefetch import BatchFunction

# variables -> name -> (H, W, 3) uint8 RGB
Pictures = Callable[[Mapping[str, Any]], dict[str, np.ndarray]]

_CAPTION_HEIGHT = 14
_BOX_COLOR = (255, 40, 40)
# The sample's own batch: no training step draws a negative number.
_SAMPLE_STEP = 2**31


def detection_pictures(model: nn.Module, config: DetConfig, batches: BatchFunction, *, count: int) -> Pictures:
    """Rows of picture with the boxes found, target map, probability map, target threshold map."""
    options = DBOptions(**asdict(config.reading))
    predict = jax.jit(lambda variables, images: outputs_of(model, variables, images)["probability"])

    def pictures(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
        batch = {name: values[:count] for name, values in batches(_SAMPLE_STEP).items()}
        maps = np.asarray(predict(variables, batch["images"]))
        rows = []
        for i, probability in enumerate(maps):
            drawn = _with_boxes(DETECTOR_NORMALIZATION.picture(batch["images"][i]), probability, options)
            rest = (batch["shrink_map"][i], probability, batch["threshold_map"][i])
            rows.append(np.hstack([drawn, *(_gray(values) for values in rest)]))
        return {"found, target, probability, threshold target": np.vstack(rows)}

    return pictures


def recognition_pictures(model: nn.Module, charset: Charset, batches: BatchFunction, *, count: int) -> Pictures:
    """Line pictures, below each its label and what is read."""
    predict = jax.jit(lambda variables, images: outputs_of(model, variables, images)["probabilities"])

    def pictures(variables: Mapping[str, Any]) -> dict[str, np.ndarray]:
        batch = {name: values[:count] for name, values in batches(_SAMPLE_STEP).items()}
        read = ctc_greedy_decode(np.asarray(predict(variables, batch["images"])), charset)
        rows: list[np.ndarray] = []
        for image, label, length, line in zip(batch["images"], batch["labels"], batch["lengths"], read, strict=True):
            label_text = charset.decode(label[:length].tolist())
            rows += [LINE_NORMALIZATION.picture(image), *_captions((label_text, line.text), image.shape[1])]
        return {"line, label, read": np.vstack(rows)}

    return pictures


def _with_boxes(image_rgb: np.ndarray, probability: np.ndarray, options: DBOptions) -> np.ndarray:
    import cv2

    boxes = boxes_from_map(probability, source_size=image_rgb.shape[:2], options=options)
    quads = [np.round(box.points).astype(np.int32) for box in boxes]
    return cv2.polylines(np.ascontiguousarray(image_rgb), quads, True, _BOX_COLOR, 1, cv2.LINE_AA)


def _gray(values: np.ndarray) -> np.ndarray:
    """A map of 0..1 as a picture."""
    return np.repeat((np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def _captions(texts: Sequence[str], width: int) -> list[np.ndarray]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_CAPTION_HEIGHT - 3)
    captions = []
    for text in texts:
        image = Image.new("RGB", (width, _CAPTION_HEIGHT), "white")
        ImageDraw.Draw(image).text((1, 0), text, "black", font)
        captions.append(np.asarray(image))
    return captions
