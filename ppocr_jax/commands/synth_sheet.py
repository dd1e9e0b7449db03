"""Sheets of what `ppocr-jax synth` draws, to look at."""

from __future__ import annotations

import cv2
import numpy as np

from ppocr_jax.commands.synth_samples import Drawing
from ppocr_jax.data.labels import Region
from ppocr_jax.data.preview import augmentation_sheet, page_augmentation_sheet
from ppocr_jax.synth.page import PageGenerator

_SHEET_WIDTH = 1274
_LINE_HEIGHT = 36
_PAGE_HEIGHT = 314
_GAP = 6
_GRAY = 128
_OUTLINE = (255, 0, 0)


def sample_sheet(drawing: Drawing, count: int) -> np.ndarray:
    """(h, w, 3) uint8: the first `count` samples in rows on gray; pages with the outlines of their regions."""
    height = _PAGE_HEIGHT if drawing.kind == "det" else _LINE_HEIGHT
    rows, x = [_empty_row(height)], 0
    for index in range(count):
        image_rgb, label = drawing.sample(index)
        if not isinstance(label, str):
            image_rgb = image_rgb.copy()
            quads = [np.round(region.points).astype(np.int32) for region in label]
            cv2.polylines(image_rgb, quads, True, _OUTLINE, 1, cv2.LINE_AA)
        width = min(_SHEET_WIDTH, max(1, round(image_rgb.shape[1] * height / image_rgb.shape[0])))
        if x + width > _SHEET_WIDTH:
            rows.append(_empty_row(height))
            x = 0
        rows[-1][:height, x : x + width] = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
        x += width + _GAP
    return np.concatenate(rows)


def augmentations(drawing: Drawing) -> np.ndarray:
    """(h, w, 3) uint8: one sample, once for each augmentation of the training."""
    if isinstance(drawing.generator, PageGenerator):
        image_rgb, label = drawing.sample(0)
        return page_augmentation_sheet(image_rgb, [r for r in label if isinstance(r, Region)], drawing.seed)
    line = drawing.generator(drawing.seed, 0, aspect=(4.0, 8.0))
    return augmentation_sheet(line.image_rgb, drawing.seed)


def _empty_row(height: int) -> np.ndarray:
    return np.full((height + _GAP, _SHEET_WIDTH, 3), _GRAY, np.uint8)
